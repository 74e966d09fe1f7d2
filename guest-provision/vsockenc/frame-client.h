/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A connection to the frame-export service: HXFR requests out, coded frames back. */
#pragma once

#include "encoder/protocol.h"

#include <gio/gio.h>

/* Where the service is: the first that is set of path, host, and otherwise vsock. */
typedef struct {
    const char *path; /* Unix socket */
    const char *host; /* TCP: name or address */
    guint16 tcp_port;
    guint32 cid, port; /* vsock, vsock(7) */
} HxFrameAddress;

/* "vsock 2:5000", "tcp 10.0.2.2:15937", "unix PATH"; for g_free. */
char *hx_frame_address_to_string(const HxFrameAddress *address);

/* One answer.  An answer with neither unit nor error says that the picture is unchanged. */
typedef struct {
    GBytes *unit; /* Annex-B access unit, or NULL */
    gboolean is_keyframe;
    gint64 pts; /* ns, the request's */
    int error;  /* HxfrErrorCode, or 0 */
    char *error_text;
} HxFrameAnswer;

void hx_frame_answer_clear(HxFrameAnswer *answer);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HxFrameAnswer, hx_frame_answer_clear)

/* Pixels that follow a request: up to two planes that share the request's stride. */
typedef struct {
    const guint8 *plane[2];
    gsize size[2]; /* bytes */
} HxFramePixels;

/* Used by one thread at a time, but that one may send while another receives.  After an error the
 * connection cannot be used any more and is to be closed.  Errors are of G_IO_ERROR:
 * G_IO_ERROR_CANCELLED once the cancellable is, any thread's; G_IO_ERROR_TIMED_OUT after the
 * timeout; G_IO_ERROR_INVALID_DATA where the service breaks the protocol;
 * G_IO_ERROR_CONNECTION_CLOSED; others as errno says. */
typedef struct HxFrameClient HxFrameClient;

/* Connect within @timeout_ms, which then also bounds each request and each answer.  @cancellable
 * may be NULL; the client keeps a reference. */
HxFrameClient *hx_frame_client_connect(const HxFrameAddress *address, guint timeout_ms,
                                       GCancellable *cancellable, GError **error);

/* The same over @fd, a connected stream socket that the client takes over, whatever happens. */
HxFrameClient *hx_frame_client_new_for_fd(int fd, guint timeout_ms, GCancellable *cancellable,
                                          GError **error);

/* Close it; NULL is fine. */
void hx_frame_client_free(HxFrameClient *client);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HxFrameClient, hx_frame_client_free)

/* Both directions end: what waits in another thread, for sending or receiving, fails at once. */
void hx_frame_client_shut_down(HxFrameClient *client);

/* Send CONFIG_REQ; it has no answer. */
gboolean hx_frame_client_configure(HxFrameClient *client, const HxfrConfigReq *config,
                                   GError **error);

/* Send FRAME_REQUEST, to which an unchanged picture may be answered with nothing; @pixels, where
 * not NULL, follow it.  Its answer is to be taken with hx_frame_client_receive(), in the order of
 * the requests. */
gboolean hx_frame_client_send(HxFrameClient *client, const HxfrFrameRequest *request,
                              const HxFramePixels *pixels, GError **error);

/* Wait for the answer to the oldest request, whose pts is @pts. */
gboolean hx_frame_client_receive(HxFrameClient *client, gint64 pts, HxFrameAnswer *ret_answer,
                                 GError **error);

/* Send PING and wait for PONG: is the service there, and does it answer?  Where no answer to a
 * request is to come. */
gboolean hx_frame_client_ping(HxFrameClient *client, GError **error);
