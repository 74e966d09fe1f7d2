/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm image fetch: a base image from the catalogue, a URL or a file. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cli/image-fetch-progress.h"
#include "cli/image-print.h"
#include "cli/screen.h"
#include "cli/verb.h"
#include "launcher/base/error.h"
#include "launcher/download/checksum.h"
#include "launcher/image/catalogue.h"
#include "launcher/image/fetch.h"

#define DEFAULT_MAX_SIZE 64 /* GiB */
#define DEFAULT_TIMEOUT 60
#define DEFAULT_RETRIES 5

typedef struct {
    char *architecture, *as, *sha256, *sha512;
    gboolean without_checksum, force, quiet, json;
    int max_size, timeout, retries;
} Options;

static void options_clear(Options *options)
{
    g_free(options->architecture);
    g_free(options->as);
    g_free(options->sha256);
    g_free(options->sha512);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Options, options_clear)

/* What is to be fetched, from the words of the command line. */
typedef struct {
    char *name, *url, *system, *checksum;
    const char *architecture;
    GPtrArray *catalogue;
    const HxCatalogueEntry *entry; /* NULL: not from the catalogue */
} Wish;

static void wish_clear(Wish *wish)
{
    g_free(wish->name);
    g_free(wish->url);
    g_free(wish->system);
    g_free(wish->checksum);
    g_clear_pointer(&wish->catalogue, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Wish, wish_clear)

static const char *host_architecture(void)
{
    struct utsname host;
    if (uname(&host) == 0 &&
        (g_str_equal(host.machine, "aarch64") || g_str_equal(host.machine, "arm64")))
        return "aarch64";
    return "x86_64";
}

static gboolean check_options(const Options *options, GError **error)
{
    const char *why = NULL;
    if (options->architecture && !hx_image_is_architecture(options->architecture))
        why = "--arch is x86_64 or aarch64";
    else if (options->sha256 && options->sha512)
        why = "--sha256 and --sha512 exclude each other";
    else if (options->without_checksum && (options->sha256 || options->sha512))
        why = "--without-checksum excludes --sha256 and --sha512";
    else if (options->max_size < 1 || options->max_size > 1024 * 1024)
        why = "--max-size is 1 or more, GiB";
    else if (options->timeout < 1 || options->timeout > 3600)
        why = "--timeout is 1 to 3600 seconds";
    else if (options->retries < 0 || options->retries > 1000)
        why = "--retries is 0 to 1000";
    if (why)
        g_set_error(error, HX_ERROR, HX_ERROR_USAGE, "%s: see `helixvm image fetch --help`", why);
    return !why;
}

/* The URL of a file of the user's own. */
static char *file_url(const char *path, GError **error)
{
    struct stat file;
    if (stat(path, &file) < 0 || !S_ISREG(file.st_mode)) {
        g_set_error(error, HX_ERROR, HX_ERROR_NOT_FOUND, "there is no file %s", path);
        return NULL;
    }
    g_autofree char *absolute = g_canonicalize_filename(path, NULL);
    return g_filename_to_uri(absolute, NULL, error);
}

/* A file: URL has to name a file, of all that may be there. */
static gboolean check_file_url(const char *url, GError **error)
{
    if (g_ascii_strncasecmp(url, "file:", 5) != 0)
        return TRUE;
    g_autofree char *path = g_filename_from_uri(url, NULL, error);
    g_autofree char *again = path ? file_url(path, error) : NULL;
    return again != NULL;
}

static gboolean wish_from_catalogue(Wish *wish, const char *word, const Options *options,
                                    GError **error)
{
    wish->architecture = options->architecture ?: host_architecture();
    wish->catalogue = hx_catalogue_load(error);
    if (!wish->catalogue)
        return FALSE;
    wish->entry = hx_catalogue_find(wish->catalogue, word, wish->architecture, error);
    if (!wish->entry)
        return FALSE;
    gboolean foreign = !g_str_equal(wish->architecture, host_architecture());
    wish->name = foreign ? g_strdup_printf("%s-%s", word, wish->architecture) : g_strdup(word);
    wish->url = g_strdup(wish->entry->url);
    wish->system = g_strdup(wish->entry->title);
    return TRUE;
}

static gboolean wish_from_url(Wish *wish, const char *word, const Options *options, GError **error)
{
    gboolean is_url = strstr(word, "://") != NULL;
    wish->url = is_url ? g_strdup(word) : file_url(word, error);
    if (!wish->url || !check_file_url(wish->url, error))
        return FALSE;
    wish->architecture = options->architecture
                             ?: hx_image_fetch_architecture(wish->url) ?: host_architecture();
    wish->name = hx_image_fetch_name(wish->url);
    wish->system = g_strdup(wish->name);
    if (wish->name || options->as)
        return TRUE;
    g_set_error(error, HX_ERROR, HX_ERROR_USAGE, "%s names no file: give the image a name by --as",
                word);
    return FALSE;
}

static gboolean read_wish(Wish *wish, const char *word, const Options *options, GError **error)
{
    if (!(strchr(word, '/') ? wish_from_url : wish_from_catalogue)(wish, word, options, error))
        return FALSE;
    if (options->as) {
        g_free(wish->name);
        wish->name = g_strdup(options->as);
    }
    if (options->sha256 || options->sha512) {
        wish->checksum = hx_checksum_new(options->sha256 ? G_CHECKSUM_SHA256 : G_CHECKSUM_SHA512,
                                         options->sha256 ?: options->sha512, error);
        return wish->checksum != NULL;
    }
    wish->checksum = wish->entry ? g_strdup(wish->entry->checksum) : NULL;
    return TRUE;
}

static gboolean print_outcome(const char *name, HxImageOutcome outcome, gboolean json,
                              GError **error)
{
    g_autoptr(HxImage) image = hx_image_open(name, error);
    if (!image)
        return FALSE;
    if (json) {
        hx_image_print_json(image);
    } else {
        g_autofree char *size = g_format_size_full(hx_image_size(image), G_FORMAT_SIZE_IEC_UNITS);
        const char *state = outcome == HX_IMAGE_BUILT     ? "fetched"
                            : outcome == HX_IMAGE_CURRENT ? "is there already"
                                                          : "is kept";
        printf("image %s %s: %s, %s, %s\n", name, state, hx_image_system(image),
               hx_image_architecture(image), size);
    }
    if (outcome == HX_IMAGE_KEPT)
        fprintf(stderr,
                "note: the publisher has a newer one, but VMs use this; `helixvm image fetch "
                "--as NEW-NAME` fetches it beside\n");
    return TRUE;
}

static gboolean fetch(const Wish *wish, const Options *options, GError **error)
{
    gboolean terminal = hx_screen_is(STDERR_FILENO);
    HxFetchDisplay display = {.quiet = options->quiet, .terminal = terminal};
    HxImageFetch what = {
        .name = wish->name,
        .url = wish->url,
        .architecture = wish->architecture,
        .system = wish->system,
        .checksum = wish->checksum,
        .checksums = wish->entry && !wish->checksum ? wish->entry->checksums : NULL,
        .without_checksum = options->without_checksum,
        .force = options->force,
        .max_size = (guint64)options->max_size << 30,
        .timeout = options->timeout,
        .retries = options->retries,
    };
    HxImageOutcome outcome = HX_IMAGE_BUILT;
    gboolean done =
        hx_image_fetch(&what, hx_fetch_display, &display, &outcome, hx_verb_cancellable(), error);
    hx_fetch_display_end(&display);
    return done && print_outcome(wish->name, outcome, options->json, error);
}

gboolean hx_verb_image_fetch(int argc, char **argv, GError **error)
{
    g_auto(Options) options = {
        .max_size = DEFAULT_MAX_SIZE, .timeout = DEFAULT_TIMEOUT, .retries = DEFAULT_RETRIES};
    const GOptionEntry entries[] = {
        {"arch", 0, 0, G_OPTION_ARG_STRING, &options.architecture,
         "the architecture (the host's; of a URL, the one that the file's name tells)",
         "x86_64|aarch64"},
        {"as", 0, 0, G_OPTION_ARG_STRING, &options.as, "the name that the image gets", "NAME"},
        {"sha256", 0, 0, G_OPTION_ARG_STRING, &options.sha256, "the file's checksum", "HEX"},
        {"sha512", 0, 0, G_OPTION_ARG_STRING, &options.sha512, "the file's checksum", "HEX"},
        {"without-checksum", 0, 0, G_OPTION_ARG_NONE, &options.without_checksum,
         "take what an https server sends", NULL},
        {"force", 'f', 0, G_OPTION_ARG_NONE, &options.force, "replace an image that is there",
         NULL},
        {"max-size", 0, 0, G_OPTION_ARG_INT, &options.max_size,
         "refuse what is larger, packed or unpacked (64)", "GIB"},
        {"timeout", 0, 0, G_OPTION_ARG_INT, &options.timeout, "give a silent server so long (60)",
         "SECONDS"},
        {"retries", 0, 0, G_OPTION_ARG_INT, &options.retries,
         "try so often again, anew after each MiB (5)", "N"},
        {"quiet", 'q', 0, G_OPTION_ARG_NONE, &options.quiet, "show no progress", NULL},
        {"json", 0, 0, G_OPTION_ARG_NONE, &options.json, "print the image as JSON", NULL},
        {NULL},
    };
    g_auto(Wish) wish = {NULL};
    return hx_verb_parse("CATALOGUE-NAME|URL|FILE", entries, &argc, &argv, 1, 1, error) &&
           check_options(&options, error) && read_wish(&wish, argv[1], &options, error) &&
           fetch(&wish, &options, error);
}
