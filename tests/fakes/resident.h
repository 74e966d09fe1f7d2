/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How much of a process is in memory. */
#pragma once

#include <glib.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

/* KiB of memory that process @pid has in use. */
static inline long resident_kib(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/status", pid), *text = NULL;
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    const char *line = strstr(text, "VmRSS:");
    long size = 0;
    g_assert_true(line && sscanf(line, "VmRSS: %ld", &size) == 1);
    return size;
}
