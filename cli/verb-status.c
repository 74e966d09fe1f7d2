/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm status: what a VM is and does, as it is seen now. */
#include <stdio.h>

#include "cli/verb.h"
#include "cli/vm-status.h"

static const char *text_of(JsonObject *object, const char *member)
{
    return object ? json_object_get_string_member_with_default(object, member, NULL) : NULL;
}

static JsonObject *object_of(JsonObject *object, const char *member)
{
    JsonNode *node = object ? json_object_get_member(object, member) : NULL;
    return node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

static gint64 integer_of(JsonObject *object, const char *member)
{
    return object ? json_object_get_int_member_with_default(object, member, 0) : 0;
}

static void row(const char *name, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void row(const char *name, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *value = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    printf("  %-12s %s\n", name, value);
}

static void print_encoder(JsonObject *status)
{
    JsonObject *part = object_of(object_of(status, "processes"), "helixvm-encoder");
    JsonObject *encoder = object_of(status, "encoder");
    JsonObject *module = object_of(encoder, "module");
    gint64 restarts = integer_of(part, "restarts");
    g_autofree char *restarted =
        restarts ? g_strdup_printf(", restarted %" G_GINT64_FORMAT " times", restarts)
                 : g_strdup("");
    row("encoder", "%s%s",
        encoder                   ? "running"
        : integer_of(part, "pid") ? "not answering"
                                  : "not started",
        restarted);
    const char *reason = text_of(module, "reason");
    if (module)
        row("export", "%s%s%s",
            json_object_get_boolean_member_with_default(module, "connected", FALSE)
                ? "connected to QEMU"
                : "not connected",
            reason ? ": " : "", reason ? reason : "");
    JsonNode *sessions = encoder ? json_object_get_member(encoder, "sessions") : NULL;
    if (!sessions || !JSON_NODE_HOLDS_ARRAY(sessions))
        return;
    JsonArray *array = json_node_get_array(sessions);
    for (guint i = 0; i < json_array_get_length(array); i++) {
        JsonObject *session = json_array_get_object_element(array, i);
        row("",
            "session %" G_GINT64_FORMAT ": %" G_GINT64_FORMAT "x%" G_GINT64_FORMAT
            ", %" G_GINT64_FORMAT " frames from %s",
            integer_of(session, "session_id"), integer_of(session, "width"),
            integer_of(session, "height"), integer_of(session, "frames"),
            text_of(session, "source") ? text_of(session, "source") : "nothing yet");
    }
}

static void print_running(JsonObject *status)
{
    JsonObject *vsock = object_of(status, "vsock");
    JsonObject *guest = object_of(status, "guest");
    JsonObject *provisioned = object_of(status, "provisioned");
    const char *phase = text_of(status, "phase");
    if (phase)
        row("phase", "%s", phase);
    row("up for", "%.0f s", json_object_get_double_member_with_default(status, "uptime_s", 0));
    row("domain", "%s", text_of(status, "domain"));
    row("accelerator", "%s", text_of(status, "accelerator") ? text_of(status, "accelerator") : "-");
    JsonArray *left = json_object_get_array_member(status, "accelerators_left");
    for (guint i = 0; i < json_array_get_length(left); i++)
        row("", "left %s", json_array_get_string_element(left, i));
    JsonArray *crashes = json_object_has_member(status, "boot_crashes")
                             ? json_object_get_array_member(status, "boot_crashes")
                             : NULL;
    for (guint i = 0; crashes && i < json_array_get_length(crashes); i++)
        row("", "started again: %s", json_array_get_string_element(crashes, i));
    row("display", "%s", text_of(status, "display"));
    row("vsock", "%s, CID %" G_GINT64_FORMAT "%s%s", text_of(vsock, "kind"),
        integer_of(vsock, "cid"), text_of(vsock, "reason") ? ": " : "",
        text_of(vsock, "reason") ? text_of(vsock, "reason") : "");
    gboolean ready = json_object_get_boolean_member_with_default(guest, "ready", FALSE);
    const char *says = text_of(guest, "says");
    row("guest", "%s%s%s", ready ? "READY" : "starting", says ? ": " : "", says ? says : "");
    if (provisioned) {
        const char *gl = text_of(provisioned, "gl_renderer");
        const char *vulkan = text_of(provisioned, "vulkan_renderer");
        row("OpenGL", "%s", gl ? gl : "none");
        row("Vulkan", "%s", vulkan ? vulkan : "none");
    } else {
        row("provisioned", "no: run `helixvm provision %s`", text_of(status, "name"));
    }
    print_encoder(status);
}

static void print_stopped(JsonObject *status)
{
    JsonObject *last = object_of(status, "last_run");
    if (!last)
        return;
    const char *time = text_of(last, "time");
    row("last run", "%s%s%s: %s",
        json_object_get_boolean_member_with_default(last, "failed", FALSE) ? "failed" : "ended",
        time ? " " : "", time ? time : "", text_of(last, "reason"));
}

gboolean hx_verb_status(int argc, char **argv, GError **error)
{
    gboolean as_json = FALSE;
    const GOptionEntry entries[] = {
        {"json", 0, 0, G_OPTION_ARG_NONE, &as_json, "print JSON", NULL},
        G_OPTION_ENTRY_NULL,
    };
    if (!hx_verb_parse("[VM]", entries, &argc, &argv, 0, 1, error))
        return FALSE;
    g_autoptr(HxVm) vm = hx_vm_open(hx_verb_vm_name(argc, argv, 1), error);
    g_autoptr(JsonObject) status = vm ? hx_vm_status(vm, hx_verb_cancellable(), error) : NULL;
    if (!status)
        return FALSE;
    if (as_json) {
        g_autoptr(JsonNode) node = json_node_init_object(json_node_alloc(), status);
        g_autofree char *text = json_to_string(node, TRUE);
        puts(text);
        return TRUE;
    }
    printf("%s: %s\n", text_of(status, "name"), text_of(status, "state"));
    if (g_str_equal(text_of(status, "state"), "stopped"))
        print_stopped(status);
    else
        print_running(status);
    return TRUE;
}
