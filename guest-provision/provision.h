/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Makes a running guest serve sessions: packages, user, encoder element, session service. */
#pragma once

#include <gio/gio.h>
#include <json-glib/json-glib.h>

#include "guest-provision/ssh.h"

/* Connect to the guest's vsock @port: a connected stream socket for the callee, or -1. */
typedef int (*HxGuestConnect)(guint32 port, void *data, GCancellable *cancel, GError **error);

typedef struct {
    HxGuestConnect connect;
    void *data;
    HxSshLogin login;
    GCancellable *cancel; /* may be NULL */
} HxGuest;

/* The guest's SSH port on vsock, where systemd 257 listens. */
#define HX_GUEST_SSH_PORT 22

/* Connect and log in: hx_ssh_open's errors and the connect function's own. */
HxSsh *hx_guest_ssh(const HxGuest *guest, GError **error);

typedef enum {
    HX_STEP_BEGUN,
    HX_STEP_GOES_ON, /* what it waits for, or why it is begun anew: the detail */
    HX_STEP_SEEN,    /* it only looks, and saw what it should */
    HX_STEP_ALREADY, /* nothing had to be changed */
    HX_STEP_NEEDED,  /* something would be changed, but it only checks */
    HX_STEP_DONE,    /* something was changed */
    HX_STEP_FAILED,  /* the error follows */
} HxStepState;

/* @seconds since the step began; @detail may be NULL.  Called in the caller's thread. */
typedef void (*HxStepReport)(const char *step, HxStepState state, double seconds,
                             const char *detail, void *data);

/* What is put into the guest of vsockenc and helixvm-session: what was built on the host, or what
 * the guest builds of the source that helixvm carries. */
typedef enum {
    HX_BUILD_AUTO, /* the host's, where it fits */
    HX_BUILD_HOST,
    HX_BUILD_GUEST,
} HxBuild;

/* "auto", "host", "guest"; HX_ERROR_USAGE for another @name. */
gboolean hx_provision_parse_build(const char *name, HxBuild *ret_build, GError **error);

typedef struct {
    /* Put the element alone, and into this container in the guest: "NAME", or "ENGINE:NAME" with
     * podman or docker; NULL: all, into the guest. */
    const char *container;
    const char *only; /* a step, beside those that look and remember; NULL: all */
    gboolean check;   /* change nothing, and tell what would be */
    HxBuild build;
} HxProvisionScope;

/* FALSE with HX_ERROR_USAGE where @scope names no step that can be done alone, which names all, or
 * what can be no container. */
gboolean hx_provision_check_scope(const HxProvisionScope *scope, GError **error);

/* Provision @guest: idempotent, and an interrupted run is completed by the next.  Files that differ
 * from what was installed before are the user's own where they are configuration: kept.
 *
 * Where the connection breaks, the step that ran is begun anew, over at most three new connections
 * in a run, 1, 2 and 4 s later; each is reported (HX_STEP_GOES_ON).  Another apt or dpkg at work is
 * waited for, 60 s, and reported too.
 *
 * Returns what is now known of the guest: "provisioned" (boolean: no step is needed any more; false
 * where only one was done), "os", "machine", "glibc", "gstreamer", "render_node", "element",
 * "frame" (what the host made of one), "gl_renderer", "vulkan_renderer" (strings, null where the
 * guest has none or was not asked), "modules" (an array of strings: those that are loaded of what
 * sessions use), "build" ("host" or "guest") and "build_reason" (strings), "changed" (boolean),
 * "steps" (an array of objects with "name", "state", "seconds" and "detail").  NULL with
 * HX_ERROR_GUEST (what failed in the guest, and why, or that it is too old), HX_ERROR_HOST (a part
 * is not built) or the errors of the connection.
 *
 * With a container in @scope it is the same, of the container: what it runs and has, and
 * "container" (an object with "name", "engine", "id", "image" and "user", strings).
 * HX_ERROR_NOT_FOUND where no engine has one of that name, HX_ERROR_NOT_RUNNING where it does not
 * run. */
JsonObject *hx_provision(const HxGuest *guest, const HxProvisionScope *scope, HxStepReport report,
                         void *data, GError **error);

/* "already", "done" and so on. */
const char *hx_step_state_name(HxStepState state);
