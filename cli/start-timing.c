/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/start-timing.h"

#include <stdio.h>

#include "cli/guest.h"
#include "cli/verb.h"
#include "guest-provision/ssh.h"
#include "launcher/base/error.h"
#include "launcher/control.h"

#define SSH_PORT 22
#define GUEST_TIMEOUT_S 60
#define UNITS_MAX 10
#define UNIT_LENGTH_MAX 70

/* In one call, as each takes an emulated guest its time.  The timestamps are µs on the guest's
 * clock, which starts with its kernel. */
#define GUEST_COMMAND                                                                              \
    "systemctl show --property=UserspaceTimestampMonotonic --property=FinishTimestampMonotonic; "  \
    "systemd-analyze blame --no-pager 2>/dev/null | head -n 10"

static void print_row(double from, double took, const char *where, const char *what)
{
    printf("%8.2f %8.2f  %-6s %s\n", from, took, where, what);
}

/* Print the host's phases.  *ret_ready gets the second in which the guest's READY came, *ret_start
 * the one in which QEMU's last start began. */
static gboolean print_host(HxVm *vm, double *ret_start, double *ret_ready, GError **error)
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
        print_row(at - took, took, "host", phase);
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
static void print_units(const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    g_auto(GStrv) lines = g_strsplit(valid, "\n", -1);
    guint printed = 0;
    for (char **line = lines; *line && printed < UNITS_MAX; line++) {
        g_strstrip(*line);
        if (!**line || strchr(*line, '='))
            continue;
        for (char *c = *line; *c; c++)
            if (g_ascii_iscntrl(*c))
                *c = '?';
        printf("%19s%-6s %.*s\n", "", "unit", UNIT_LENGTH_MAX, *line);
        printed++;
    }
}

static void print_guest(const char *text, double start, double ready)
{
    double userspace = timestamp(text, "UserspaceTimestampMonotonic");
    double finish = timestamp(text, "FinishTimestampMonotonic");
    if (userspace < 0 || finish < userspace)
        return;
    double kernel = ready - finish;
    print_row(start, kernel - start, "guest", "QEMU and firmware, until the kernel starts");
    print_row(kernel, userspace, "guest", "kernel and initial ramdisk, until systemd starts");
    print_row(kernel + userspace, finish - userspace, "guest", "systemd, until READY");
    print_units(text);
}

gboolean hx_start_timing_print(HxVm *vm, GError **error)
{
    double start = 0, ready = 0;
    printf("%8s %8s  %-6s %s\n", "FROM", "TOOK", "WHERE", "WHAT");
    if (!print_host(vm, &start, &ready, error))
        return FALSE;
    fflush(stdout);
    HxGuest guest = hx_verb_guest(vm);
    int fd = hx_vm_connect(vm, SSH_PORT, guest.cancel, error);
    g_autoptr(HxSsh) ssh = fd >= 0 ? hx_ssh_open(fd, &guest.login, guest.cancel, error) : NULL;
    g_auto(HxSshOutput) output = {0};
    if (!ssh || !hx_ssh_run(ssh, GUEST_COMMAND, NULL, GUEST_TIMEOUT_S, &output, error))
        return FALSE;
    print_guest(output.out->str, start, ready);
    return TRUE;
}
