/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Theory of operation.  A fetch of image NAME owns STATE/images/.NAME.fetch while it holds flock(2)
 * on it:
 *
 *   part, part.json   what has been downloaded (launcher/download/download.h): outlives an
 * interruption image/            becomes STATE/images/NAME by a rename
 *
 * Bytes go from the network to the part, through the checksum and, where they are packed, through
 * libarchive into image/disk.qcow2, all at once; a download that goes on from a part reads that
 * back first.  What is not packed is not written twice: the part itself becomes the disk.  A packed
 * local file needs no part.  Unpacking comes before the checksum is known to be right, in the least
 * code that does it; nobody looks at what came out before. */
#include "launcher/image/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "launcher/base/delete-tree.h"
#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "launcher/base/json.h"
#include "launcher/base/now.h"
#include "launcher/download/checksum.h"
#include "launcher/download/unpack.h"
#include "launcher/download/url.h"
#include "launcher/image/accept.h"

#define CHECKSUM_LIST_MAX (1024 * 1024)
/* A file that changes all the time is fetched anew so often. */
#define MAX_VERSIONS 3
#define MAGIC_SIZE 6

typedef struct {
    const HxImageFetch *what;
    HxImageFetchFunc *progress;
    void *progress_data;
    GCancellable *cancellable;
    char *directory, *image, *disk; /* .NAME.fetch, image in it, disk.qcow2 in that */
    char *source;                   /* the URL without what is nobody's business */
    char *checksum;                 /* expected; or NULL */
    HxDownload *download;
    GChecksum *sum;
    GByteArray *start;    /* the first bytes, taken to see what it is */
    gboolean start_given; /* to the reader */
    guint64 virtual_size;
} Fetch;

static void fetch_clear(Fetch *fetch)
{
    g_clear_pointer(&fetch->directory, g_free);
    g_clear_pointer(&fetch->image, g_free);
    g_clear_pointer(&fetch->disk, g_free);
    g_clear_pointer(&fetch->source, g_free);
    g_clear_pointer(&fetch->checksum, g_free);
    g_clear_pointer(&fetch->download, hx_download_free);
    g_clear_pointer(&fetch->sum, g_checksum_free);
    g_clear_pointer(&fetch->start, g_byte_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Fetch, fetch_clear)

static void enter_phase(const char *phase, void *data)
{
    const Fetch *fetch = data;
    if (fetch->progress)
        fetch->progress(phase, NULL, fetch->progress_data);
}

static const char *download_phase(const Fetch *fetch)
{
    return hx_url_has_scheme(fetch->what->url, "file") ? "reading the file" : "downloading";
}

static void show_download(const HxDownloadProgress *download, void *data)
{
    const Fetch *fetch = data;
    if (fetch->progress)
        fetch->progress(download_phase(fetch), download, fetch->progress_data);
}

/* --- names ----------------------------------------------------------------------------------- */

char *hx_image_fetch_name(const char *url)
{
    static const char *const endings[] = {".xz",  ".zst", ".gz",    ".zstd",
                                          ".img", ".raw", ".qcow2", NULL};
    g_autofree char *name = hx_url_file_name(url);
    if (!name)
        return NULL;
    g_autofree char *lower = g_ascii_strdown(name, -1);
    for (const char *const *ending = endings; *ending;) {
        gboolean has = g_str_has_suffix(lower, *ending);
        if (has)
            lower[strlen(lower) - strlen(*ending)] = '\0';
        ending = has ? endings : ending + 1;
    }
    g_strcanon(lower, "abcdefghijklmnopqrstuvwxyz0123456789-._", '-');
    const char *first = lower + strspn(lower, "-._");
    return *first ? g_strndup(first, 40) : NULL;
}

const char *hx_image_fetch_architecture(const char *url)
{
    static const struct {
        const char *word, *architecture;
    } words[] = {
        {"x86_64", "x86_64"}, {"amd64", "x86_64"}, {"aarch64", "aarch64"}, {"arm64", "aarch64"}};
    g_autofree char *name = hx_url_file_name(url);
    g_autofree char *lower = g_ascii_strdown(name ?: "", -1);
    for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
        if (strstr(lower, words[i].word))
            return words[i].architecture;
    return NULL;
}

/* --- checksum -------------------------------------------------------------------------------- */

static gboolean get_list(const Fetch *fetch, GString *list, GError **error)
{
    HxDownloadOptions options = {
        .url = fetch->what->checksums,
        .max_size = CHECKSUM_LIST_MAX,
        .timeout = fetch->what->timeout,
        .retries = fetch->what->retries,
        .cancellable = fetch->cancellable,
    };
    g_autoptr(HxDownload) download = hx_download_new(&options, error);
    const void *bytes = NULL;
    gssize n = download ? 0 : -1;
    while (download && (n = hx_download_read(download, &bytes, error)) > 0)
        g_string_append_len(list, bytes, n);
    return n == 0;
}

/* What the file has to be. */
static gboolean find_checksum(Fetch *fetch, GError **error)
{
    const HxImageFetch *what = fetch->what;
    gboolean is_local = hx_url_has_scheme(what->url, "file");
    fetch->checksum = g_strdup(what->checksum);
    if (what->checksum || (is_local && !what->checksums))
        return TRUE;
    if (what->checksums) {
        enter_phase("getting the list of checksums", fetch);
        g_autoptr(GString) list = g_string_new(NULL);
        g_autofree char *name = hx_url_file_name(what->url);
        if (get_list(fetch, list, error))
            fetch->checksum = hx_checksum_find(list->str, list->len, name ?: "", error);
        if (!fetch->checksum)
            g_prefix_error(error, "cannot use the list of checksums %s: ", what->checksums);
        return fetch->checksum != NULL;
    }
    if (what->without_checksum && hx_url_has_scheme(what->url, "https"))
        return TRUE;
    g_set_error(error, HX_ERROR, HX_ERROR_USAGE,
                what->without_checksum
                    ? "%s can be changed by anybody on the way: give its checksum (--sha256 or "
                      "--sha512), or an https URL"
                    : "%s needs a checksum: give the publisher's by --sha256 or --sha512 (or, if "
                      "there is none, say --without-checksum)",
                what->url);
    return FALSE;
}

static void prepare_sum(Fetch *fetch)
{
    /* Without an expected one, it is recorded all the same. */
    GChecksumType type = fetch->checksum ? hx_checksum_type(fetch->checksum) : G_CHECKSUM_SHA256;
    g_clear_pointer(&fetch->sum, g_checksum_free);
    fetch->sum = g_checksum_new(type);
}

static gboolean compare_checksum(Fetch *fetch, GError **error)
{
    GChecksumType type = fetch->checksum ? hx_checksum_type(fetch->checksum) : G_CHECKSUM_SHA256;
    g_autofree char *sum = hx_checksum_new(type, g_checksum_get_string(fetch->sum), error);
    if (!sum)
        return FALSE;
    if (!fetch->checksum) {
        fetch->checksum = g_steal_pointer(&sum);
        return TRUE;
    }
    if (g_str_equal(sum, fetch->checksum))
        return TRUE;
    g_set_error(error, HX_ERROR, HX_ERROR_FAILED,
                "it is not the file that was published: its checksum is %s, and should be %s", sum,
                fetch->checksum);
    return FALSE;
}

/* --- download -------------------------------------------------------------------------------- */

/* HxChunkFunc: first what was looked at, then what follows; all goes through the checksum once. */
static gssize next_chunk(void *data, const void **ret_chunk, GError **error)
{
    Fetch *fetch = data;
    if (!fetch->start_given) {
        fetch->start_given = TRUE;
        *ret_chunk = fetch->start->data;
        if (fetch->start->len > 0)
            return fetch->start->len;
    }
    gssize n = hx_download_read(fetch->download, ret_chunk, error);
    if (n > 0)
        g_checksum_update(fetch->sum, *ret_chunk, n);
    return n;
}

static gboolean look_at_start(Fetch *fetch, GError **error)
{
    g_clear_pointer(&fetch->start, g_byte_array_unref);
    fetch->start = g_byte_array_new();
    fetch->start_given = FALSE;
    while (fetch->start->len < MAGIC_SIZE) {
        const void *chunk = NULL;
        gssize n = hx_download_read(fetch->download, &chunk, error);
        if (n <= 0)
            return n == 0;
        g_checksum_update(fetch->sum, chunk, n);
        g_byte_array_append(fetch->start, chunk, n);
    }
    return TRUE;
}

static gboolean drain(Fetch *fetch, GError **error)
{
    const void *chunk = NULL;
    gssize n;
    while ((n = next_chunk(fetch, &chunk, error)) > 0) {
    }
    return n == 0;
}

static gboolean unpack(Fetch *fetch, GError **error)
{
    hx_autofd int disk = open(fetch->disk, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (disk < 0) {
        hx_set_error_errno(error, HX_ERROR_HOST, errno, "cannot make %s", fetch->disk);
        return FALSE;
    }
    return hx_unpack(next_chunk, fetch, disk, fetch->what->max_size, error) && drain(fetch, error);
}

/* Of a local file: whether it is packed, known before it is read. */
static gboolean is_packed_file(const char *url)
{
    g_autofree char *path = g_filename_from_uri(url, NULL, NULL);
    guint8 start[MAGIC_SIZE];
    hx_autofd int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
    gssize n = fd < 0 ? -1 : read(fd, start, sizeof start);
    return n > 0 && hx_is_packed(start, n);
}

/* The disk from the URL, unpacked, and known to be what was published. */
static gboolean get_disk(Fetch *fetch, GError **error)
{
    const HxImageFetch *what = fetch->what;
    gboolean is_local = hx_url_has_scheme(what->url, "file");
    HxDownloadOptions options = {
        .url = what->url,
        .directory = is_local && is_packed_file(what->url) ? NULL : fetch->directory,
        .max_size = what->max_size,
        .timeout = what->timeout,
        .retries = is_local ? 0 : what->retries,
        .checked = fetch->checksum && !is_local,
        .progress = show_download,
        .progress_data = fetch,
        .cancellable = fetch->cancellable,
    };
    enter_phase(download_phase(fetch), fetch);
    prepare_sum(fetch);
    fetch->download = hx_download_new(&options, error);
    if (!fetch->download || !look_at_start(fetch, error))
        return FALSE;
    if (hx_is_packed(fetch->start->data, fetch->start->len))
        return unpack(fetch, error) && compare_checksum(fetch, error);
    return drain(fetch, error) && compare_checksum(fetch, error) &&
           hx_download_take_part(fetch->download, fetch->disk, error);
}

/* An empty directory for the image, whatever a killed fetch left in it. */
static gboolean make_directory(Fetch *fetch, GError **error)
{
    if (!hx_delete_tree(fetch->image, error))
        return FALSE;
    if (g_mkdir(fetch->image, 0755) == 0 && g_chmod(fetch->image, 0755) == 0)
        return TRUE;
    hx_set_error_errno(error, HX_ERROR_HOST, errno, "cannot make %s", fetch->image);
    return FALSE;
}

static gboolean get_some_version(Fetch *fetch, GError **error)
{
    for (int version = 1;; version++) {
        g_autoptr(GError) cause = NULL;
        if (!make_directory(fetch, error))
            return FALSE;
        if (get_disk(fetch, &cause))
            return TRUE;
        gboolean again =
            fetch->download && hx_download_is_stale(fetch->download) && version < MAX_VERSIONS;
        if (!again) {
            g_propagate_error(error, g_steal_pointer(&cause));
            return FALSE;
        }
        show_download(&(HxDownloadProgress){.note = cause->message, .left = -1}, fetch);
        g_clear_pointer(&fetch->download, hx_download_free);
    }
}

/* --- the image ------------------------------------------------------------------------------- */

static gboolean write_metadata(const Fetch *fetch, GError **error)
{
    const HxImageFetch *what = fetch->what;
    g_autofree char *fetched_at = hx_now_text();
    g_autoptr(JsonBuilder) builder = json_builder_new();
    json_builder_begin_object(builder);
    hx_json_add_string(builder, "architecture", what->architecture);
    hx_json_add_string(builder, "boot", "firmware");
    hx_json_add_string(builder, "system", what->system);
    hx_json_add_string(builder, "fetched_at", fetched_at);
    hx_json_add_string(builder, "source", fetch->source);
    hx_json_add_string(builder, "checksum", fetch->checksum);
    hx_json_add_integer(builder, "virtual_size", fetch->virtual_size);
    json_builder_end_object(builder);
    g_autofree char *text = hx_json_text(builder, TRUE);
    g_autofree char *path = g_build_filename(fetch->image, "image.json", NULL);
    g_autoptr(GError) cause = NULL;
    if (g_file_set_contents(path, text, -1, &cause))
        return TRUE;
    g_set_error(error, HX_ERROR, HX_ERROR_HOST, "cannot write the image: %s", cause->message);
    return FALSE;
}

/* Read-only for all, and on the platter before the image appears. */
static gboolean seal(const char *directory, const char *name, GError **error)
{
    g_autofree char *path = g_build_filename(directory, name, NULL);
    hx_autofd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0 && fchmod(fd, 0444) == 0 && fsync(fd) == 0)
        return TRUE;
    hx_set_error_errno(error, HX_ERROR_HOST, errno, "cannot finish %s", path);
    return FALSE;
}

static gboolean make_image(Fetch *fetch, HxImageOutcome *ret_outcome, GError **error)
{
    if (!get_some_version(fetch, error))
        return FALSE;
    if (!hx_image_accept(fetch->disk, enter_phase, fetch, &fetch->virtual_size, fetch->cancellable,
                         error))
        return FALSE;
    enter_phase("putting it in place", fetch);
    if (!write_metadata(fetch, error) || !seal(fetch->image, "disk.qcow2", error) ||
        !seal(fetch->image, "image.json", error))
        return FALSE;
    g_autoptr(GError) cause = NULL;
    gboolean in_use = FALSE;
    if (hx_image_publish(fetch->what->name, fetch->image, &in_use, &cause))
        return TRUE;
    if (in_use && !fetch->what->force) {
        *ret_outcome = HX_IMAGE_KEPT;
        return TRUE;
    }
    g_propagate_error(error, g_steal_pointer(&cause));
    return FALSE;
}

/* Whether there is nothing to do, because of the image that is there. */
static gboolean settled(const Fetch *fetch, gboolean *ret_settled, HxImageOutcome *ret_outcome,
                        GError **error)
{
    const HxImageFetch *what = fetch->what;
    g_autoptr(HxImage) image = hx_image_open(what->name, NULL);
    *ret_settled = FALSE;
    if (!image)
        return TRUE;
    if (what->force)
        return hx_image_check_unused(what->name, "replace", error);
    const char *source = hx_image_source(image);
    if (g_strcmp0(source, fetch->source) != 0 ||
        !g_str_equal(hx_image_architecture(image), what->architecture)) {
        g_set_error(
            error, HX_ERROR, HX_ERROR_CONFIG,
            "there is another image \"%s\" (%s, %s): fetch this one --as another, or replace "
            "that with --force",
            what->name, hx_image_architecture(image), source ?: "built here");
        return FALSE;
    }
    if (!fetch->checksum || g_strcmp0(hx_image_checksum(image), fetch->checksum) == 0) {
        *ret_outcome = HX_IMAGE_CURRENT;
        *ret_settled = TRUE;
        return TRUE;
    }
    g_auto(GStrv) users = hx_image_users(what->name, error);
    *ret_settled = users && *users;
    if (*ret_settled)
        *ret_outcome = HX_IMAGE_KEPT;
    return users != NULL;
}

/* All is removed but what the next fetch goes on from. */
static void clean_up(Fetch *fetch, gboolean fetched)
{
    guint64 size;
    gboolean kept = !fetched && fetch->download && hx_download_is_kept(fetch->download, &size);
    g_clear_pointer(&fetch->download, hx_download_free);
    hx_delete_tree(kept ? fetch->image : fetch->directory, NULL);
}

static void explain(const Fetch *fetch, GError **error)
{
    guint64 size;
    g_prefix_error(error, "cannot fetch %s: ", fetch->source);
    if (!fetch->download || !hx_download_is_kept(fetch->download, &size))
        return;
    g_autofree char *text = g_format_size_full(size, G_FORMAT_SIZE_IEC_UNITS);
    g_autofree char *message = g_steal_pointer(&(*error)->message);
    (*error)->message = g_strdup_printf(
        "%s; what has come (%s) is kept: the same command goes on from there", message, text);
}

static void tell_waiting(void *data)
{
    enter_phase("waiting for another fetch of it", data);
}

static char *fetch_directory(const char *name, GError **error)
{
    g_autofree char *images =
        hx_image_check_name(name, error) ? hx_image_create_directory(error) : NULL;
    if (!images)
        return NULL;
    return g_strdup_printf("%s/.%s.fetch", images, name);
}

gboolean hx_image_fetch(const HxImageFetch *what, HxImageFetchFunc *progress, void *data,
                        HxImageOutcome *ret_outcome, GCancellable *cancellable, GError **error)
{
    g_auto(Fetch) fetch = {
        .what = what,
        .progress = progress,
        .progress_data = data,
        .cancellable = cancellable,
        .source = hx_url_without_query(what->url),
        .directory = fetch_directory(what->name, error),
    };
    if (!fetch.directory || !hx_url_check(what->url, error))
        return FALSE;
    fetch.image = g_build_filename(fetch.directory, "image", NULL);
    fetch.disk = g_build_filename(fetch.image, "disk.qcow2", NULL);
    *ret_outcome = HX_IMAGE_BUILT;
    g_autoptr(GError) cause = NULL;
    gboolean is_settled = FALSE;
    if (!find_checksum(&fetch, error))
        return FALSE;
    hx_autofd int lock =
        hx_image_lock_directory(fetch.directory, tell_waiting, &fetch, cancellable, error);
    if (lock < 0)
        return FALSE;
    fchmod(lock, 0700); /* the whole URL is in there */
    gboolean fetched = settled(&fetch, &is_settled, ret_outcome, &cause);
    if (fetched && !is_settled) {
        fetched = make_image(&fetch, ret_outcome, &cause);
        if (!fetched)
            explain(&fetch, &cause);
    }
    if (!fetched)
        g_propagate_error(error, g_steal_pointer(&cause));
    clean_up(&fetch, fetched);
    return fetched;
}

gboolean hx_image_fetch_discard(const char *name, GError **error)
{
    g_autofree char *directory = fetch_directory(name, error);
    hx_autofd int fd =
        directory ? open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
    return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && hx_delete_tree(directory, error);
}
