/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/status-text.h"

#include "launcher/base/json.h"
#include "launcher/base/printable.h"

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

/* Where a session's time goes, and what became of its frames. */
static void add_session_figures(GString *text, JsonObject *session)
{
    static const char *const names[] = {"read", "convert", "queue", "encode", "send"};
    JsonObject *stages = hx_json_object(session, "stage_ms");
    g_autoptr(GString) times = g_string_new(NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        JsonObject *stage = hx_json_object(stages, names[i]);
        if (stage)
            g_string_append_printf(times, "%s%s %.1f (%.1f)", times->len ? ", " : "", names[i],
                                   json_object_get_double_member_with_default(stage, "p50", 0),
                                   json_object_get_double_member_with_default(stage, "p99", 0));
    }
    if (times->len)
        row(text, "", "  ms (p99): %s", times->str);
    row(text, "",
        "  %" G_GINT64_FORMAT " keyframes, %" G_GINT64_FORMAT " unchanged, %" G_GINT64_FORMAT
        " dropped, %" G_GINT64_FORMAT " errors; %" G_GINT64_FORMAT " kbit/s at most",
        hx_json_integer(session, "keyframes"), hx_json_integer(session, "unchanged"),
        hx_json_integer(session, "dropped"), hx_json_integer(session, "errors"),
        hx_json_integer(session, "bitrate") / 1000);
}

static void add_encoder(GString *text, JsonObject *status)
{
    JsonObject *part = hx_json_object(hx_json_object(status, "processes"), "helixvm-encoder");
    JsonObject *encoder = hx_json_object(status, "encoder");
    JsonObject *module = hx_json_object(encoder, "module");
    gint64 restarts = hx_json_integer(part, "restarts");
    g_autofree char *restarted =
        restarts ? g_strdup_printf(", restarted %" G_GINT64_FORMAT " times", restarts)
                 : g_strdup("");
    row(text, "encoder", "%s%s",
        encoder                        ? "running"
        : hx_json_integer(part, "pid") ? "not answering"
                                       : "not started",
        restarted);
    const char *reason = hx_json_string(module, "reason");
    /* Without a display there is nothing to be exported. */
    if (module && g_strcmp0(hx_json_string(status, "display"), "none") != 0)
        row(text, "export", "%s%s%s",
            json_object_get_boolean_member_with_default(module, "connected", FALSE)
                ? "connected to QEMU"
                : "not connected",
            reason ? ": " : "", reason ? reason : "");
    JsonArray *sessions = hx_json_array(encoder, "sessions");
    for (guint i = 0; sessions && i < json_array_get_length(sessions); i++) {
        JsonObject *session = json_array_get_object_element(sessions, i);
        const char *by = hx_json_string(session, "encoder");
        const char *left = hx_json_string(session, "encoder_reason");
        row(text, "",
            "session %" G_GINT64_FORMAT ": %" G_GINT64_FORMAT "x%" G_GINT64_FORMAT
            ", %" G_GINT64_FORMAT " frames from %s, %.1f fps, %.2f Mbit/s, by %s%s%s",
            hx_json_integer(session, "session_id"), hx_json_integer(session, "width"),
            hx_json_integer(session, "height"), hx_json_integer(session, "frames"),
            hx_json_string(session, "source") ? hx_json_string(session, "source") : "nothing yet",
            json_object_get_double_member_with_default(session, "fps", 0),
            (double)hx_json_integer(session, "bits_per_second") / 1e6, by ? by : "none yet",
            left ? ": " : "", left ? left : "");
        add_session_figures(text, session);
    }
}

static void add_machine(GString *text, JsonObject *status)
{
    JsonObject *machine = hx_json_object(status, "machine");
    JsonObject *disk = hx_json_object(status, "disk");
    g_autofree char *used =
        g_format_size_full(hx_json_integer(disk, "used_bytes"), G_FORMAT_SIZE_IEC_UNITS);
    if (machine)
        row(text, "machine", "%" G_GINT64_FORMAT " CPUs, %" G_GINT64_FORMAT " MiB",
            hx_json_integer(machine, "cpus"), hx_json_integer(machine, "memory_mib"));
    if (disk)
        row(text, "disk", "image %s, %s of %" G_GINT64_FORMAT " GiB taken on the host",
            hx_json_string(disk, "image"), used, hx_json_integer(disk, "size_gib"));
}

static void add_running(GString *text, JsonObject *status)
{
    JsonObject *vsock = hx_json_object(status, "vsock");
    JsonObject *guest = hx_json_object(status, "guest");
    JsonObject *provisioned = hx_json_object(status, "provisioned");
    const char *phase = hx_json_string(status, "phase");
    if (phase)
        row(text, "phase", "%s", phase);
    g_autofree char *uptime =
        hx_duration_text(json_object_get_double_member_with_default(status, "uptime_s", 0));
    row(text, "up for", "%s", uptime);
    row(text, "domain", "%s", hx_json_string(status, "domain"));
    row(text, "accelerator", "%s",
        hx_json_string(status, "accelerator") ? hx_json_string(status, "accelerator") : "-");
    JsonArray *left = hx_json_array(status, "accelerators_left");
    for (guint i = 0; left && i < json_array_get_length(left); i++)
        row(text, "", "left %s", json_array_get_string_element(left, i));
    JsonArray *crashes = hx_json_array(status, "boot_crashes");
    for (guint i = 0; crashes && i < json_array_get_length(crashes); i++)
        row(text, "", "started again: %s", json_array_get_string_element(crashes, i));
    row(text, "display", "%s", hx_json_string(status, "display"));
    row(text, "vsock", "%s, CID %" G_GINT64_FORMAT "%s%s", hx_json_string(vsock, "kind"),
        hx_json_integer(vsock, "cid"), hx_json_string(vsock, "reason") ? ": " : "",
        hx_json_string(vsock, "reason") ? hx_json_string(vsock, "reason") : "");
    gboolean ready = json_object_get_boolean_member_with_default(guest, "ready", FALSE);
    const char *says = hx_json_string(guest, "says");
    row(text, "guest", "%s%s%s", ready ? "READY" : "starting", says ? ": " : "", says ? says : "");
    if (provisioned) {
        const char *gl = hx_json_string(provisioned, "gl_renderer");
        const char *vulkan = hx_json_string(provisioned, "vulkan_renderer");
        row(text, "OpenGL", "%s", gl ? gl : "none");
        row(text, "Vulkan", "%s", vulkan ? vulkan : "none");
    } else {
        row(text, "provisioned", "no: run `helixvm provision %s`", hx_json_string(status, "name"));
    }
    add_encoder(text, status);
    add_machine(text, status);
}

static void add_stopped(GString *text, JsonObject *status)
{
    JsonObject *last = hx_json_object(status, "last_run");
    if (!last)
        return;
    const char *time = hx_json_string(last, "time");
    row(text, "last run", "%s%s%s: %s",
        json_object_get_boolean_member_with_default(last, "failed", FALSE) ? "failed" : "ended",
        time ? " " : "", time ? time : "", hx_json_string(last, "reason"));
}

char *hx_status_text(JsonObject *status)
{
    g_autoptr(GString) text = g_string_new(NULL);
    const char *state = hx_json_string(status, "state");
    g_string_append_printf(text, "%s: %s\n", hx_json_string(status, "name"), state);
    if (g_strcmp0(state, "stopped") == 0) {
        add_stopped(text, status);
        add_machine(text, status);
    } else if (hx_json_object(status, "guest")) {
        add_running(text, status);
    } else {
        row(text, "reason", "%s", hx_json_string(status, "reason"));
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

/* What a VM that runs does: its phase, or what its sessions do. */
static char *running_detail(JsonObject *status)
{
    if (hx_json_string(status, "reason"))
        return g_strdup(hx_json_string(status, "reason"));
    JsonObject *guest = hx_json_object(status, "guest");
    const char *phase = hx_json_string(status, "phase");
    const char *says = hx_json_string(guest, "says");
    if (phase)
        return g_strdup_printf("%s%s%s", phase, says ? ": " : "", says ? says : "");
    if (g_strcmp0(hx_json_string(status, "state"), "rebooting") == 0)
        return g_strdup(says ? says : "the guest is not READY yet");
    JsonArray *sessions = hx_json_array(hx_json_object(status, "encoder"), "sessions");
    g_autoptr(GString) text = g_string_new(NULL);
    for (guint i = 0; sessions && i < json_array_get_length(sessions); i++) {
        JsonObject *session = json_array_get_object_element(sessions, i);
        const char *source = hx_json_string(session, "source");
        g_string_append_printf(text,
                               "%ssession %" G_GINT64_FORMAT ": %" G_GINT64_FORMAT
                               "x%" G_GINT64_FORMAT " from %s",
                               text->len ? "; " : "", hx_json_integer(session, "session_id"),
                               hx_json_integer(session, "width"),
                               hx_json_integer(session, "height"), source ? source : "nothing yet");
    }
    if (text->len == 0)
        g_string_append(text, "no session");
    return g_string_free(g_steal_pointer(&text), FALSE);
}

char *hx_status_line(JsonObject *status)
{
    const char *state = hx_json_string(status, "state");
    g_autofree char *detail =
        g_strcmp0(state, "stopped") == 0
            ? g_strdup(hx_json_string(hx_json_object(status, "last_run"), "reason"))
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
