/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The sessions of a provisioned guest, as its systemd runs them: units helixvm-session@NAME, each
 * of the configuration /etc/helixvm/sessions/NAME.conf. */
#pragma once

#include "guest-provision/session/config.h"
#include "guest-provision/ssh.h"

typedef struct {
    char *name;
    const char *state;    /* "stopped", "starting", "running", "stopping" or "failed" */
    char *reason;         /* why it failed, or is to be started again; NULL: it did not */
    gboolean enabled;     /* starts with the guest */
    guint restarts;       /* by systemd, after failures, since it was last asked to start */
    guint32 port;         /* of the guest's vsock where it serves; 0: nowhere */
    char *text;           /* the configuration, as the guest has it */
    SessionConfig config; /* what that says; all 0 where it is wrong, */
    char *mistake;        /* and this tells what in it; else NULL */
} HxGuestSession;

void hx_guest_session_free(HxGuestSession *session);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HxGuestSession, hx_guest_session_free)

/* FALSE with HX_ERROR_USAGE where no session may have that name: 1 to 40 letters, digits, '_', '.'
 * and '-', neither '.' nor '-' first.  All below check it too. */
gboolean hx_guest_session_check_name(const char *name, GError **error);

/* All sessions of the guest, by name: HxGuestSession, for g_ptr_array_unref.  NULL with
 * HX_ERROR_NOT_FOUND where the guest is not provisioned, or hx_script_run's errors. */
GPtrArray *hx_guest_session_list(HxSsh *ssh, GError **error);

/* That of @sessions with that name, which owns it.  NULL with HX_ERROR_NOT_FOUND, which names those
 * that the guest of @vm has. */
HxGuestSession *hx_guest_session_find(GPtrArray *sessions, const char *vm, const char *name,
                                      GError **error);

/* Give session @name the configuration @text, which one that runs takes up at its next start. */
gboolean hx_guest_session_configure(HxSsh *ssh, const char *name, const char *text, GError **error);

/* See that session @name runs, started where it does not: it serves its stream at its port then.
 * NULL with HX_ERROR_USAGE for a bad name, HX_ERROR_NOT_FOUND where there is no such session (the
 * message lists those that are there) or the guest is not provisioned, HX_ERROR_GUEST with its last
 * log lines where it does not start. */
HxGuestSession *hx_guest_session_start(HxSsh *ssh, const char *name, GError **error);

typedef enum {
    HX_GUEST_SESSION_STOP,    /* also one that waits to be started again */
    HX_GUEST_SESSION_ENABLE,  /* start it with the guest, from the next start on */
    HX_GUEST_SESSION_DISABLE, /* or no more */
    HX_GUEST_SESSION_REMOVE,  /* stop and disable it, and remove its configuration */
    /* A client that moves without end is on its desktop, weston-simple-egl, until it is told to
     * end; 15 minutes at the most, and no longer than the session runs.  It is one of a kind: a
     * second one fails. */
    HX_GUEST_SESSION_ANIMATE,
    /* No more.  Fails where it had ended by itself. */
    HX_GUEST_SESSION_STILL,
} HxGuestSessionChange;

/* Make that change; fine where it is so already.  HX_ERROR_NOT_FOUND as above, HX_ERROR_GUEST. */
gboolean hx_guest_session_change(HxSsh *ssh, const char *name, HxGuestSessionChange change,
                                 GError **error);

/* The state of session @name and its last log lines, for people; for g_free.  NULL with @error
 * where the guest does not answer. */
char *hx_guest_session_examine(HxSsh *ssh, const char *name, GError **error);
