/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A VM's stream while something moves on its session's desktop, and what limits its frame rate. */
#pragma once

#include "cli/stream-view.h"
#include "launcher/vm/vm.h"

/* The session that a benchmark makes where none is named. */
#define HX_STREAM_BENCHMARK_SESSION "benchmark"

/* View a session of @vm as hx_stream_view_vm does, with a client that moves on its desktop: the one
 * that @wish->request names or, where that has no name, one of its own, of the size and rate that
 * are asked for.  @wish->benchmark is of no account: the rate to be reached is the request's, or
 * else the session's own.  What it started and made is ended and removed when it returns, also
 * where it is interrupted.  Fails as hx_stream_view_vm, and with HX_ERROR_USAGE where the session
 * may not show so many frames a second, HX_ERROR_FAILED where another benchmark is under way.  Main
 * thread. */
gboolean hx_stream_benchmark_vm(HxVm *vm, const HxStreamWish *wish, const char *output,
                                const char *snapshot, GCancellable *cancel, GError **error);
