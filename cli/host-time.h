/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How busy the host's CPUs are. */
#pragma once

#include <glib.h>

typedef struct {
    guint64 idle,
        all; /* since the host started, all CPUs together, clock ticks; all 0: not known */
} HxHostTime;

/* Those of /proc/stat, proc_stat(5). */
HxHostTime hx_host_time(void);

/* The share of the time between two that the CPUs were not idle, 0 to 1; negative: not known. */
double hx_host_time_busy(const HxHostTime *begin, const HxHostTime *end);
