/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The one error domain of helixvm.  A code is also the exit status of the helixvm command. */
#pragma once

#include <glib.h>

typedef enum {
    HX_ERROR_FAILED = 1,      /* an operation failed; the message says which and why */
    HX_ERROR_USAGE = 2,       /* the command line is wrong */
    HX_ERROR_CONFIG = 3,      /* a profile or another file of the user's is wrong */
    HX_ERROR_NOT_FOUND = 4,   /* no such VM, image, session or file */
    HX_ERROR_NOT_RUNNING = 5, /* the VM, or the session, is down */
    HX_ERROR_HOST = 6,        /* the host lacks something: a program, a right, memory, disk */
    HX_ERROR_TIMEOUT = 7,     /* something did not happen in the time given */
    HX_ERROR_GUEST = 8,       /* something failed inside the guest */
    HX_ERROR_NO_FRAMES = 9,   /* the stream delivered no frame */
    HX_ERROR_PROTOCOL = 10,   /* the other side broke the protocol, or closed too early */
    HX_ERROR_CONNECTION = 11, /* there is no connection to a session's stream, or no more */
    HX_ERROR_ACCESS = 12,     /* the other side does not let this user in, or is not trusted */
    HX_ERROR_TOO_SLOW = 13,   /* a benchmark did not reach what was asked for */
    HX_ERROR_CANCELLED = 130, /* interrupted by the user (SIGINT, SIGTERM) */
} HxError;

#define HX_ERROR hx_error_quark()
GQuark hx_error_quark(void);

/* Set @error to "<formatted text>: <strerror(errnum)>" with @code. */
void hx_set_error_errno(GError **error, HxError code, int errnum, const char *format, ...)
    G_GNUC_PRINTF(4, 5);

/* The exit status for @error: its code where it is of HX_ERROR, 130 for G_IO_ERROR_CANCELLED,
 * 1 for others, 0 for NULL. */
int hx_error_exit_status(const GError *error);
