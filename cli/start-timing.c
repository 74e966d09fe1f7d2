/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/start-timing.h"

#include <stdio.h>

#include "cli/guest.h"
#include "cli/verb.h"
#include "guest-provision/ssh.h"
#include "launcher/base/error.h"
#include "launcher/base/printable.h"
#include "launcher/monitor/control.h"

#define SSH_PORT 22
#define GUEST_TIMEOUT_S 60
#define UNITS_MAX 10
#define UNIT_LENGTH_MAX 70

/* In one call, as each takes an emulated guest its time.  The timestamps are µs on the guest's
 * clock, which starts with its kernel. */
#define GUEST_COMMAND                                                                              \
    "systemctl show --property=UserspaceTimestampMonotonic --property=FinishTimestampMonotonic; "  \
    "systemd-analyze blame --no-pager 2>/dev/null | head -n 10"

static void add_row(JsonArray *phases, double from, double took, const char *where,
                    const char *what)
{
    JsonObject *row = json_object_new();
    json_object_set_double_member(row, "from", from);
    json_object_set_double_member(row, "took", took);
    json_object_set_string_member(row, "where", where);
    json_object_set_string_member(row, "what", what);
    json_array_add_object_element(phases, row);
}

/* Add the host's phases.  *ret_ready gets the second in which the guest's READY came, *ret_start
 * the one in which QEMU's last start began. */
static gboolean add_host(HxVm *vm, JsonArray *phases, double *ret_start, double *ret_ready,
                         GError **error)
{
    int fd = hx_vm_connect_monitor(vm, error);
    if (fd < 0)
        return FALSE;
    g_autoptr(HxControl) control = hx_control_new(fd);
    if (!hx_control_send(control, "{\"request\":\"watch\"}", error))
        return FALSE;
    g_autoptr(GError) cause = NULL;
    for (;;) {
        g_autoptr(JsonObject) event = hx_control_next(control, hx_verb_cancellable(), &cause);
        if (!event)
            break;
        const char *kind = json_object_get_string_member_with_default(event, "event", "");
        if (g_str_equal(kind, "ready"))
            return TRUE;
        if (!g_str_equal(kind, "phase") ||
            !g_str_equal(json_object_get_string_member_with_default(event, "state", ""), "done"))
            continue;
        const char *phase = json_object_get_string_member_with_default(event, "phase", "");
        double at = json_object_get_double_member_with_default(event, "at", 0);
        double took = json_object_get_double_member_with_default(event, "seconds", 0);
        add_row(phases, at - took, took, "host", phase);
        if (g_str_has_prefix(phase, "start"))
            *ret_start = at - took;
        if (g_str_equal(phase, "boot"))
            *ret_ready = at;
    }
    if (cause)
        g_propagate_error(error, g_steal_pointer(&cause));
    else
        g_set_error(error, HX_ERROR, HX_ERROR_NOT_RUNNING, "VM \"%s\" has just ended",
                    hx_vm_name(vm));
    return FALSE;
}

/* The value of @name in systemctl's "NAME=VALUE" lines in @text, in seconds; -1 where there is
 * none. */
static double timestamp(const char *text, const char *name)
{
    g_autofree char *prefix = g_strconcat(name, "=", NULL);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++)
        if (g_str_has_prefix(*line, prefix))
            return g_ascii_strtoull(*line + strlen(prefix), NULL, 10) / (double)G_USEC_PER_SEC;
    return -1;
}

/* What systemd names as the units that took longest; they overlap.  The words are the guest's. */
static void add_units(JsonArray *phases, const char *text)
{
    g_autofree char *printable = hx_printable_lines(text);
    g_auto(GStrv) lines = g_strsplit(printable, "\n", -1);
    guint added = 0;
    for (char **line = lines; *line && added < UNITS_MAX; line++) {
        g_strstrip(*line);
        if (!**line || strchr(*line, '='))
            continue;
        g_autofree char *what =
            g_utf8_substring(*line, 0, MIN(g_utf8_strlen(*line, -1), UNIT_LENGTH_MAX));
        JsonObject *row = json_object_new();
        json_object_set_null_member(row, "from");
        json_object_set_null_member(row, "took");
        json_object_set_string_member(row, "where", "unit");
        json_object_set_string_member(row, "what", what);
        json_array_add_object_element(phases, row);
        added++;
    }
}

static void add_guest(JsonArray *phases, const char *text, double start, double ready)
{
    double userspace = timestamp(text, "UserspaceTimestampMonotonic");
    double finish = timestamp(text, "FinishTimestampMonotonic");
    if (userspace < 0 || finish < userspace)
        return;
    double kernel = ready - finish;
    add_row(phases, start, kernel - start, "guest", "QEMU and firmware, until the kernel starts");
    add_row(phases, kernel, userspace, "guest", "kernel and initial ramdisk, until systemd starts");
    add_row(phases, kernel + userspace, finish - userspace, "guest", "systemd, until READY");
    add_units(phases, text);
}

gboolean hx_start_timing_read(HxVm *vm, JsonArray *phases, GError **error)
{
    double start = 0, ready = 0;
    if (!add_host(vm, phases, &start, &ready, error))
        return FALSE;
    HxGuest guest = hx_verb_guest(vm);
    int fd = hx_vm_connect(vm, SSH_PORT, guest.cancel, error);
    g_autoptr(HxSsh) ssh = fd >= 0 ? hx_ssh_open(fd, &guest.login, guest.cancel, error) : NULL;
    g_auto(HxSshOutput) output = {0};
    if (!ssh || !hx_ssh_run(ssh, GUEST_COMMAND, NULL, GUEST_TIMEOUT_S, &output, error))
        return FALSE;
    add_guest(phases, output.out->str, start, ready);
    return TRUE;
}

void hx_start_timing_print(JsonArray *phases)
{
    printf("%8s %8s  %-6s %s\n", "FROM", "TOOK", "WHERE", "WHAT");
    for (guint i = 0; i < json_array_get_length(phases); i++) {
        JsonObject *row = json_array_get_object_element(phases, i);
        const char *where = json_object_get_string_member(row, "where");
        const char *what = json_object_get_string_member(row, "what");
        if (json_object_get_null_member(row, "from"))
            printf("%19s%-6s %s\n", "", where, what);
        else
            printf("%8.2f %8.2f  %-6s %s\n", json_object_get_double_member(row, "from"),
                   json_object_get_double_member(row, "took"), where, what);
    }
}
