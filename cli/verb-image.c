/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm image: the base images that VMs' disks lie on. */
#include <json-glib/json-glib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/verb.h"
#include "launcher/base/error.h"
#include "launcher/image-build.h"
#include "launcher/image-store.h"

/* --- build ----------------------------------------------------------------------------------- */

static gboolean on_terminal(void)
{
    return isatty(STDERR_FILENO) && g_strcmp0(g_getenv("TERM"), "dumb") != 0;
}

/* On a terminal one line that changes, elsewhere a line for each phase. */
static void show_progress(const HxImageProgress *progress, void *data)
{
    gboolean terminal = on_terminal();
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

static gboolean build(int argc, char **argv, GError **error)
{
    gboolean force = FALSE;
    const GOptionEntry options[] = {
        {"force", 0, 0, G_OPTION_ARG_NONE, &force, "Build it anew where it is there", NULL},
        {NULL},
    };
    if (!hx_verb_parse("[IMAGE]", options, &argc, &argv, 0, 1, error))
        return FALSE;
    const char *name = argc > 1 ? argv[1] : "default";
    HxImageOutcome outcome = HX_IMAGE_BUILT;
    gboolean done =
        hx_image_build(name, force, show_progress, NULL, &outcome, hx_verb_cancellable(), error);
    if (!done) {
        /* The message starts on a line of its own. */
        if (on_terminal())
            fputs("\r\033[K", stderr);
        return FALSE;
    }
    g_autoptr(HxImage) image = hx_image_open(name, error);
    if (!image)
        return FALSE;
    g_autofree char *size = g_format_size_full(hx_image_size(image), G_FORMAT_SIZE_IEC_UNITS);
    const char *state = outcome == HX_IMAGE_BUILT     ? "built"
                        : outcome == HX_IMAGE_CURRENT ? "is there already"
                                                      : "is kept";
    printf("image %s %s: Debian %s, Linux %s, %s\n", name, state, hx_image_debian_version(image),
           hx_image_kernel_version(image), size);
    if (outcome == HX_IMAGE_KEPT)
        fprintf(stderr, "note: it was built from an older recipe, but VMs use it; `helixvm image "
                        "build NEW-NAME` builds another\n");
    return TRUE;
}

/* --- list ------------------------------------------------------------------------------------ */

/* null where @value is NULL. */
static void add_text(JsonObject *object, const char *name, const char *value)
{
    if (value)
        json_object_set_string_member(object, name, value);
    else
        json_object_set_null_member(object, name);
}

static JsonNode *image_node(const HxImage *image)
{
    JsonObject *object = json_object_new();
    add_text(object, "name", hx_image_name(image));
    add_text(object, "architecture", hx_image_architecture(image));
    add_text(object, "system", hx_image_system(image));
    add_text(object, "boot", hx_image_kernel(image) ? "direct" : "firmware");
    add_text(object, "built_at", hx_image_built_at(image));
    add_text(object, "debian_version", hx_image_debian_version(image));
    add_text(object, "kernel_version", hx_image_kernel_version(image));
    add_text(object, "recipe", hx_image_recipe(image));
    add_text(object, "fetched_at", hx_image_fetched_at(image));
    add_text(object, "source", hx_image_source(image));
    add_text(object, "checksum", hx_image_checksum(image));
    json_object_set_int_member(object, "bytes", hx_image_size(image));
    json_object_set_int_member(object, "virtual_bytes", hx_image_virtual_size(image));
    add_text(object, "disk", hx_image_disk(image));
    add_text(object, "kernel", hx_image_kernel(image));
    add_text(object, "initrd", hx_image_initrd(image));
    JsonArray *users = json_array_new();
    g_auto(GStrv) names = hx_image_users(image, NULL);
    for (char **name = names; name && *name; name++)
        json_array_add_string_element(users, *name);
    json_object_set_array_member(object, "used_by", users);
    JsonNode *node = json_node_new(JSON_NODE_OBJECT);
    json_node_take_object(node, object);
    return node;
}

static void print_json(const GPtrArray *images)
{
    JsonArray *array = json_array_new();
    for (guint i = 0; i < images->len; i++)
        json_array_add_element(array, image_node(images->pdata[i]));
    g_autoptr(JsonNode) root = json_node_new(JSON_NODE_ARRAY);
    json_node_take_array(root, array);
    g_autofree char *text = json_to_string(root, TRUE);
    puts(text);
}

static void print_table(const GPtrArray *images)
{
    printf("%-16s %-8s %-20s %-8s %10s  %-20s %s\n", "NAME", "ARCH", "SYSTEM", "BOOT", "SIZE",
           "MADE", "USED BY");
    for (guint i = 0; i < images->len; i++) {
        const HxImage *image = images->pdata[i];
        g_autofree char *size = g_format_size_full(hx_image_size(image), G_FORMAT_SIZE_IEC_UNITS);
        g_auto(GStrv) users = hx_image_users(image, NULL);
        g_autofree char *names = users && *users ? g_strjoinv(", ", users) : g_strdup("-");
        printf("%-16s %-8s %-20s %-8s %10s  %-20s %s\n", hx_image_name(image),
               hx_image_architecture(image), hx_image_system(image),
               hx_image_kernel(image) ? "direct" : "firmware", size,
               hx_image_built_at(image) ?: hx_image_fetched_at(image), names);
    }
}

static gboolean list(int argc, char **argv, GError **error)
{
    gboolean json = FALSE;
    const GOptionEntry options[] = {
        {"json", 0, 0, G_OPTION_ARG_NONE, &json, "Print JSON", NULL},
        {NULL},
    };
    if (!hx_verb_parse("", options, &argc, &argv, 0, 0, error))
        return FALSE;
    g_autoptr(GPtrArray) images = hx_image_list(error);
    if (!images)
        return FALSE;
    if (json)
        print_json(images);
    else if (images->len == 0)
        fputs("no images: `helixvm image build` makes one\n", stderr);
    else
        print_table(images);
    return TRUE;
}

static gboolean remove_image(int argc, char **argv, GError **error)
{
    const GOptionEntry options[] = {{NULL}};
    if (!hx_verb_parse("IMAGE", options, &argc, &argv, 1, 1, error) ||
        !hx_image_remove(argv[1], hx_verb_cancellable(), error))
        return FALSE;
    printf("image %s removed\n", argv[1]);
    return TRUE;
}

const HxVerb hx_verb_image_actions[] = {
    {"build", "make a base image from Debian packages", .run = build},
    {"list", "list the base images", .run = list},
    {"remove", "remove a base image that no VM uses", .run = remove_image},
    {.name = NULL},
};
