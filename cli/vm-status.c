/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/vm-status.h"

#include <sys/socket.h>

#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "launcher/base/json.h"
#include "launcher/base/pause.h"
#include "launcher/base/unix-socket.h"
#include "launcher/monitor/control.h"
#include "launcher/monitor/reach.h"
#include "launcher/profile/profile.h"
#include "launcher/vm/disk-use.h"
#include "launcher/vm/run.h"

#define ENCODER_REPLY_MAX (1024 * 1024)
#define ENCODER_TIMEOUT_MS 1000
#define MONITOR_TIMEOUT_MS 5000

/* The JSON object in @path; NULL where there is none. */
static JsonObject *read_object(const char *path)
{
    g_autofree char *text = NULL;
    return g_file_get_contents(path, &text, NULL, NULL) ? hx_json_parse_object(text, -1) : NULL;
}

JsonObject *hx_vm_encoder_statistics(HxVm *vm, GCancellable *cancel)
{
    gint64 deadline = g_get_monotonic_time() + ENCODER_TIMEOUT_MS * G_TIME_SPAN_MILLISECOND;
    hx_autofd int fd =
        hx_unix_connect(hx_vm_runtime_path(vm, "encoder.sock"), SOCK_STREAM | SOCK_NONBLOCK);
    g_autoptr(GString) text = g_string_new(NULL);
    char buffer[4096];
    ssize_t n = 0;
    while (fd >= 0 && text->len < ENCODER_REPLY_MAX &&
           hx_await_readable(fd, deadline, cancel) == 0 &&
           (n = read(fd, buffer, sizeof buffer)) > 0)
        g_string_append_len(text, buffer, n);
    return hx_json_parse_object(text->str, text->len);
}

static JsonObject *ask_monitor(HxVm *vm, GCancellable *cancel, GError **error)
{
    int fd = hx_vm_connect_monitor(vm, error);
    if (fd < 0)
        return NULL;
    g_autoptr(HxControl) control = hx_control_new(fd);
    hx_control_set_timeout(control, MONITOR_TIMEOUT_MS);
    if (!hx_control_send(control, "{\"request\":\"status\"}", error))
        return NULL;
    JsonObject *status = hx_control_next(control, cancel, error);
    if (!status && error && !*error)
        g_set_error(error, HX_ERROR, HX_ERROR_NOT_RUNNING,
                    "the monitor of VM \"%s\" has just ended", hx_vm_name(vm));
    return status;
}

/* Takes @value; null where it is NULL. */
static void set_member(JsonObject *object, const char *name, JsonObject *value)
{
    if (value)
        json_object_set_object_member(object, name, value);
    else
        json_object_set_null_member(object, name);
}

/* What a killed monitor could not write any more, or what one that ended did. */
static JsonObject *last_run(HxVm *vm)
{
    const char *failure = hx_run_failure(hx_run_state(vm));
    if (!failure && !g_file_test(hx_vm_runtime_path(vm, "control.sock"), G_FILE_TEST_EXISTS))
        return read_object(hx_vm_state_path(vm, "last-run.json"));
    /* A monitor that ends removes its socket: the last word is of a run before. */
    JsonObject *last = json_object_new();
    json_object_set_null_member(last, "time");
    json_object_set_boolean_member(last, "failed", TRUE);
    json_object_set_string_member(last, "reason",
                                  failure ? failure : hx_run_failure(HX_RUN_KILLED));
    return last;
}

/* Its monitor runs, and nobody can ask it. */
static void add_cut_off(HxVm *vm, JsonObject *status)
{
    g_autofree char *reason = g_strdup_printf(
        "the VM runs, but its sockets in %s were removed: end it with `helixvm down %s`",
        hx_vm_runtime_path(vm, NULL), hx_vm_name(vm));
    json_object_set_string_member(status, "state", "unknown");
    json_object_set_string_member(status, "reason", reason);
}

/* What the VM has of the host, by its profile: of the run under way, or else of the last. */
static void add_machine(HxVm *vm, JsonObject *status)
{
    g_autoptr(HxProfile) profile = hx_profile_new();
    if (!hx_profile_merge_file(profile, hx_vm_state_path(vm, "profile.conf"), NULL))
        return;
    JsonObject *machine = json_object_new();
    json_object_set_int_member(machine, "cpus", hx_profile_integer(profile, "machine.cpus"));
    json_object_set_int_member(machine, "memory_mib",
                               hx_profile_integer(profile, "machine.memory"));
    json_object_set_object_member(status, "machine", machine);
    JsonObject *disk = json_object_new();
    json_object_set_string_member(disk, "image", hx_profile_string(profile, "disk.image"));
    json_object_set_int_member(disk, "size_gib", hx_profile_integer(profile, "disk.size"));
    json_object_set_int_member(disk, "used_bytes", hx_disk_use(vm));
    json_object_set_object_member(status, "disk", disk);
}

JsonObject *hx_vm_status_brief(HxVm *vm, GCancellable *cancel, GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autoptr(JsonObject) status = ask_monitor(vm, cancel, &cause);
    if (!status && !g_error_matches(cause, HX_ERROR, HX_ERROR_NOT_RUNNING)) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return NULL;
    }
    if (!status) {
        if (!hx_vm_check_known(vm, error))
            return NULL;
        status = json_object_new();
        json_object_set_string_member(status, "name", hx_vm_name(vm));
        if (hx_run_is_cut_off(vm)) {
            add_cut_off(vm, status);
        } else {
            json_object_set_string_member(status, "state", "stopped");
            set_member(status, "last_run", last_run(vm));
        }
    }
    add_machine(vm, status);
    return g_steal_pointer(&status);
}

JsonObject *hx_vm_status(HxVm *vm, GCancellable *cancel, GError **error)
{
    JsonObject *status = hx_vm_status_brief(vm, cancel, error);
    const char *state = status ? json_object_get_string_member(status, "state") : "stopped";
    if (g_str_equal(state, "stopped") || g_str_equal(state, "unknown"))
        return status;
    set_member(status, "encoder", hx_vm_encoder_statistics(vm, cancel));
    if (hx_is_cancelled(cancel, error)) {
        json_object_unref(status);
        return NULL;
    }
    set_member(status, "provisioned", read_object(hx_vm_state_path(vm, "guest.json")));
    return status;
}
