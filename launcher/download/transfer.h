/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One reply of a server, read piece by piece: libcurl, turned from pushing to pulling.
 *
 * Redirects are followed, ten at most, and never from https to anything else.  Certificates are
 * checked, against those of the file SSL_CERT_FILE where it is set.  One thread at a time. */
#pragma once

#include <gio/gio.h>

typedef struct HxTransfer HxTransfer;

typedef struct {
    const char *url;
    guint64 offset;           /* ask for the bytes from here on */
    const char *if_range;     /* an ETag or date (RFC 9110, 13.1.5), or NULL */
    guint timeout;            /* give a server that is silent so long, seconds */
    void (*tick)(void *data); /* called every second, at least; or NULL */
    void *tick_data;
    GCancellable *cancellable;
} HxTransferOptions;

/* What the server says of the bytes that follow.  A file's status is 200. */
typedef struct {
    long status;
    gboolean has_range;         /* start and total are those of Content-Range */
    guint64 start;              /* where in the file the bytes begin */
    guint64 total;              /* size of the whole file; 0: not said */
    char *etag, *last_modified; /* or NULL */
    gint64 retry_after;         /* seconds; 0: not said */
} HxTransferReply;

/* Ask, and wait for the head of the reply.  NULL where none comes; @ret_may_retry says whether it
 * may come another time.  HX_ERROR_FAILED (no server), HX_ERROR_TIMEOUT, HX_ERROR_PROTOCOL (it
 * broke off). */
HxTransfer *hx_transfer_new(const HxTransferOptions *options, gboolean *ret_may_retry,
                            GError **error);
void hx_transfer_free(HxTransfer *transfer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HxTransfer, hx_transfer_free)

/* Lives as long as @transfer. */
const HxTransferReply *hx_transfer_reply(const HxTransfer *transfer);

/* The next bytes of a reply with status 200 or 206 (others have none), good until the next call;
 * how many, 0 at its end, -1 where it broke off. */
gssize hx_transfer_read(HxTransfer *transfer, const void **ret_bytes, gboolean *ret_may_retry,
                        GError **error);
