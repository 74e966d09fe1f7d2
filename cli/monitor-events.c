/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/monitor-events.h"

#include "launcher/base/error.h"

void hx_vm_end_clear(HxVmEnd *end)
{
    g_clear_pointer(&end->text, g_free);
}

static const char *string_of(JsonObject *event, const char *member)
{
    return json_object_get_string_member_with_default(event, member, "");
}

static double seconds_of(JsonObject *event)
{
    return json_object_get_double_member_with_default(event, "seconds", 0);
}

static void show(JsonObject *event, HxProgress *progress)
{
    const char *kind = string_of(event, "event");
    if (g_str_equal(kind, "note"))
        hx_progress_note(progress, string_of(event, "text"));
    if (g_str_equal(kind, "state") && g_str_equal(string_of(event, "state"), "paused"))
        hx_progress_note(progress, "the guest is paused");
    if (!g_str_equal(kind, "phase"))
        return;
    if (g_str_equal(string_of(event, "state"), "begun"))
        hx_progress_begin(progress, string_of(event, "phase"));
    else
        hx_progress_end(progress, string_of(event, "phase"), seconds_of(event),
                        string_of(event, "detail"));
}

gboolean hx_events_follow(HxControl *control, HxEventsUntil until, HxProgress *progress,
                          GCancellable *cancel, double *ret_seconds, HxVmEnd *ret_end,
                          GError **error)
{
    g_autoptr(GError) cause = NULL;
    for (;;) {
        g_autoptr(JsonObject) event = hx_control_next(control, cancel, &cause);
        if (!event)
            break;
        show(event, progress);
        const char *kind = string_of(event, "event");
        if (g_str_equal(kind, "failed")) {
            gint64 code = json_object_get_int_member_with_default(event, "code", HX_ERROR_FAILED);
            g_set_error_literal(error, HX_ERROR, code, string_of(event, "text"));
            return FALSE;
        }
        if (g_str_equal(kind, "ready") && until == HX_EVENTS_UNTIL_READY) {
            if (ret_seconds)
                *ret_seconds = seconds_of(event);
            return TRUE;
        }
        if (!g_str_equal(kind, "stopped"))
            continue;
        if (until == HX_EVENTS_UNTIL_END) {
            if (ret_end)
                *ret_end = (HxVmEnd){
                    .forced = json_object_get_boolean_member_with_default(event, "forced", FALSE),
                    .text = g_strdup(string_of(event, "text")),
                };
            /* The monitor closes when it has let go of everything. */
            g_autoptr(JsonObject) more = hx_control_next(control, cancel, NULL);
            return TRUE;
        }
        g_set_error(error, HX_ERROR, HX_ERROR_FAILED, "the VM was stopped while it started: %s",
                    string_of(event, "text"));
        return FALSE;
    }
    if (cause)
        g_propagate_error(error, g_steal_pointer(&cause));
    else
        g_set_error_literal(error, HX_ERROR, HX_ERROR_FAILED,
                            "the VM's monitor ended unexpectedly: its log is monitor.log in the "
                            "VM's directory");
    return FALSE;
}
