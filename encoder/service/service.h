/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The frame-export service: listening sockets, connections and statistics, in the main context. */
#pragma once

#include <glib.h>

#include "encoder/service/encoder.h"

typedef struct {
    const char *module_path;               /* of the module's socket; NULL: none */
    const HxEncoderClass *const *encoders; /* NULL-terminated, in the order to try them in */
    HxEncoderSettings defaults;            /* width and height unused */
    guint max_sessions;
    guint32 peer_cid; /* on AF_VSOCK sockets, serve this CID alone; 0: every one */
} HxServiceOptions;

typedef struct HxService HxService;

/* @options is copied, except preset and encoders, which outlive the service.  NULL where there is
 * no memory for it, with errno.  Main thread, as all here. */
HxService *hx_service_new(const HxServiceOptions *options);

/* Accept HXFR clients on @fd, a listening stream socket (Unix, vsock or TCP), which the service
 * then owns.  0, or -ENOTSOCK, -EINVAL where it is something else; @fd is then still the caller's.
 */
int hx_service_listen(HxService *service, int fd);

/* The same for a socket whose clients are the far ends of a serial port: hx_connection_start()
 * tells the difference. */
int hx_service_listen_serial(HxService *service, int fd);

/* Answer each connection to @fd, a listening Unix stream socket, with one JSON object, and close
 * it. Otherwise as hx_service_listen(). */
int hx_service_listen_statistics(HxService *service, int fd);

/* The JSON object, for g_free:
 *   version, encoders (in order), preset, threads, max_sessions
 *   module: {connected, reason (null where connected), reads, failures, main_thread_ms {p50, p99}}
 *   connections: how many there are
 *   sessions: [{connection, session_id, encoder (null before the first frame), encoder_reason (why
 *     it is not the first in order, or null), width, height, bitrate, frames, keyframes, unchanged,
 *     bytes, errors, fps, bits_per_second, source "resource" | "pixels" | null,
 *     stage_ms {read, convert, queue, encode, send: each {p50, p99}}}] */
char *hx_service_describe(HxService *service);

/* Close all sockets and connections, wait for their threads (2 s at most), and free.  Takes NULL.
 */
void hx_service_free(HxService *service);
