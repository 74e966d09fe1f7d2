/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One command's channel, and what its stdin, stdout and stderr are joined to. */
#pragma once

#include <libssh/callbacks.h>

#include "guest-provision/ssh-private.h"

#define HX_PUMP_CHUNK (32 * 1024)

/* Where one of the command's output streams goes. */
typedef struct {
    GString *kept;  /* into memory; NULL: to @fd */
    HxSshLine line; /* told each line of @kept; NULL: nobody */
    void *line_data;
    size_t told; /* of @kept */
    int fd;      /* of hx_outlet_open; -1: thrown away */
    char pending[HX_PUMP_CHUNK];
    size_t begin, end; /* of what waits in @pending for @fd */
} HxOutlet;

typedef struct HxPump HxPump;

struct HxPump {
    HxSsh *ssh;
    ssh_channel channel;
    struct ssh_channel_callbacks_struct told; /* of what comes for the channel: sets @arrived */
    gboolean arrived; /* libssh took something from the socket that was not looked at */

    int input_fd;      /* -1: no more to read */
    const char *input; /* what waits to be written */
    size_t input_size;
    gboolean eof_sent;
    char chunk[2 * HX_PUMP_CHUNK]; /* what was read from input_fd, and filtered */
    /* Look at @size bytes read into @chunk, and change them: at most twice as many may be left.
     * Returns how many are for the guest, or -1 with @error to end.  NULL: all are. */
    gssize (*filter)(HxPump *pump, size_t size, GError **error);

    HxOutlet out, err;
    gboolean ended; /* the command has, and its output alone is to be passed on */

    int event_fd; /* polled for input beside the others; -1: none */
    /* FALSE with @error to end; may set event_fd to -1. */
    gboolean (*on_event)(HxPump *pump, GError **error);
    void *data; /* of filter and on_event */
};

/* Open a channel for @pump on @ssh, with outlets that throw away, and no input. */
HxPump *hx_pump_new(HxSsh *ssh, GError **error);
void hx_pump_free(HxPump *pump);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HxPump, hx_pump_free)

/* The command has been requested: pass bytes until it has ended, and all its output is out.
 * @ret_status: its exit status, 128 + N where signal N ended it, 141 where nobody reads its output
 * any more. */
gboolean hx_pump_run(HxPump *pump, int *ret_status, GError **error);
