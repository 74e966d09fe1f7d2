/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the monitor knows of its VM, as `helixvm status --json` prints it. */
#include <unistd.h>

#include "launcher/base/json.h"
#include "launcher/domain/vm-domain.h"
#include "launcher/monitor/internal.h"

static void begin_object(JsonBuilder *builder, const char *name)
{
    json_builder_set_member_name(builder, name);
    json_builder_begin_object(builder);
}

static void add_part(JsonBuilder *builder, const char *name, const HxPart *part)
{
    begin_object(builder, name);
    hx_json_add_string(builder, "state", part->pid ? "running" : "stopped");
    hx_json_add_integer(builder, "pid", part->pid);
    hx_json_add_integer(builder, "restarts", part->restarts);
    json_builder_end_object(builder);
}

/* @strings may be NULL. */
static void add_strings(JsonBuilder *builder, const char *name, const GPtrArray *strings)
{
    json_builder_set_member_name(builder, name);
    json_builder_begin_array(builder);
    for (guint i = 0; strings && i < strings->len; i++)
        json_builder_add_string_value(builder, strings->pdata[i]);
    json_builder_end_array(builder);
}

const char *hx_monitor_state(const HxMonitor *monitor)
{
    if (monitor->failure)
        return "failing";
    if (monitor->stop_requested || (monitor->ready && monitor->domain_ended))
        return "stopping";
    if (monitor->domain_paused)
        return "paused";
    if (!monitor->ready)
        return "starting";
    return monitor->guest_ready ? "running" : "rebooting";
}

char *hx_monitor_status(HxMonitor *monitor)
{
    static const char *const displays[] = {"none", "xvfb", "egl-headless"};
    g_autofree char *domain = hx_vm_domain_name(monitor->vm);
    g_autoptr(JsonBuilder) builder = json_builder_new();
    json_builder_begin_object(builder);
    hx_json_add_string(builder, "name", hx_vm_name(monitor->vm));
    hx_json_add_string(builder, "state", hx_monitor_state(monitor));
    hx_json_add_string(builder, "phase", monitor->phase);
    json_builder_set_member_name(builder, "uptime_s");
    json_builder_add_double_value(builder, (g_get_monotonic_time() - monitor->begun) /
                                               (double)G_TIME_SPAN_SECOND);
    json_builder_set_member_name(builder, "ready_s");
    if (monitor->ready)
        json_builder_add_double_value(builder, monitor->ready_seconds);
    else
        json_builder_add_null_value(builder);

    hx_json_add_string(builder, "domain", domain);
    hx_json_add_string(builder, "accelerator", monitor->accelerator);
    add_strings(builder, "accelerators_left", monitor->left);
    add_strings(builder, "boot_crashes", monitor->crashes);

    begin_object(builder, "guest");
    hx_json_add_boolean(builder, "ready", monitor->guest_ready);
    hx_json_add_string(builder, "says", monitor->guest_status);
    json_builder_end_object(builder);

    begin_object(builder, "vsock");
    hx_json_add_string(builder, "kind",
                       monitor->vsock_kind == HX_VSOCK_KERNEL ? "kernel" : "vhost-user");
    hx_json_add_integer(builder, "cid", monitor->cid);
    hx_json_add_string(builder, "reason", monitor->vsock_reason);
    json_builder_end_object(builder);
    hx_json_add_string(builder, "display", displays[monitor->display]);

    begin_object(builder, "processes");
    hx_json_add_integer(builder, "monitor", getpid());
    add_part(builder, "guard", &monitor->guard);
    if (monitor->display == HX_DISPLAY_XVFB)
        add_part(builder, "xvfb", &monitor->xvfb);
    if (monitor->vsock_kind == HX_VSOCK_VHOST_USER)
        add_part(builder, "helixvm-vsock", &monitor->vsock);
    add_part(builder, "helixvm-encoder", &monitor->encoder);
    json_builder_end_object(builder);
    json_builder_end_object(builder);
    return hx_json_text(builder, FALSE);
}
