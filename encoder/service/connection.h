/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One HXFR connection (protocol.h): its messages, its sessions, and its two threads. */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>

#include "encoder/service/encoder.h"
#include "encoder/service/module-client.h"

typedef struct HxConnection HxConnection;

/* What all connections share; outlives them. */
typedef struct {
    HxModuleClient *module;
    const HxEncoderClass *const *encoders; /* NULL-terminated, in order */
    HxEncoderSettings defaults;            /* width and height unused */
    gint max_sessions;
    gint n_sessions; /* atomic */
    gint complaints; /* atomic: lines in the log about what clients did */
    gint dropped;    /* atomic: frames that clients did not take, also those that are gone */
    /* In the main context, when a connection has ended by itself or after hx_connection_stop(). */
    void (*ended)(HxConnection *connection, void *data);
    void *data;
} HxConnectionContext;

/* A line in the log about what the client @peer did; after some of them, about all clients, no
 * more. Any thread. */
void hx_connection_complain(HxConnectionContext *context, const char *peer, const char *what);

/* Serve the connected stream socket @fd, which the connection then owns.  @peer, copied, names it
 * in the log and the statistics.
 *
 * Where @is_serial there is a serial port behind it, whose clients come and go without a new
 * connection.  A message that is broken off, or bytes that are none, then have one ERROR, and what
 * comes up to the next header is read over.  A client begins with PING and reads over what comes
 * before its PONG; where none comes in a second, it sends PING again.  PING, a lost message and a
 * place that is wanting end the sessions of clients before it: its own begin with keyframes. */
HxConnection *hx_connection_start(HxConnectionContext *context, int fd, const char *peer,
                                  gboolean is_serial);

/* Make it end soon: both threads return from whatever they wait for.  Main thread. */
void hx_connection_stop(HxConnection *connection);

/* Wait for its threads, which end where ended() was called or hx_connection_stop() was, and free it
 * without a call of ended().  Main thread; takes NULL. */
void hx_connection_free(HxConnection *connection);

/* Add one object for each session to the array that is open in @builder.  Main thread. */
void hx_connection_describe(HxConnection *connection, JsonBuilder *builder);
