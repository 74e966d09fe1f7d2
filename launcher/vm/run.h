/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The run of a VM that is under way: run.json in its state directory, from its monitor's start to
 * its end.  It outlives whatever kills the monitor, and the host's memory. */
#pragma once

#include "launcher/vm/vm.h"

typedef enum {
    HX_RUN_NONE,      /* no run is under way, or the last one ended as it should */
    HX_RUN_ALIVE,     /* the monitor that began it runs */
    HX_RUN_KILLED,    /* it does not, since this boot of the host */
    HX_RUN_HOST_DOWN, /* it was of an earlier boot */
} HxRunState;

/* Note that a run of @vm begins now, with this process as its monitor: to be called when the
 * control socket is there. */
gboolean hx_run_begin(HxVm *vm, GError **error);

/* It has ended, or what was left of it has been mended: to be called before the control socket
 * goes. */
void hx_run_end(HxVm *vm);

HxRunState hx_run_state(HxVm *vm);

/* Why a run that is in @state failed, a literal; NULL where it has not. */
const char *hx_run_failure(HxRunState state);

/* Whether the monitor of @vm runs, and the sockets that it made are gone: somebody removed them. */
gboolean hx_run_is_cut_off(HxVm *vm);

/* A pidfd of the monitor that runs, the caller's own; -1 where none does. */
int hx_run_open_monitor(HxVm *vm);
