/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the monitor says, and the control socket it says it on.
 *
 * Theory of operation.  Events are kept from the start on.  A subscriber is a non-blocking socket
 * that has been sent a first part of them; whenever it can take more it gets the rest, so that a
 * subscriber that does not read costs nothing and holds nobody up.  It is freed when it hangs up;
 * its own end of file tells that the monitor has let go of the VM. */
#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "launcher/base/json.h"
#include "launcher/base/log.h"
#include "launcher/base/unix-socket.h"
#include "launcher/monitor/internal.h"

#define SUBSCRIBERS_MAX 64
#define REQUEST_MAX 1024
/* How long the end of the last event may take to reach its readers. */
#define LAST_WORDS_MS 2000

typedef struct {
    HxMonitor *monitor;
    int fd;
    guint watch;
    GString *request; /* what has come so far; NULL once it has been answered */
    GString *reply;   /* a status line still to be sent */
    size_t sent_events;
    size_t sent_bytes; /* of the event or reply under way */
    gboolean gets_events;
} HxSubscriber;

static void free_subscriber(void *data)
{
    HxSubscriber *subscriber = data;
    if (subscriber->watch)
        g_source_remove(subscriber->watch);
    if (subscriber->request)
        g_string_free(subscriber->request, TRUE);
    if (subscriber->reply)
        g_string_free(subscriber->reply, TRUE);
    hx_close(&subscriber->fd);
    g_free(subscriber);
}

static void drop(HxSubscriber *subscriber)
{
    g_ptr_array_remove_fast(subscriber->monitor->subscribers, subscriber);
}

static gboolean on_subscriber(int fd, GIOCondition condition, void *data);

static void watch(HxSubscriber *subscriber, GIOCondition condition)
{
    if (subscriber->watch)
        g_source_remove(subscriber->watch);
    subscriber->watch = g_unix_fd_add(subscriber->fd, condition | G_IO_IN | G_IO_HUP | G_IO_ERR,
                                      on_subscriber, subscriber);
}

/* The text to be sent next; NULL where there is none. */
static const char *next_text(HxSubscriber *subscriber)
{
    if (subscriber->reply)
        return subscriber->reply->str;
    GPtrArray *events = subscriber->monitor->events;
    if (subscriber->gets_events && subscriber->sent_events < events->len)
        return events->pdata[subscriber->sent_events];
    return NULL;
}

/* Send what can be sent.  FALSE where the subscriber is done with. */
static gboolean push(HxSubscriber *subscriber)
{
    const char *text;
    while ((text = next_text(subscriber))) {
        size_t left = strlen(text) - subscriber->sent_bytes;
        ssize_t n =
            send(subscriber->fd, text + subscriber->sent_bytes, left, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            watch(subscriber, G_IO_OUT);
            return TRUE;
        }
        if (n < 0)
            return FALSE;
        subscriber->sent_bytes += n;
        if ((size_t)n < left)
            continue;
        subscriber->sent_bytes = 0;
        if (subscriber->reply)
            return FALSE; /* a status request ends with its answer */
        subscriber->sent_events++;
    }
    watch(subscriber, 0);
    return TRUE;
}

/* Answer the request.  FALSE where it is none. */
static gboolean answer(HxSubscriber *subscriber, const char *line)
{
    HxMonitor *monitor = subscriber->monitor;
    g_autoptr(JsonObject) request = hx_json_parse_object(line, -1);
    if (!request)
        return FALSE;
    const char *verb = json_object_get_string_member_with_default(request, "request", "");
    if (g_str_equal(verb, "status")) {
        g_autofree char *status = hx_monitor_status(monitor);
        subscriber->reply = g_string_new(status);
        g_string_append_c(subscriber->reply, '\n');
        return TRUE;
    }
    subscriber->gets_events = TRUE;
    if (g_str_equal(verb, "watch")) {
        if (json_object_get_boolean_member_with_default(request, "from_now", FALSE))
            subscriber->sent_events = monitor->state_event;
        return TRUE;
    }
    if (!g_str_equal(verb, "down"))
        return FALSE;
    gint64 timeout = json_object_get_int_member_with_default(request, "timeout", 60);
    hx_monitor_request_stop(monitor, CLAMP(timeout, 0, 3600));
    /* Who asks for the end wants no history. */
    subscriber->sent_events = monitor->events->len;
    return TRUE;
}

static gboolean on_subscriber(int fd, GIOCondition condition, void *data)
{
    HxSubscriber *subscriber = data;
    char buffer[256];
    if (condition & (G_IO_IN | G_IO_HUP | G_IO_ERR)) {
        ssize_t n = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
            subscriber->watch = 0;
            drop(subscriber);
            return G_SOURCE_REMOVE;
        }
        if (n > 0 && subscriber->request) {
            g_string_append_len(subscriber->request, buffer, n);
            char *newline = strchr(subscriber->request->str, '\n');
            if (newline) {
                *newline = '\0';
                g_autoptr(GString) request = g_steal_pointer(&subscriber->request);
                if (!answer(subscriber, request->str)) {
                    subscriber->watch = 0;
                    drop(subscriber);
                    return G_SOURCE_REMOVE;
                }
            } else if (subscriber->request->len > REQUEST_MAX) {
                subscriber->watch = 0;
                drop(subscriber);
                return G_SOURCE_REMOVE;
            }
        }
    }
    /* push() makes the watch that is right from now on, in place of this one. */
    subscriber->watch = 0;
    if (!push(subscriber))
        drop(subscriber);
    return G_SOURCE_REMOVE;
}

static void subscribe(HxMonitor *monitor, int fd, gboolean gets_events)
{
    HxSubscriber *subscriber = g_new0(HxSubscriber, 1);
    subscriber->monitor = monitor;
    subscriber->fd = fd;
    subscriber->gets_events = gets_events;
    if (!gets_events)
        subscriber->request = g_string_new(NULL);
    g_ptr_array_add(monitor->subscribers, subscriber);
    if (!push(subscriber))
        drop(subscriber);
}

/* Close the object of @builder: its text without a newline, for g_free. */
static char *end_event(JsonBuilder *builder)
{
    json_builder_end_object(builder);
    return hx_json_text(builder, FALSE);
}

static void add_time(JsonBuilder *builder, const char *name, gint64 since)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_double_value(builder,
                                  (g_get_monotonic_time() - since) / (double)G_TIME_SPAN_SECOND);
}

/* Say the event in @builder to all. */
static void say(HxMonitor *monitor, JsonBuilder *builder)
{
    add_time(builder, "at", monitor->begun);
    g_autofree char *line = end_event(builder);
    hx_log_info("%s", line);
    g_ptr_array_add(monitor->events, g_strconcat(line, "\n", NULL));
    for (guint i = monitor->subscribers->len; i-- > 0;) {
        HxSubscriber *subscriber = monitor->subscribers->pdata[i];
        if (!push(subscriber))
            drop(subscriber);
    }
}

static JsonBuilder *event(const char *name)
{
    JsonBuilder *builder = json_builder_new();
    json_builder_begin_object(builder);
    hx_json_add_string(builder, "event", name);
    return builder;
}

/* The last event: failed where @error is set, else stopped. */
static JsonBuilder *last_event(const GError *error, const char *text, gboolean forced)
{
    JsonBuilder *builder = event(error ? "failed" : "stopped");
    if (error)
        hx_json_add_integer(builder, "code", hx_error_exit_status(error));
    else
        hx_json_add_boolean(builder, "forced", forced);
    hx_json_add_string(builder, "text", text);
    return builder;
}

void hx_monitor_begin_phase(HxMonitor *monitor, const char *phase)
{
    g_free(monitor->phase);
    monitor->phase = g_strdup(phase);
    monitor->phase_begun = g_get_monotonic_time();
    g_autoptr(JsonBuilder) builder = event("phase");
    hx_json_add_string(builder, "phase", phase);
    hx_json_add_string(builder, "state", "begun");
    say(monitor, builder);
}

void hx_monitor_end_phase(HxMonitor *monitor, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *detail = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    g_autoptr(JsonBuilder) builder = event("phase");
    hx_json_add_string(builder, "phase", monitor->phase);
    hx_json_add_string(builder, "state", "done");
    add_time(builder, "seconds", monitor->phase_begun);
    hx_json_add_string(builder, "detail", detail);
    say(monitor, builder);
    g_clear_pointer(&monitor->phase, g_free);
}

void hx_monitor_note(HxMonitor *monitor, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    g_autoptr(JsonBuilder) builder = event("note");
    hx_json_add_string(builder, "text", text);
    say(monitor, builder);
}

void hx_monitor_say_ready(HxMonitor *monitor)
{
    monitor->ready = TRUE;
    monitor->ready_seconds = (g_get_monotonic_time() - monitor->begun) / (double)G_TIME_SPAN_SECOND;
    g_autoptr(JsonBuilder) builder = event("ready");
    add_time(builder, "seconds", monitor->begun);
    say(monitor, builder);
}

void hx_monitor_say_state(HxMonitor *monitor, const char *state)
{
    g_autoptr(JsonBuilder) builder = event("state");
    monitor->state_event = monitor->events->len;
    hx_json_add_string(builder, "state", state);
    say(monitor, builder);
}

void hx_monitor_tell_failure(int start_fd, const GError *error)
{
    g_autoptr(JsonBuilder) builder = last_event(error, error->message, FALSE);
    g_autofree char *text = end_event(builder);
    g_autofree char *line = g_strconcat(text, "\n", NULL);
    hx_write_all(start_fd, line, strlen(line));
}

static gboolean all_has_been_sent(void *data)
{
    const HxMonitor *monitor = data;
    for (guint i = 0; i < monitor->subscribers->len; i++)
        if (next_text(monitor->subscribers->pdata[i]))
            return FALSE;
    return TRUE;
}

void hx_monitor_say_end(HxMonitor *monitor, const GError *error, const char *text)
{
    monitor->ended = TRUE;
    g_autoptr(JsonBuilder) builder = last_event(error, text, monitor->forced);
    say(monitor, builder);
    hx_monitor_iterate(all_has_been_sent, monitor, LAST_WORDS_MS);
}

static gboolean on_control(int fd, GIOCondition condition, void *data)
{
    HxMonitor *monitor = data;
    hx_autofd int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (connection >= 0 && monitor->subscribers->len < SUBSCRIBERS_MAX)
        subscribe(monitor, hx_steal_fd(&connection), FALSE);
    return G_SOURCE_CONTINUE;
}

/* The other end of the start descriptor closed: whoever asked for the VM is gone. */
static gboolean on_start_hangup(int fd, GIOCondition condition, void *data)
{
    HxMonitor *monitor = data;
    monitor->start_watch = 0;
    if (!monitor->ready || monitor->bound) {
        hx_log_info("who asked for the VM is gone: ending it");
        hx_monitor_request_stop(monitor, 0);
    }
    return G_SOURCE_REMOVE;
}

gboolean hx_monitor_open_control(HxMonitor *monitor, GError **error)
{
    const char *path = hx_vm_runtime_path(monitor->vm, "control.sock");
    monitor->events = g_ptr_array_new_with_free_func(g_free);
    monitor->subscribers = g_ptr_array_new_with_free_func(free_subscriber);
    if (monitor->start_fd >= 0) {
        int copy = fcntl(monitor->start_fd, F_DUPFD_CLOEXEC, 0);
        if (copy >= 0)
            subscribe(monitor, copy, TRUE);
        monitor->start_watch =
            g_unix_fd_add(monitor->start_fd, G_IO_HUP | G_IO_ERR, on_start_hangup, monitor);
    }
    monitor->control_fd = hx_unix_listen(path, SOCK_STREAM | SOCK_NONBLOCK, 0600);
    if (monitor->control_fd < 0) {
        hx_set_error_errno(error, HX_ERROR_HOST, -monitor->control_fd, "cannot listen on %s", path);
        return FALSE;
    }
    monitor->control_watch = g_unix_fd_add(monitor->control_fd, G_IO_IN, on_control, monitor);
    hx_monitor_tell_changes(monitor);
    return TRUE;
}

void hx_monitor_close_control(HxMonitor *monitor)
{
    hx_monitor_stop_changes(monitor);
    if (monitor->control_watch)
        g_source_remove(monitor->control_watch);
    if (monitor->start_watch)
        g_source_remove(monitor->start_watch);
    hx_close(&monitor->control_fd);
    g_clear_pointer(&monitor->subscribers, g_ptr_array_unref);
    g_clear_pointer(&monitor->events, g_ptr_array_unref);
    g_clear_pointer(&monitor->phase, g_free);
}
