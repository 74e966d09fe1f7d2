/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm image: the base images that VMs' disks lie on. */
#include <json-glib/json-glib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/image-print.h"
#include "cli/screen.h"
#include "cli/verb.h"
#include "launcher/base/error.h"
#include "launcher/image/build.h"
#include "launcher/image/catalogue.h"
#include "launcher/image/fetch.h"
#include "launcher/image/store.h"

/* --- build ----------------------------------------------------------------------------------- */

/* On a terminal one line that changes, elsewhere a line for each phase. */
static void show_progress(const HxImageProgress *progress, void *data)
{
    gboolean terminal = hx_screen_is(STDERR_FILENO);
    const char *clear = terminal ? "\r\033[K" : "";
    if (progress->finished)
        fprintf(stderr, "%s%5.1f s  %s\n", clear, progress->phase_seconds, progress->phase);
    else if (terminal)
        fprintf(stderr, "%s%3.0f %%  %3.0f s  %s  %.40s", clear, progress->fraction * 100,
                progress->seconds, progress->phase, progress->detail ?: "");
    else if (progress->started)
        fprintf(stderr, "         %s...\n", progress->phase);
    fflush(stderr);
}

static void print_built(const HxImage *image, HxImageOutcome outcome)
{
    g_autofree char *size = g_format_size_full(hx_image_size(image), G_FORMAT_SIZE_IEC_UNITS);
    const char *state = outcome == HX_IMAGE_BUILT     ? "built"
                        : outcome == HX_IMAGE_CURRENT ? "is there already"
                                                      : "is kept";
    printf("image %s %s: Debian %s, Linux %s, %s\n", hx_image_name(image), state,
           hx_image_debian_version(image), hx_image_kernel_version(image), size);
}

static gboolean build(int argc, char **argv, GError **error)
{
    gboolean force = FALSE, json = FALSE;
    HxImageRecipe recipe = {0};
    g_autofree char *architecture = NULL;
    g_auto(GStrv) packages = NULL;
    const GOptionEntry options[] = {
        {"force", 0, 0, G_OPTION_ARG_NONE, &force, "build it anew where it is there", NULL},
        {"arch", 0, 0, G_OPTION_ARG_STRING, &architecture,
         "the guest's architecture (default: the host's)", "x86_64|aarch64"},
        {"minimal", 0, 0, G_OPTION_ARG_NONE, &recipe.minimal, "no desktop and no GPU", NULL},
        {"firmware", 0, 0, G_OPTION_ARG_NONE, &recipe.firmware,
         "with a boot loader for firmware (aarch64: always)", NULL},
        {"package", 0, 0, G_OPTION_ARG_STRING_ARRAY, &packages,
         "install this package of Debian's, too; may be repeated", "PACKAGE"},
        {"json", 0, 0, G_OPTION_ARG_NONE, &json, "print the image as JSON", NULL},
        {NULL},
    };
    if (!hx_verb_parse("[IMAGE]", options, &argc, &argv, 0, 1, error))
        return FALSE;
    const char *name = argc > 1 ? argv[1] : "default";
    recipe.architecture = architecture;
    recipe.packages = packages;
    HxImageOutcome outcome = HX_IMAGE_BUILT;
    gboolean done = hx_image_build(name, &recipe, force, show_progress, NULL, &outcome,
                                   hx_verb_cancellable(), error);
    if (!done) {
        /* The message starts on a line of its own. */
        if (hx_screen_is(STDERR_FILENO))
            fputs("\r\033[K", stderr);
        return FALSE;
    }
    g_autoptr(HxImage) image = hx_image_open(name, error);
    if (!image)
        return FALSE;
    if (json)
        hx_image_print_json(image);
    else
        print_built(image, outcome);
    if (outcome == HX_IMAGE_KEPT)
        fprintf(stderr, "note: it was built from an older recipe, but VMs use it; `helixvm image "
                        "build NEW-NAME` builds another\n");
    return TRUE;
}

/* --- list ------------------------------------------------------------------------------------ */

static void print_array(JsonArray *array)
{
    g_autoptr(JsonNode) root = json_node_new(JSON_NODE_ARRAY);
    json_node_take_array(root, array);
    g_autofree char *text = json_to_string(root, TRUE);
    puts(text);
}

static void print_json(const GPtrArray *images)
{
    JsonArray *array = json_array_new();
    for (guint i = 0; i < images->len; i++)
        json_array_add_element(array, hx_image_print_node(images->pdata[i]));
    print_array(array);
}

static void print_table(const GPtrArray *images)
{
    int name = strlen("NAME"), system = strlen("SYSTEM");
    for (guint i = 0; i < images->len; i++) {
        name = MAX(name, (int)strlen(hx_image_name(images->pdata[i])));
        system = MAX(system, (int)g_utf8_strlen(hx_image_system(images->pdata[i]), -1));
    }
    printf("%-*s  %-7s  %-*s  %-8s  %10s  %-10s  %s\n", name, "NAME", "ARCH", system, "SYSTEM",
           "BOOT", "SIZE", "MADE", "USED BY");
    for (guint i = 0; i < images->len; i++) {
        const HxImage *image = images->pdata[i];
        g_autofree char *size = g_format_size_full(hx_image_size(image), G_FORMAT_SIZE_IEC_UNITS);
        g_auto(GStrv) users = hx_image_users(hx_image_name(image), NULL);
        g_autofree char *names = users && *users ? g_strjoinv(", ", users) : g_strdup("-");
        int padding = system - g_utf8_strlen(hx_image_system(image), -1);
        const char *made = hx_image_built_at(image) ?: hx_image_fetched_at(image);
        printf("%-*s  %-7s  %s%*s  %-8s  %10s  %-10.10s  %s\n", name, hx_image_name(image),
               hx_image_architecture(image), hx_image_system(image), padding, "",
               hx_image_kernel(image) ? "direct" : "firmware", size, made ? made : "-", names);
    }
}

static void print_catalogue_json(const GPtrArray *entries)
{
    JsonArray *array = json_array_new();
    for (guint i = 0; i < entries->len; i++) {
        const HxCatalogueEntry *entry = entries->pdata[i];
        JsonObject *object = json_object_new();
        hx_image_print_add_text(object, "name", entry->name);
        hx_image_print_add_text(object, "architecture", entry->architecture);
        hx_image_print_add_text(object, "system", entry->title);
        hx_image_print_add_text(object, "source", entry->url);
        hx_image_print_add_text(object, "checksums", entry->checksums);
        hx_image_print_add_text(object, "checksum", entry->checksum);
        hx_image_print_add_text(object, "kind", entry->kind);
        json_array_add_object_element(array, object);
    }
    print_array(array);
}

static gboolean list_available(gboolean json, GError **error)
{
    g_autoptr(GPtrArray) entries = hx_catalogue_load(error);
    if (!entries)
        return FALSE;
    if (json) {
        print_catalogue_json(entries);
        return TRUE;
    }
    printf("%-16s %-8s %-24s %s\n", "NAME", "ARCH", "SYSTEM", "FROM");
    for (guint i = 0; i < entries->len; i++) {
        const HxCatalogueEntry *entry = entries->pdata[i];
        printf("%-16s %-8s %-24s %s\n", entry->name, entry->architecture, entry->title, entry->url);
    }
    return TRUE;
}

static gboolean list(int argc, char **argv, GError **error)
{
    gboolean json = FALSE, available = FALSE;
    const GOptionEntry options[] = {
        {"available", 'a', 0, G_OPTION_ARG_NONE, &available, "list those that can be fetched",
         NULL},
        {"json", 0, 0, G_OPTION_ARG_NONE, &json, "print JSON", NULL},
        {NULL},
    };
    if (!hx_verb_parse("", options, &argc, &argv, 0, 0, error))
        return FALSE;
    if (available)
        return list_available(json, error);
    g_autoptr(GPtrArray) images = hx_image_list(error);
    if (!images)
        return FALSE;
    if (json)
        print_json(images);
    else if (images->len == 0)
        fputs("no images: `helixvm image build` makes one, `helixvm image fetch` gets one\n",
              stderr);
    else
        print_table(images);
    return TRUE;
}

static void tell_waiting(void *data)
{
    fputs("waiting for a build, or another removal, to end\n", stderr);
}

/* With it goes what an interrupted fetch of the same name left.  *ret_removed: there was an image.
 */
static gboolean remove_image(const char *name, gboolean *ret_removed, GError **error)
{
    g_autoptr(GError) cause = NULL;
    *ret_removed = hx_image_remove(name, tell_waiting, NULL, hx_verb_cancellable(), &cause);
    gboolean is_missing = g_error_matches(cause, HX_ERROR, HX_ERROR_NOT_FOUND);
    g_autoptr(GError) other = NULL;
    if ((*ret_removed || is_missing) && hx_image_fetch_discard(name, &other))
        return TRUE;
    if (other)
        g_propagate_error(error, g_steal_pointer(&other));
    else if (is_missing)
        g_set_error(error, HX_ERROR, HX_ERROR_NOT_FOUND,
                    "there is no image \"%s\": `helixvm image list` shows those there are", name);
    else if (cause)
        g_propagate_error(error, g_steal_pointer(&cause));
    return *ret_removed && !other;
}

static gboolean remove_images(int argc, char **argv, GError **error)
{
    gboolean json = FALSE;
    const GOptionEntry options[] = {
        {"json", 0, 0, G_OPTION_ARG_NONE, &json, "print the result as JSON", NULL},
        {NULL},
    };
    if (!hx_verb_parse("IMAGE...", options, &argc, &argv, 1, G_MAXINT, error))
        return FALSE;
    gboolean done = TRUE;
    JsonArray *array = json_array_new();
    for (int i = 1; i < argc; i++) {
        gboolean removed = FALSE;
        done = done && remove_image(argv[i], &removed, error);
        if (done && !json)
            printf(removed ? "image %s removed\n"
                           : "what an interrupted fetch of %s left is removed\n",
                   argv[i]);
        JsonObject *object = json_object_new();
        json_object_set_string_member(object, "name", argv[i]);
        json_object_set_boolean_member(object, "removed", done);
        json_array_add_object_element(array, object);
    }
    if (json)
        print_array(array);
    else
        json_array_unref(array);
    return done;
}

const HxVerb hx_verb_image_actions[] = {
    {"build", "make a base image from Debian packages", .run = build},
    {"fetch", "fetch a base image from the catalogue, a URL or a file", .run = hx_verb_image_fetch},
    {"list", "list the base images, or those that can be fetched", .run = list},
    {"remove", "remove base images that no VM uses", .run = remove_images},
    {.name = NULL},
};
