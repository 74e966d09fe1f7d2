/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/host-time.h"

#include <string.h>

/* In /proc/stat's first line, behind its name; guest times are in user and nice already. */
enum { IDLE = 3, IOWAIT = 4, N_TIMES = 8 };

HxHostTime hx_host_time(void)
{
    HxHostTime time = {0};
    g_autofree char *text = NULL;
    if (!g_file_get_contents("/proc/stat", &text, NULL, NULL) || !g_str_has_prefix(text, "cpu "))
        return time;
    char *next = text + strlen("cpu ");
    for (int i = 0; i < N_TIMES; i++) {
        guint64 ticks = g_ascii_strtoull(next, &next, 10);
        time.all += ticks;
        if (i == IDLE || i == IOWAIT)
            time.idle += ticks;
    }
    return time;
}

double hx_host_time_busy(const HxHostTime *begin, const HxHostTime *end)
{
    if (end->all <= begin->all || end->idle < begin->idle)
        return -1;
    return CLAMP(1 - (double)(end->idle - begin->idle) / (end->all - begin->all), 0, 1);
}
