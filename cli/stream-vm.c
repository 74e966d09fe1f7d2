/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/stream-vm.h"

#include <stdio.h>

#include "cli/guest.h"
#include "cli/stream-session.h"
#include "cli/vm-status.h"
#include "guest-provision/guest-session.h"

#define CONNECT_SECONDS 20
/* Why one that runs is not as it is asked for. */
#define RESTART "it runs already; --restart ends what runs in it, and starts it so"

typedef struct {
    HxVm *vm;
    HxSsh *ssh;
    const char *session;
    guint32 port;
} Vm;

static HxStreamClient *open_session(const HxStreamRequest *request, GCancellable *cancel,
                                    void *data, GError **error)
{
    const Vm *vm = data;
    int fd = hx_vm_connect(vm->vm, vm->port, cancel, error);
    return fd >= 0 ? hx_stream_client_new(fd, "/ws/stream", request, CONNECT_SECONDS, cancel, error)
                   : NULL;
}

/* Any thread: a VM's handle is one thread's. */
static int connect_session(void *data, GCancellable *cancel)
{
    const Vm *vm = data;
    g_autoptr(HxVm) own = hx_vm_open(hx_vm_name(vm->vm), NULL);
    return own ? hx_vm_connect(own, vm->port, cancel, NULL) : -1;
}

static JsonObject *ask_encoder(void *data)
{
    const Vm *vm = data;
    return hx_vm_encoder_statistics(vm->vm, NULL);
}

static char *examine(gboolean opened, gboolean answered, void *data)
{
    const Vm *vm = data;
    char *state = hx_guest_session_examine(vm->ssh, vm->session, NULL);
    return state ? state : g_strdup("the guest does not answer over SSH either");
}

gboolean hx_stream_view_vm(HxVm *vm, const HxStreamWish *wish, const char *output,
                           const char *snapshot, GCancellable *cancel, GError **error)
{
    const char *session = wish->request.session_id;
    HxGuest guest = hx_verb_guest(vm);
    g_autoptr(HxSsh) ssh = hx_guest_ssh(&guest, error);
    Vm from = {.vm = vm, .ssh = ssh, .session = session};
    g_autoptr(HxGuestSession) served =
        ssh ? hx_stream_session_start(ssh, hx_vm_name(vm), &wish->request, wish->restart, error)
            : NULL;
    if (!served)
        return FALSE;
    if (wish->request.fps > served->config.fps)
        fprintf(stderr, "helixvm: warning: session \"%s\" shows at most %d frames a second: %s\n",
                session, served->config.fps, RESTART);
    from.port = served->port;
    g_autoptr(HxStreamFiles) files = hx_stream_files_new(output, snapshot, error);
    if (!files)
        return FALSE;
    g_autofree char *of = g_strdup_printf("VM \"%s\"", hx_vm_name(vm));
    const HxStreamGiver giver = {.of = of,
                                 .open = open_session,
                                 .connect = connect_session,
                                 .examine = examine,
                                 .encoder = ask_encoder,
                                 .size = RESTART,
                                 .data = &from};
    return hx_stream_view(&giver, wish, files, cancel, error);
}
