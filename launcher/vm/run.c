/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A process is told from a later one of the same number by the time it started at, in the kernel's
 * clock ticks since its boot, and by that boot's name. */
#include "launcher/vm/run.h"

#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "launcher/base/json.h"
#include "launcher/base/now.h"

#define START_TIME_FIELD 22 /* of /proc/PID/stat: proc_pid_stat(5) */
#define STATE_FIELD 3

typedef struct {
    pid_t pid;
    guint64 start_time;
} HxRunMonitor;

/* This boot's name, for g_free; empty where the kernel does not tell. */
static char *boot_id(void)
{
    char *id = NULL;
    if (!g_file_get_contents("/proc/sys/kernel/random/boot_id", &id, NULL, NULL))
        return g_strdup("");
    g_strstrip(id);
    return id;
}

/* When the process @pid started; 0 where there is none, or only one that has ended. */
static guint64 start_time_of(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/stat", (int)pid);
    g_autofree char *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, NULL))
        return 0;
    /* The program's name, in brackets, may hold anything. */
    const char *rest = strrchr(text, ')');
    if (!rest)
        return 0;
    g_auto(GStrv) fields = g_strsplit(rest, " ", -1);
    const guint first = STATE_FIELD - 1;
    if (g_strv_length(fields) <= START_TIME_FIELD - first)
        return 0;
    if (strchr("ZX", fields[1][0]))
        return 0;
    return g_ascii_strtoull(fields[START_TIME_FIELD - first], NULL, 10);
}

gboolean hx_run_begin(HxVm *vm, GError **error)
{
    g_autofree char *boot = boot_id();
    g_autofree char *since = hx_now_text();
    g_autoptr(JsonBuilder) builder = json_builder_new();
    json_builder_begin_object(builder);
    hx_json_add_integer(builder, "pid", getpid());
    hx_json_add_integer(builder, "start_time", start_time_of(getpid()));
    hx_json_add_string(builder, "boot_id", boot);
    hx_json_add_string(builder, "since", since);
    json_builder_end_object(builder);
    g_autofree char *json = hx_json_text(builder, TRUE);
    /* On the disk now: it is there for the power loss. */
    return g_file_set_contents_full(hx_vm_state_path(vm, "run.json"), json, -1,
                                    G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE,
                                    0600, error);
}

void hx_run_end(HxVm *vm)
{
    g_unlink(hx_vm_state_path(vm, "run.json"));
}

static HxRunState read_run(HxVm *vm, HxRunMonitor *ret_monitor)
{
    g_autofree char *text = NULL;
    *ret_monitor = (HxRunMonitor){0};
    if (!g_file_get_contents(hx_vm_state_path(vm, "run.json"), &text, NULL, NULL))
        return HX_RUN_NONE;
    g_autoptr(JsonObject) run = hx_json_parse_object(text, -1);
    if (!run)
        return HX_RUN_KILLED;
    g_autofree char *boot = boot_id();
    if (g_strcmp0(hx_json_string(run, "boot_id"), boot) != 0)
        return HX_RUN_HOST_DOWN;
    pid_t pid = hx_json_integer(run, "pid");
    guint64 start = hx_json_integer(run, "start_time");
    if (pid <= 0 || start == 0 || start_time_of(pid) != start)
        return HX_RUN_KILLED;
    *ret_monitor = (HxRunMonitor){pid, start};
    return HX_RUN_ALIVE;
}

HxRunState hx_run_state(HxVm *vm)
{
    HxRunMonitor ignored;
    return read_run(vm, &ignored);
}

const char *hx_run_failure(HxRunState state)
{
    if (state == HX_RUN_HOST_DOWN)
        return "the host went down while the VM ran";
    return state == HX_RUN_KILLED ? "the VM's monitor was killed" : NULL;
}

gboolean hx_run_is_cut_off(HxVm *vm)
{
    HxRunMonitor before, after;
    /* A monitor notes its run when its socket is there, and removes the note first.  So where the
     * same run is noted before and after, no start and no end explains that there is none. */
    return read_run(vm, &before) == HX_RUN_ALIVE &&
           !g_file_test(hx_vm_runtime_path(vm, "control.sock"), G_FILE_TEST_EXISTS) &&
           read_run(vm, &after) == HX_RUN_ALIVE && before.pid == after.pid &&
           before.start_time == after.start_time;
}

int hx_run_open_monitor(HxVm *vm)
{
    HxRunMonitor monitor, opened;
    if (read_run(vm, &monitor) != HX_RUN_ALIVE)
        return -1;
    hx_autofd int fd = pidfd_open(monitor.pid, 0);
    /* It may have ended before, and another process have its number. */
    if (fd < 0 || read_run(vm, &opened) != HX_RUN_ALIVE || opened.pid != monitor.pid ||
        opened.start_time != monitor.start_time)
        return -1;
    return hx_steal_fd(&fd);
}
