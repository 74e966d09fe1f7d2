/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/view-vm.h"

#include "cli/guest.h"
#include "guest-provision/guest-session.h"
#include "launcher/base/error.h"

struct HxViewVm {
    char *vm, *session;
    GMutex lock;  /* one asks the guest at a time, */
    guint32 port; /* where it was last, under the lock */
};

HxViewVm *hx_view_vm_new(HxVm *vm, const char *session, GError **error)
{
    HxGuest guest = hx_verb_guest(vm);
    g_autoptr(HxSsh) ssh = hx_guest_ssh(&guest, error);
    g_autoptr(HxGuestSession) served = ssh ? hx_guest_session_start(ssh, session, error) : NULL;
    if (!served)
        return NULL;
    HxViewVm *at = g_new0(HxViewVm, 1);
    g_mutex_init(&at->lock);
    at->vm = g_strdup(hx_vm_name(vm));
    at->session = g_strdup(session);
    at->port = served->port;
    return at;
}

void hx_view_vm_free(HxViewVm *at)
{
    if (!at)
        return;
    g_mutex_clear(&at->lock);
    g_free(at->vm);
    g_free(at->session);
    g_free(at);
}

/* 0 with @error where it serves nothing. */
static guint32 ask_port(const HxViewVm *at, HxVm *vm, GCancellable *cancel, GError **error)
{
    HxGuest guest = hx_verb_guest(vm);
    guest.cancel = cancel;
    g_autoptr(HxSsh) ssh = hx_guest_ssh(&guest, error);
    g_autoptr(GPtrArray) sessions = ssh ? hx_guest_session_list(ssh, error) : NULL;
    const HxGuestSession *session =
        sessions ? hx_guest_session_find(sessions, at->vm, at->session, error) : NULL;
    if (!session || (session->port && g_str_equal(session->state, "running")))
        return session ? session->port : 0;
    g_set_error(error, HX_ERROR, HX_ERROR_NOT_RUNNING,
                "session \"%s\" of VM \"%s\" is %s%s%s: `helixvm session start %s %s` starts it",
                at->session, at->vm, session->state, session->reason ? ", " : "",
                session->reason ? session->reason : "", at->vm, at->session);
    return 0;
}

int hx_view_vm_connect(void *data, GCancellable *cancel, GError **error)
{
    HxViewVm *at = data;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&at->lock);
    /* A VM's handle is one thread's. */
    g_autoptr(HxVm) vm = hx_vm_open(at->vm, error);
    if (!vm)
        return -1;
    int fd = hx_vm_connect(vm, at->port, cancel, NULL);
    if (fd >= 0)
        return fd;
    guint32 port = ask_port(at, vm, cancel, error);
    if (!port)
        return -1;
    at->port = port;
    return hx_vm_connect(vm, port, cancel, error);
}
