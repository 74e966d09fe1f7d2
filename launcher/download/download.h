/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A file from a URL, read piece by piece, through interruptions.
 *
 * What arrives is also kept, in DIRECTORY/part; part.json beside it says of which URL it is, in
 * which version (ETag, Last-Modified) and of what size.  Where the connection breaks, the same is
 * asked for from there on, after pauses that grow, a number of times for each MiB of progress.  A
 * download that begins in a directory with such a part first reads it back, so that the reader gets
 * the whole file in any case.  If the server has another version by then, the download is stale:
 * the reader has to begin anew, since it has been given bytes of the old one. */
#pragma once

#include <gio/gio.h>

typedef struct HxDownload HxDownload;

/* How far it is. */
typedef struct {
    guint64 done;     /* bytes */
    guint64 total;    /* bytes; 0: not known */
    double rate;      /* bytes per second, of late */
    double left;      /* seconds; below 0: not known */
    const char *note; /* something worth a line, "trying again in 2 s: …"; or NULL */
} HxDownloadProgress;

typedef void HxDownloadProgressFunc(const HxDownloadProgress *progress, void *data);

typedef struct {
    const char *url;
    const char *directory; /* where the part is; NULL: nothing is kept */
    guint64 max_size;      /* of the file, bytes */
    guint timeout;         /* give a server that sends less than 1 KiB/s so long, seconds */
    guint retries;         /* with less than 1 MiB in between */
    gboolean checked; /* the reader compares a checksum in the end: versions need not be told */
    HxDownloadProgressFunc *progress; /* about every second; or NULL */
    void *progress_data;
    GCancellable *cancellable;
} HxDownloadOptions;

/* Nothing is asked yet.  The strings are borrowed.  HX_ERROR_HOST where the part cannot be opened.
 */
HxDownload *hx_download_new(const HxDownloadOptions *options, GError **error);
/* Keeps what has arrived only if another download can go on from there. */
void hx_download_free(HxDownload *download);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HxDownload, hx_download_free)

/* The next bytes, good until the next call: how many, 0 at the end of the file, -1 with @error.
 * HX_ERROR_NOT_FOUND (the server has no such file), HX_ERROR_HOST (disk full), HX_ERROR_TIMEOUT,
 * HX_ERROR_PROTOCOL, HX_ERROR_FAILED. */
gssize hx_download_read(HxDownload *download, const void **ret_bytes, GError **error);

/* After an error: whether it was that the file has changed on the server, so that a new download
 * gets it. */
gboolean hx_download_is_stale(const HxDownload *download);

/* After an error: whether what has arrived stays for another download to go on from; how much. */
gboolean hx_download_is_kept(const HxDownload *download, guint64 *ret_size);

/* After the end: take the part as a file of its own, by another name.  HX_ERROR_HOST. */
gboolean hx_download_take_part(HxDownload *download, const char *path, GError **error);
