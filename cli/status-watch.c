/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Theory of operation.  The monitor tells its events on a connection of their own; each is only the
 * occasion to ask for the whole status and to show it, where it differs from what was shown last.
 * The encoder tells nothing by itself: it is asked at an interval.  While no monitor runs there is
 * nobody to tell that one has started: its socket is tried, at a shorter interval. */
#include "cli/status-watch.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/screen.h"
#include "cli/status-text.h"
#include "cli/vm-status.h"
#include "launcher/base/error.h"
#include "launcher/base/pause.h"
#include "launcher/base/printable.h"
#include "launcher/monitor/control.h"

#define RUNNING_INTERVAL_MS 2000
#define DOWN_INTERVAL_MS 500

typedef enum { IN_PLACE, LINES, JSON_LINES } HxWatchStyle;

typedef struct {
    HxVm *vm;
    HxWatchStyle style;
    GCancellable *cancel;
    char *shown; /* what makes a change */
    int rows;    /* on the terminal, above the cursor */
} HxWatch;

/* --- output -------------------------------------------------------------------------------------
 */

static void print_line(const char *text)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_local();
    g_autofree char *time = g_date_time_format(now, "%H:%M:%S");
    printf("%s  %s\n", time, text);
}

/* Overwrite what is shown with @text, cut to what fits the terminal. */
static void redraw(HxWatch *watch, const char *text)
{
    struct winsize size = {0};
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_row < 2 || size.ws_col < 2)
        size = (struct winsize){.ws_row = 24, .ws_col = 80};
    if (watch->rows)
        printf("\033[%dA\r\033[J", watch->rows);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    int row = 0;
    for (; row < size.ws_row - 1 && lines[row]; row++) {
        glong length = MIN(g_utf8_strlen(lines[row], -1), size.ws_col - 1);
        g_autofree char *line = g_utf8_substring(lines[row], 0, length);
        puts(line);
    }
    watch->rows = row;
}

/* The text of @status as JSON, without what changes by the time alone. */
static char *essence(JsonObject *status)
{
    g_autoptr(JsonNode) node = json_node_init_object(json_node_alloc(), status);
    g_autoptr(JsonNode) copy = json_node_copy(node);
    JsonObject *object = json_object_new();
    JsonObjectIter members;
    const char *name;
    JsonNode *member;
    json_object_iter_init(&members, status);
    while (json_object_iter_next(&members, &name, &member))
        if (!g_str_equal(name, "uptime_s"))
            json_object_set_member(object, name, json_node_copy(member));
    json_node_take_object(copy, object);
    return json_to_string(copy, FALSE);
}

static void show_json(HxWatch *watch, JsonObject *status)
{
    char *now = essence(status);
    if (g_strcmp0(now, watch->shown) != 0) {
        g_autoptr(JsonNode) node = json_node_init_object(json_node_alloc(), status);
        g_autofree char *text = json_to_string(node, FALSE);
        puts(text);
    }
    g_free(watch->shown);
    watch->shown = now;
}

static void show_line(HxWatch *watch, JsonObject *status)
{
    char *now = hx_status_line(status);
    if (g_strcmp0(now, watch->shown) != 0)
        print_line(now);
    g_free(watch->shown);
    watch->shown = now;
}

static void show_in_place(HxWatch *watch, JsonObject *status)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_local();
    g_autofree char *time = g_date_time_format(now, "%H:%M:%S");
    g_autofree char *text = hx_status_text(status);
    g_autofree char *all = g_strdup_printf("%s\nseen at %s; Ctrl-C ends", text, time);
    redraw(watch, all);
}

/* FALSE where nobody reads any more. */
static gboolean show(HxWatch *watch, JsonObject *status, GError **error)
{
    if (watch->style == JSON_LINES)
        show_json(watch, status);
    else if (watch->style == LINES)
        show_line(watch, status);
    else
        show_in_place(watch, status);
    if (fflush(stdout) == 0)
        return TRUE;
    g_set_error_literal(error, HX_ERROR, HX_ERROR_FAILED, "nobody reads the output any more");
    return FALSE;
}

/* --- what happens -------------------------------------------------------------------------------
 */

static HxControl *connect_events(HxVm *vm)
{
    int fd = hx_vm_connect_monitor(vm, NULL);
    if (fd < 0)
        return NULL;
    g_autoptr(HxControl) events = hx_control_new(fd);
    return hx_control_send(events, "{\"request\":\"watch\"}", NULL) ? g_steal_pointer(&events)
                                                                    : NULL;
}

/* Wait for an event, then take all that are there; notes are shown where @tell.  FALSE where there
 * will be no more. */
static gboolean await_events(HxWatch *watch, HxControl *events, guint milliseconds, gboolean tell)
{
    g_autoptr(GError) cause = NULL;
    for (;; milliseconds = 0) {
        hx_control_set_timeout(events, milliseconds);
        g_autoptr(JsonObject) event = hx_control_next(events, watch->cancel, &cause);
        if (!event)
            return g_error_matches(cause, HX_ERROR, HX_ERROR_TIMEOUT);
        const char *text = json_object_get_string_member_with_default(event, "text", NULL);
        if (!tell || !text || watch->style != LINES)
            continue;
        g_autofree char *printable = hx_printable(text);
        print_line(printable);
    }
}

/* The monitor that does not answer is told as a state: it may answer again. */
static JsonObject *status_of(HxWatch *watch, GError **error)
{
    g_autoptr(GError) cause = NULL;
    JsonObject *status = hx_vm_status(watch->vm, watch->cancel, &cause);
    if (status || !g_error_matches(cause, HX_ERROR, HX_ERROR_TIMEOUT)) {
        if (cause)
            g_propagate_error(error, g_steal_pointer(&cause));
        return status;
    }
    status = json_object_new();
    json_object_set_string_member(status, "name", hx_vm_name(watch->vm));
    json_object_set_string_member(status, "state", "unknown");
    json_object_set_string_member(status, "reason", cause->message);
    return status;
}

static gboolean watch_vm(HxWatch *watch, GError **error)
{
    g_autoptr(HxControl) events = NULL;
    gboolean has_ended = FALSE; /* not to be connected to at once, should it refuse us */
    while (!g_cancellable_is_cancelled(watch->cancel)) {
        gboolean is_new = FALSE;
        if (!events && !has_ended) {
            events = connect_events(watch->vm);
            is_new = events != NULL;
        }
        g_autoptr(JsonObject) status = status_of(watch, error);
        if (!status || !show(watch, status, error))
            return FALSE;
        if (!events)
            hx_pause(DOWN_INTERVAL_MS, watch->cancel);
        /* A new connection begins with what has happened before. */
        has_ended =
            events && !await_events(watch, events, is_new ? 0 : RUNNING_INTERVAL_MS, !is_new);
        if (has_ended)
            g_clear_pointer(&events, hx_control_free);
    }
    return TRUE;
}

gboolean hx_status_watch(HxVm *vm, gboolean as_json, GCancellable *cancel, GError **error)
{
    gboolean terminal = hx_screen_is(STDOUT_FILENO);
    HxWatch watch = {
        .vm = vm,
        .style = as_json    ? JSON_LINES
                 : terminal ? IN_PLACE
                            : LINES,
        .cancel = cancel,
    };
    g_autoptr(GError) cause = NULL;
    gboolean good = watch_vm(&watch, &cause) || g_cancellable_is_cancelled(cancel);
    g_free(watch.shown);
    if (!good)
        g_propagate_error(error, g_steal_pointer(&cause));
    return good;
}
