/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest-provision/session/status.h"

#include <json-glib/json-glib.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define STATE_FILE "state.json"

static void add_string(JsonBuilder *builder, const char *name, const char *value)
{
    json_builder_set_member_name(builder, name);
    if (value)
        json_builder_add_string_value(builder, value);
    else
        json_builder_add_null_value(builder);
}

static void add_int(JsonBuilder *builder, const char *name, gint64 value)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_int_value(builder, value);
}

static void add_double(JsonBuilder *builder, const char *name, double value)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_double_value(builder, value);
}

static char *json_text(JsonBuilder *builder)
{
    g_autoptr(JsonNode) root = json_builder_get_root(builder);
    return json_to_string(root, FALSE);
}

char *session_statistics_json(const char *session, const SessionPipelineStatistics *statistics,
                              guint viewers, guint64 dropped, const char *gl_renderer)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();
    json_builder_begin_object(builder);
    add_string(builder, "session", session);
    add_string(builder, "source", statistics->source);
    add_string(builder, "encoder", statistics->encoder);
    add_string(builder, "codec", "h264");
    add_int(builder, "width", statistics->width);
    add_int(builder, "height", statistics->height);
    add_int(builder, "frames", (gint64)statistics->frames);
    add_int(builder, "keyframes", (gint64)statistics->keyframes);
    add_int(builder, "bytes", (gint64)statistics->bytes);
    add_int(builder, "frames_drawn", (gint64)statistics->flow.drawn);
    add_int(builder, "frames_passed", (gint64)statistics->flow.passed);
    add_int(builder, "frames_taken", (gint64)statistics->flow.taken);
    add_int(builder, "clock_us", g_get_monotonic_time());
    add_double(builder, "fps", statistics->fps);
    json_builder_set_member_name(builder, "latency_ms");
    json_builder_begin_object(builder);
    add_double(builder, "p50", statistics->latency.p50);
    add_double(builder, "p95", statistics->latency.p95);
    add_double(builder, "p99", statistics->latency.p99);
    add_double(builder, "max", statistics->latency.max);
    json_builder_end_object(builder);
    add_int(builder, "viewers", viewers);
    add_int(builder, "dropped", (gint64)dropped);
    add_string(builder, "fallback_reason", statistics->fallback_reason);
    add_string(builder, "gl_renderer", gl_renderer);
    json_builder_end_object(builder);
    return json_text(builder);
}

gboolean session_state_write(const char *directory, guint32 port, const char *state,
                             const char *reason, GError **error)
{
    g_autofree char *path = g_build_filename(directory, STATE_FILE, NULL);
    g_autoptr(JsonBuilder) builder = json_builder_new();
    json_builder_begin_object(builder);
    add_int(builder, "port", port);
    add_int(builder, "pid", getpid());
    add_string(builder, "state", state);
    if (reason)
        add_string(builder, "reason", reason);
    json_builder_end_object(builder);
    g_autofree char *text = json_text(builder);
    return g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600, error);
}

void session_state_remove(const char *directory)
{
    g_autofree char *path = g_build_filename(directory, STATE_FILE, NULL);
    unlink(path);
}

void session_notify(const char *text)
{
    const char *path = g_getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!path || !*path ||
        g_strlcpy(address.sun_path, path, sizeof address.sun_path) >= sizeof address.sun_path)
        return;
    if (*path == '@')
        address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    /* Best effort, as sd_notify(3) itself. */
    sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&address,
           (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path)));
    close(fd);
}
