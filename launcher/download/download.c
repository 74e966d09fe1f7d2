/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/download/download.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "launcher/base/json.h"
#include "launcher/base/pause.h"
#include "launcher/download/output.h"
#include "launcher/download/transfer.h"

#define REPLAY_SIZE (256 * 1024)
#define FIRST_PAUSE_MS 500
#define MAX_PAUSE_MS 30000
/* A server that wants to be left alone for longer than this is not waited for, seconds. */
#define MAX_RETRY_AFTER 300
#define PROGRESS_EVERY_US (G_TIME_SPAN_SECOND / 4)
#define CHECK_SPACE_EVERY (G_GUINT64_CONSTANT(64) << 20)
#define METADATA_MAX (64 * 1024)
/* So much has to come before tries are counted anew: a byte a connection would go on for ever. */
#define PROGRESS_MIN (1024 * 1024)

struct HxDownload {
    HxDownloadOptions options;
    char *part_path, *metadata_path;
    int part; /* -1: nothing is kept */
    HxTransfer *transfer;
    char *etag, *last_modified; /* of the version that is being downloaded */
    guint64 total;              /* 0: not known */
    guint64 replay;             /* bytes in the part from before */
    guint64 position;           /* bytes that the reader has got */
    guint64 check_space_at;     /* this position */
    guint64 skip;               /* bytes of the transfer that the reader has got already */
    gboolean known;             /* a server has said what the file is */
    gboolean complete, stale, interrupted;
    guint failures;          /* since there was progress */
    guint64 progressed_from; /* this position */
    gint64 retry_after;
    guint8 *buffer;
    gint64 told_at; /* monotonic, microseconds */
    guint64 told_position;
    double rate;
};

/* --- the part -------------------------------------------------------------------------------- */

/* Whether part.json is of this download; then it says of which version. */
static gboolean read_metadata(HxDownload *download)
{
    g_autofree char *text = NULL;
    gsize length = 0;
    if (!g_file_get_contents(download->metadata_path, &text, &length, NULL) ||
        length > METADATA_MAX)
        return FALSE;
    g_autoptr(JsonObject) object = hx_json_parse_object(text, length);
    gint64 total = hx_json_integer(object, "total");
    if (g_strcmp0(hx_json_string(object, "url"), download->options.url) != 0 || total < 0)
        return FALSE;
    download->etag = g_strdup(hx_json_string(object, "etag"));
    download->last_modified = g_strdup(hx_json_string(object, "last_modified"));
    download->total = total;
    return TRUE;
}

static gboolean write_metadata(HxDownload *download, GError **error)
{
    if (download->part < 0)
        return TRUE;
    g_autoptr(JsonBuilder) builder = json_builder_new();
    json_builder_begin_object(builder);
    hx_json_add_string(builder, "url", download->options.url);
    hx_json_add_string(builder, "etag", download->etag);
    hx_json_add_string(builder, "last_modified", download->last_modified);
    hx_json_add_integer(builder, "total", download->total);
    json_builder_end_object(builder);
    g_autofree char *text = hx_json_text(builder, TRUE);
    g_autoptr(GError) cause = NULL;
    if (g_file_set_contents(download->metadata_path, text, -1, &cause))
        return TRUE;
    g_set_error(error, HX_ERROR, HX_ERROR_HOST, "cannot write the image: %s", cause->message);
    return FALSE;
}

/* What has arrived of this version can be asked on from. */
static gboolean can_go_on(const HxDownload *download)
{
    return download->etag || download->last_modified || download->options.checked;
}

static gboolean open_part(HxDownload *download, GError **error)
{
    const char *directory = download->options.directory;
    if (!directory)
        return TRUE;
    download->part_path = g_build_filename(directory, "part", NULL);
    download->metadata_path = g_build_filename(directory, "part.json", NULL);
    download->part =
        open(download->part_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
    struct stat part;
    if (download->part < 0 || fstat(download->part, &part) < 0) {
        hx_set_error_errno(error, HX_ERROR_HOST, errno, "cannot write %s", download->part_path);
        return FALSE;
    }
    if (read_metadata(download) && can_go_on(download) &&
        (!download->total || (guint64)part.st_size <= download->total)) {
        download->replay = part.st_size;
        download->known = TRUE;
        return TRUE;
    }
    g_clear_pointer(&download->etag, g_free);
    g_clear_pointer(&download->last_modified, g_free);
    download->total = 0;
    g_unlink(download->metadata_path);
    if (ftruncate(download->part, 0) == 0)
        return TRUE;
    hx_set_error_errno(error, HX_ERROR_HOST, errno, "cannot write %s", download->part_path);
    return FALSE;
}

HxDownload *hx_download_new(const HxDownloadOptions *options, GError **error)
{
    g_autoptr(HxDownload) download = g_new0(HxDownload, 1);
    download->options = *options;
    download->part = -1;
    if (!open_part(download, error))
        return NULL;
    download->told_position = download->progressed_from = download->replay;
    return g_steal_pointer(&download);
}

gboolean hx_download_is_stale(const HxDownload *download)
{
    return download->stale;
}

gboolean hx_download_is_kept(const HxDownload *download, guint64 *ret_size)
{
    *ret_size = MAX(download->position, download->replay);
    return download->part >= 0 && download->interrupted && !download->stale && *ret_size > 0 &&
           can_go_on(download);
}

gboolean hx_download_take_part(HxDownload *download, const char *path, GError **error)
{
    if (g_rename(download->part_path, path) < 0) {
        hx_set_error_errno(error, HX_ERROR_HOST, errno, "cannot make %s", path);
        return FALSE;
    }
    g_unlink(download->metadata_path);
    hx_close(&download->part);
    return TRUE;
}

void hx_download_free(HxDownload *download)
{
    if (!download)
        return;
    guint64 size;
    if (download->part >= 0 && !hx_download_is_kept(download, &size)) {
        g_unlink(download->metadata_path);
        g_unlink(download->part_path);
    }
    hx_close(&download->part);
    hx_transfer_free(download->transfer);
    g_free(download->part_path);
    g_free(download->metadata_path);
    g_free(download->etag);
    g_free(download->last_modified);
    g_free(download->buffer);
    g_free(download);
}

/* --- progress -------------------------------------------------------------------------------- */

static void tell(HxDownload *download, const char *note)
{
    const HxDownloadOptions *options = &download->options;
    gint64 now = g_get_monotonic_time();
    gint64 since = now - download->told_at;
    if (!options->progress || (!note && download->told_at && since < PROGRESS_EVERY_US))
        return;
    if (download->told_at && download->position >= download->told_position) {
        double rate = (download->position - download->told_position) * 1e6 / MAX(since, 1);
        /* The last five seconds or so count. */
        double weight = MIN(since / 5e6, 1);
        download->rate = download->rate > 0 ? download->rate * (1 - weight) + rate * weight : rate;
    }
    if (download->position >= download->replay) {
        download->told_at = now;
        download->told_position = download->position;
    }
    HxDownloadProgress progress = {
        .done = download->position,
        .total = download->total,
        .rate = download->rate,
        .left = download->total && download->rate >= 1
                    ? (download->total - download->position) / download->rate
                    : -1,
        .note = note,
    };
    options->progress(&progress, options->progress_data);
}

static void tick(void *data)
{
    tell(data, NULL);
}

/* --- asking ---------------------------------------------------------------------------------- */

static gboolean is_stale(HxDownload *download, GError **error)
{
    download->stale = TRUE;
    g_set_error(error, HX_ERROR, HX_ERROR_PROTOCOL,
                "the file on the server changed while it was downloaded");
    return FALSE;
}

static gboolean is_same_version(const HxDownload *download, const HxTransferReply *reply)
{
    if (download->total && reply->total && download->total != reply->total)
        return FALSE;
    if (reply->total && reply->total < download->position)
        return FALSE;
    if (download->etag && reply->etag)
        return g_str_equal(download->etag, reply->etag);
    if (download->last_modified && reply->last_modified)
        return g_str_equal(download->last_modified, reply->last_modified);
    return download->options.checked;
}

/* A status that is no success. */
static gboolean refuse(HxDownload *download, const HxTransferReply *reply, gboolean *ret_may_retry,
                       GError **error)
{
    long status = reply->status;
    *ret_may_retry = status >= 500 || status == 408 || status == 429;
    download->retry_after = *ret_may_retry ? reply->retry_after : 0;
    gboolean missing = status == 404 || status == 410;
    g_set_error(error, HX_ERROR, missing ? HX_ERROR_NOT_FOUND : HX_ERROR_FAILED,
                "the server answers %ld%s", status,
                missing                          ? " (there is no such file)"
                : status == 401 || status == 403 ? " (it does not give the file to everybody)"
                                                 : "");
    return FALSE;
}

/* The first reply: which version it is that is downloaded. */
static gboolean get_to_know(HxDownload *download, const HxTransferReply *reply, GError **error)
{
    const HxDownloadOptions *options = &download->options;
    download->known = TRUE;
    download->total = reply->total;
    download->etag = g_strdup(reply->etag);
    download->last_modified = g_strdup(reply->last_modified);
    if (download->total > options->max_size) {
        g_autofree char *size = g_format_size_full(download->total, G_FORMAT_SIZE_IEC_UNITS);
        g_set_error(error, HX_ERROR, HX_ERROR_FAILED, "it is %s, more than is allowed (--max-size)",
                    size);
        return FALSE;
    }
    return write_metadata(download, error);
}

static gboolean take_reply(HxDownload *download, const HxTransferReply *reply,
                           gboolean *ret_may_retry, GError **error)
{
    guint64 position = download->position;
    download->skip = 0;
    switch (reply->status) {
    case 200:
        if (!download->known)
            return get_to_know(download, reply, error);
        if (position > 0 && !is_same_version(download, reply))
            return is_stale(download, error);
        /* It has the same, but begins at the beginning. */
        download->skip = position;
        download->total = reply->total ?: download->total;
        return TRUE;
    case 206:
        if (!reply->has_range || reply->start != position || position == 0) {
            g_set_error(error, HX_ERROR, HX_ERROR_PROTOCOL,
                        "the server sends another part of the file than it was asked for");
            return FALSE;
        }
        if (!is_same_version(download, reply))
            return is_stale(download, error);
        download->total = reply->total ?: download->total;
        return TRUE;
    case 416:
        if (position > 0 && reply->has_range && reply->total == position) {
            download->total = position;
            download->complete = TRUE;
            return TRUE;
        }
        return position > 0 ? is_stale(download, error)
                            : refuse(download, reply, ret_may_retry, error);
    default:
        return refuse(download, reply, ret_may_retry, error);
    }
}

/* Room for the rest of it, or, where that is not known, for anything. */
static gboolean check_space(HxDownload *download, GError **error)
{
    guint64 rest = download->total > download->position ? download->total - download->position : 0;
    download->check_space_at = download->position + CHECK_SPACE_EVERY;
    return download->part < 0 || hx_output_check_space(download->part, rest, error);
}

static gboolean begin(HxDownload *download, gboolean *ret_may_retry, GError **error)
{
    const HxDownloadOptions *options = &download->options;
    gboolean is_weak = download->etag && g_str_has_prefix(download->etag, "W/");
    HxTransferOptions transfer = {
        .url = options->url,
        .offset = can_go_on(download) ? download->position : 0,
        .if_range = download->etag && !is_weak ? download->etag : download->last_modified,
        .timeout = options->timeout,
        .tick = tick,
        .tick_data = download,
        .cancellable = options->cancellable,
    };
    download->retry_after = 0;
    download->transfer = hx_transfer_new(&transfer, ret_may_retry, error);
    /* A server that was never heard of is not there, rather than away for a moment. */
    if (!download->transfer && !download->known &&
        g_error_matches(*error, HX_ERROR, HX_ERROR_FAILED))
        *ret_may_retry = FALSE;
    return download->transfer &&
           take_reply(download, hx_transfer_reply(download->transfer), ret_may_retry, error) &&
           check_space(download, error);
}

/* Wait before another try; FALSE where there is none. */
static gboolean pause_before_retry(HxDownload *download, const GError *cause, GError **error)
{
    const HxDownloadOptions *options = &download->options;
    if (download->failures >= options->retries) {
        g_autofree char *tries = g_strdup_printf(" (%u tries)", download->failures + 1);
        g_set_error(error, HX_ERROR, cause->code, "%s%s", cause->message,
                    download->failures ? tries : "");
        return FALSE;
    }
    if (download->retry_after > MAX_RETRY_AFTER) {
        g_set_error(error, HX_ERROR, cause->code,
                    "%s and asks to come back in %" G_GINT64_FORMAT " s", cause->message,
                    download->retry_after);
        return FALSE;
    }
    gint64 pause = MIN((gint64)FIRST_PAUSE_MS << MIN(download->failures, 16), MAX_PAUSE_MS);
    pause = MAX(pause, download->retry_after * 1000);
    download->failures++;
    g_autofree char *note =
        g_strdup_printf("%s; trying again in %.1f s", cause->message, pause / 1e3);
    tell(download, note);
    gint64 end = g_get_monotonic_time() + pause * 1000, now;
    while ((now = g_get_monotonic_time()) < end &&
           !g_cancellable_is_cancelled(options->cancellable)) {
        hx_pause(MIN((end - now) / 1000 + 1, 1000), options->cancellable);
        tell(download, NULL);
    }
    return !hx_is_cancelled(options->cancellable, error);
}

/* --- reading --------------------------------------------------------------------------------- */

static gssize read_part(HxDownload *download, const void **ret_bytes, GError **error)
{
    if (hx_is_cancelled(download->options.cancellable, error)) {
        download->interrupted = TRUE;
        return -1;
    }
    if (!download->buffer)
        download->buffer = g_malloc(REPLAY_SIZE);
    gsize size = MIN(download->replay - download->position, REPLAY_SIZE);
    gssize n = pread(download->part, download->buffer, size, download->position);
    if (n <= 0) {
        hx_set_error_errno(error, HX_ERROR_HOST, n < 0 ? errno : EIO, "cannot read %s",
                           download->part_path);
        return -1;
    }
    download->position += n;
    *ret_bytes = download->buffer;
    return n;
}

/* What of the @size bytes that have come from the server is new: into the part and to the reader.
 */
static gssize take_bytes(HxDownload *download, gsize size, const void **bytes, GError **error)
{
    gsize skipped = MIN(size, download->skip);
    download->skip -= skipped;
    size -= skipped;
    *bytes = (const guint8 *)*bytes + skipped;
    if (size == 0)
        return 0;
    if (download->position + size > download->options.max_size) {
        g_autofree char *limit =
            g_format_size_full(download->options.max_size, G_FORMAT_SIZE_IEC_UNITS);
        g_set_error(error, HX_ERROR, HX_ERROR_FAILED, "it is more than %s (--max-size)", limit);
        return -1;
    }
    if (download->total && download->position + size > download->total) {
        g_set_error(error, HX_ERROR, HX_ERROR_PROTOCOL,
                    "the server sends more than the %" G_GUINT64_FORMAT " bytes that it told of",
                    download->total);
        return -1;
    }
    if (download->position >= download->check_space_at && !check_space(download, error))
        return -1;
    if (download->part >= 0 &&
        !hx_output_write(download->part, *bytes, size, download->position, error))
        return -1;
    download->position += size;
    if (download->position - download->progressed_from >= PROGRESS_MIN) {
        download->progressed_from = download->position;
        download->failures = 0;
    }
    tell(download, NULL);
    return size;
}

/* The next bytes of the server's; 0: nothing new, ask again, or @download is complete. */
static gssize read_server(HxDownload *download, const void **ret_bytes, gboolean *ret_may_retry,
                          GError **error)
{
    *ret_may_retry = FALSE;
    if (!download->transfer && !begin(download, ret_may_retry, error))
        return -1;
    if (download->complete)
        return 0;
    gssize n = hx_transfer_read(download->transfer, ret_bytes, ret_may_retry, error);
    if (n > 0)
        return take_bytes(download, n, ret_bytes, error);
    if (n == 0 && (download->skip > 0 || download->position < download->total)) {
        *ret_may_retry = TRUE;
        g_set_error(error, HX_ERROR, HX_ERROR_PROTOCOL, "the file ends early");
        return -1;
    }
    download->complete = n == 0;
    return n;
}

gssize hx_download_read(HxDownload *download, const void **ret_bytes, GError **error)
{
    if (download->position < download->replay)
        return read_part(download, ret_bytes, error);
    if (download->total && download->position == download->total)
        download->complete = TRUE;
    while (!download->complete) {
        g_autoptr(GError) cause = NULL;
        gboolean may_retry = FALSE;
        gssize n = read_server(download, ret_bytes, &may_retry, &cause);
        if (n > 0)
            return n;
        if (n == 0)
            continue;
        g_clear_pointer(&download->transfer, hx_transfer_free);
        download->interrupted =
            may_retry || g_cancellable_is_cancelled(download->options.cancellable);
        if (!may_retry) {
            g_propagate_error(error, g_steal_pointer(&cause));
            return -1;
        }
        if (!pause_before_retry(download, cause, error))
            return -1;
        download->interrupted = FALSE;
    }
    tell(download, NULL);
    return 0;
}
