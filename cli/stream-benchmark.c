/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/stream-benchmark.h"

#include <stdio.h>

#include "cli/guest.h"
#include "cli/stream-vm.h"
#include "cli/verb.h"
#include "guest-provision/guest-session.h"
#include "guest-provision/session-settings.h"
#include "launcher/base/error.h"

#define SECONDS 12

typedef struct {
    HxVm *vm;
    const char *name;  /* the session's */
    int fps;           /* its own */
    gboolean own;      /* it was made for this, */
    gboolean started;  /* or started, */
    gboolean animated; /* and something moves on it */
} Benchmark;

/* --- begin --------------------------------------------------------------------------------------
 */

/* Make the benchmark's own session. */
static gboolean make(Benchmark *benchmark, HxSsh *ssh, const HxStreamRequest *request,
                     const HxGuestSession *before, GError **error)
{
    if (before && g_str_equal(before->state, "running")) {
        g_set_error(
            error, HX_ERROR, HX_ERROR_FAILED,
            "session \"%s\" of VM \"%s\" runs already: a benchmark is under way, or did not "
            "end well: `helixvm session stop %s %s --remove` ends it",
            benchmark->name, hx_vm_name(benchmark->vm), hx_vm_name(benchmark->vm), benchmark->name);
        return FALSE;
    }
    g_autoptr(GPtrArray) settings = g_ptr_array_new_with_free_func(g_free);
    if (request->width)
        g_ptr_array_add(settings, g_strdup_printf("width=%d", request->width));
    if (request->height)
        g_ptr_array_add(settings, g_strdup_printf("height=%d", request->height));
    if (request->fps)
        g_ptr_array_add(settings, g_strdup_printf("fps=%d", request->fps));
    g_ptr_array_add(settings, NULL);
    g_autofree char *text =
        hx_session_settings_apply("[session]\n", (const char *const *)settings->pdata, error);
    if (!text)
        return FALSE;
    benchmark->own = TRUE;
    return hx_guest_session_configure(ssh, benchmark->name, text, error);
}

/* See that the session runs, with something that moves. */
static gboolean begin(Benchmark *benchmark, const HxStreamRequest *request, GError **error)
{
    HxGuest guest = hx_verb_guest(benchmark->vm);
    g_autoptr(HxSsh) ssh = hx_guest_ssh(&guest, error);
    g_autoptr(GPtrArray) sessions = ssh ? hx_guest_session_list(ssh, error) : NULL;
    if (!sessions)
        return FALSE;
    gboolean named = request->session_id != NULL;
    g_autoptr(GError) missing = NULL;
    const HxGuestSession *before =
        hx_guest_session_find(sessions, hx_vm_name(benchmark->vm), benchmark->name, &missing);
    if (named && !before) {
        g_propagate_error(error, g_steal_pointer(&missing));
        return FALSE;
    }
    if (!named && !make(benchmark, ssh, request, before, error))
        return FALSE;
    benchmark->started = !before || !g_str_equal(before->state, "running");
    g_autoptr(HxGuestSession) served = hx_guest_session_start(ssh, benchmark->name, error);
    if (!served || !hx_guest_session_change(ssh, benchmark->name, HX_GUEST_SESSION_ANIMATE, error))
        return FALSE;
    benchmark->animated = TRUE;
    benchmark->fps = served->config.fps;
    if (request->fps <= benchmark->fps)
        return TRUE;
    g_set_error(error, HX_ERROR, HX_ERROR_USAGE,
                "session \"%s\" shows at most %d frames a second: `helixvm session start %s %s "
                "--fps %d`, while it is down, changes that, or leave --session out",
                benchmark->name, benchmark->fps, hx_vm_name(benchmark->vm), benchmark->name,
                request->fps);
    return FALSE;
}

/* --- end ----------------------------------------------------------------------------------------
 */

/* Undo what was begun; interrupted by a second Ctrl-C alone. */
static gboolean end(const Benchmark *benchmark, GError **error)
{
    if (!benchmark->own && !benchmark->started && !benchmark->animated)
        return TRUE;
    HxGuest guest = hx_verb_guest(benchmark->vm);
    guest.cancel = hx_verb_impatience();
    g_autoptr(HxSsh) ssh = hx_guest_ssh(&guest, error);
    if (!ssh)
        return FALSE;
    gboolean good = !benchmark->animated ||
                    hx_guest_session_change(ssh, benchmark->name, HX_GUEST_SESSION_STILL, error);
    GError **of_stop = good ? error : NULL;
    if (benchmark->own)
        return hx_guest_session_change(ssh, benchmark->name, HX_GUEST_SESSION_REMOVE, of_stop) &&
               good;
    if (benchmark->started)
        return hx_guest_session_change(ssh, benchmark->name, HX_GUEST_SESSION_STOP, of_stop) &&
               good;
    return good;
}

gboolean hx_stream_benchmark_vm(HxVm *vm, const HxStreamWish *wish, const char *output,
                                const char *snapshot, GCancellable *cancel, GError **error)
{
    const char *named = wish->request.session_id;
    Benchmark benchmark = {.vm = vm, .name = named ? named : HX_STREAM_BENCHMARK_SESSION};
    HxStreamWish own = *wish;
    own.request.session_id = (char *)benchmark.name;
    if (own.duration == 0)
        own.duration = SECONDS;
    g_autoptr(GError) of_end = NULL;
    gboolean good = begin(&benchmark, &wish->request, error);
    if (good) {
        own.restart = FALSE;
        own.benchmark = own.request.fps ? own.request.fps : benchmark.fps;
        good = hx_stream_view_vm(vm, &own, output, snapshot, cancel, error);
    }
    if (end(&benchmark, &of_end))
        return good;
    if (good) {
        g_propagate_error(error, g_steal_pointer(&of_end));
        return FALSE;
    }
    fprintf(stderr, "helixvm: warning: session \"%s\" of VM \"%s\" is not as it was: %s\n",
            benchmark.name, hx_vm_name(vm), of_end->message);
    return FALSE;
}
