/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/status-text.h"

#include "launcher/base/printable.h"

static const char *text_of(JsonObject *object, const char *member)
{
    return object ? json_object_get_string_member_with_default(object, member, NULL) : NULL;
}

static JsonObject *object_of(JsonObject *object, const char *member)
{
    JsonNode *node = object ? json_object_get_member(object, member) : NULL;
    return node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

static JsonArray *array_of(JsonObject *object, const char *member)
{
    JsonNode *node = object ? json_object_get_member(object, member) : NULL;
    return node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
}

static gint64 integer_of(JsonObject *object, const char *member)
{
    return object ? json_object_get_int_member_with_default(object, member, 0) : 0;
}

/* A line of @text: a name of its own column, and a value, which may quote the guest. */
static void row(GString *text, const char *name, const char *format, ...) G_GNUC_PRINTF(3, 4);
static void row(GString *text, const char *name, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *value = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    g_autofree char *printable = hx_printable(value);
    g_string_append_printf(text, "  %-12s %s\n", name, printable);
}

static void add_encoder(GString *text, JsonObject *status)
{
    JsonObject *part = object_of(object_of(status, "processes"), "helixvm-encoder");
    JsonObject *encoder = object_of(status, "encoder");
    JsonObject *module = object_of(encoder, "module");
    gint64 restarts = integer_of(part, "restarts");
    g_autofree char *restarted =
        restarts ? g_strdup_printf(", restarted %" G_GINT64_FORMAT " times", restarts)
                 : g_strdup("");
    row(text, "encoder", "%s%s",
        encoder                   ? "running"
        : integer_of(part, "pid") ? "not answering"
                                  : "not started",
        restarted);
    const char *reason = text_of(module, "reason");
    /* Without a display there is nothing to be exported. */
    if (module && g_strcmp0(text_of(status, "display"), "none") != 0)
        row(text, "export", "%s%s%s",
            json_object_get_boolean_member_with_default(module, "connected", FALSE)
                ? "connected to QEMU"
                : "not connected",
            reason ? ": " : "", reason ? reason : "");
    JsonArray *sessions = array_of(encoder, "sessions");
    for (guint i = 0; sessions && i < json_array_get_length(sessions); i++) {
        JsonObject *session = json_array_get_object_element(sessions, i);
        row(text, "",
            "session %" G_GINT64_FORMAT ": %" G_GINT64_FORMAT "x%" G_GINT64_FORMAT
            ", %" G_GINT64_FORMAT " frames from %s",
            integer_of(session, "session_id"), integer_of(session, "width"),
            integer_of(session, "height"), integer_of(session, "frames"),
            text_of(session, "source") ? text_of(session, "source") : "nothing yet");
    }
}

static void add_machine(GString *text, JsonObject *status)
{
    JsonObject *machine = object_of(status, "machine");
    JsonObject *disk = object_of(status, "disk");
    g_autofree char *used =
        g_format_size_full(integer_of(disk, "used_bytes"), G_FORMAT_SIZE_IEC_UNITS);
    if (machine)
        row(text, "machine", "%" G_GINT64_FORMAT " CPUs, %" G_GINT64_FORMAT " MiB",
            integer_of(machine, "cpus"), integer_of(machine, "memory_mib"));
    if (disk)
        row(text, "disk", "image %s, %s of %" G_GINT64_FORMAT " GiB taken on the host",
            text_of(disk, "image"), used, integer_of(disk, "size_gib"));
}

static void add_running(GString *text, JsonObject *status)
{
    JsonObject *vsock = object_of(status, "vsock");
    JsonObject *guest = object_of(status, "guest");
    JsonObject *provisioned = object_of(status, "provisioned");
    const char *phase = text_of(status, "phase");
    if (phase)
        row(text, "phase", "%s", phase);
    g_autofree char *uptime =
        hx_duration_text(json_object_get_double_member_with_default(status, "uptime_s", 0));
    row(text, "up for", "%s", uptime);
    row(text, "domain", "%s", text_of(status, "domain"));
    row(text, "accelerator", "%s",
        text_of(status, "accelerator") ? text_of(status, "accelerator") : "-");
    JsonArray *left = array_of(status, "accelerators_left");
    for (guint i = 0; left && i < json_array_get_length(left); i++)
        row(text, "", "left %s", json_array_get_string_element(left, i));
    JsonArray *crashes = array_of(status, "boot_crashes");
    for (guint i = 0; crashes && i < json_array_get_length(crashes); i++)
        row(text, "", "started again: %s", json_array_get_string_element(crashes, i));
    row(text, "display", "%s", text_of(status, "display"));
    row(text, "vsock", "%s, CID %" G_GINT64_FORMAT "%s%s", text_of(vsock, "kind"),
        integer_of(vsock, "cid"), text_of(vsock, "reason") ? ": " : "",
        text_of(vsock, "reason") ? text_of(vsock, "reason") : "");
    gboolean ready = json_object_get_boolean_member_with_default(guest, "ready", FALSE);
    const char *says = text_of(guest, "says");
    row(text, "guest", "%s%s%s", ready ? "READY" : "starting", says ? ": " : "", says ? says : "");
    if (provisioned) {
        const char *gl = text_of(provisioned, "gl_renderer");
        const char *vulkan = text_of(provisioned, "vulkan_renderer");
        row(text, "OpenGL", "%s", gl ? gl : "none");
        row(text, "Vulkan", "%s", vulkan ? vulkan : "none");
    } else {
        row(text, "provisioned", "no: run `helixvm provision %s`", text_of(status, "name"));
    }
    add_encoder(text, status);
    add_machine(text, status);
}

static void add_stopped(GString *text, JsonObject *status)
{
    JsonObject *last = object_of(status, "last_run");
    if (!last)
        return;
    const char *time = text_of(last, "time");
    row(text, "last run", "%s%s%s: %s",
        json_object_get_boolean_member_with_default(last, "failed", FALSE) ? "failed" : "ended",
        time ? " " : "", time ? time : "", text_of(last, "reason"));
}

char *hx_status_text(JsonObject *status)
{
    g_autoptr(GString) text = g_string_new(NULL);
    const char *state = text_of(status, "state");
    g_string_append_printf(text, "%s: %s\n", text_of(status, "name"), state);
    if (g_strcmp0(state, "stopped") == 0) {
        add_stopped(text, status);
        add_machine(text, status);
    } else if (object_of(status, "guest")) {
        add_running(text, status);
    } else {
        row(text, "reason", "%s", text_of(status, "reason"));
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

/* What a VM that runs does: its phase, or what its sessions do. */
static char *running_detail(JsonObject *status)
{
    if (text_of(status, "reason"))
        return g_strdup(text_of(status, "reason"));
    JsonObject *guest = object_of(status, "guest");
    const char *phase = text_of(status, "phase");
    const char *says = text_of(guest, "says");
    if (phase)
        return g_strdup_printf("%s%s%s", phase, says ? ": " : "", says ? says : "");
    if (g_strcmp0(text_of(status, "state"), "rebooting") == 0)
        return g_strdup(says ? says : "the guest is not READY yet");
    JsonArray *sessions = array_of(object_of(status, "encoder"), "sessions");
    g_autoptr(GString) text = g_string_new(NULL);
    for (guint i = 0; sessions && i < json_array_get_length(sessions); i++) {
        JsonObject *session = json_array_get_object_element(sessions, i);
        const char *source = text_of(session, "source");
        g_string_append_printf(
            text,
            "%ssession %" G_GINT64_FORMAT ": %" G_GINT64_FORMAT "x%" G_GINT64_FORMAT " from %s",
            text->len ? "; " : "", integer_of(session, "session_id"), integer_of(session, "width"),
            integer_of(session, "height"), source ? source : "nothing yet");
    }
    if (text->len == 0)
        g_string_append(text, "no session");
    return g_string_free(g_steal_pointer(&text), FALSE);
}

char *hx_status_line(JsonObject *status)
{
    const char *state = text_of(status, "state");
    g_autofree char *detail = g_strcmp0(state, "stopped") == 0
                                  ? g_strdup(text_of(object_of(status, "last_run"), "reason"))
                                  : running_detail(status);
    g_autofree char *line =
        g_strdup_printf("%s%s%s", state, detail ? ": " : "", detail ? detail : "");
    return hx_printable(line);
}

char *hx_duration_text(double seconds)
{
    gint64 minutes = seconds / 60;
    if (seconds < 120)
        return g_strdup_printf("%.0f s", seconds);
    if (minutes < 60)
        return g_strdup_printf("%" G_GINT64_FORMAT " min", minutes);
    if (minutes < 48 * 60)
        return g_strdup_printf("%" G_GINT64_FORMAT " h %02" G_GINT64_FORMAT " min", minutes / 60,
                               minutes % 60);
    return g_strdup_printf("%" G_GINT64_FORMAT " d %02" G_GINT64_FORMAT " h", minutes / (24 * 60),
                           minutes / 60 % 24);
}
