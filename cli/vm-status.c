/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/vm-status.h"

#include <sys/socket.h>

#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "launcher/base/json.h"
#include "launcher/base/unix-socket.h"
#include "launcher/control.h"
#include "launcher/vm-reach.h"

#define ENCODER_REPLY_MAX (1024 * 1024)

/* The JSON object in @path; NULL where there is none. */
static JsonObject *read_object(const char *path)
{
    g_autofree char *text = NULL;
    return g_file_get_contents(path, &text, NULL, NULL) ? hx_json_parse_object(text, -1) : NULL;
}

/* helixvm-encoder's statistics; NULL where it does not answer. */
static JsonObject *ask_encoder(HxVm *vm)
{
    hx_autofd int fd = hx_unix_connect(hx_vm_runtime_path(vm, "encoder.sock"), SOCK_STREAM);
    if (fd < 0)
        return NULL;
    struct timeval timeout = {.tv_sec = 1};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    g_autoptr(GString) text = g_string_new(NULL);
    char buffer[4096];
    ssize_t n;
    while ((n = read(fd, buffer, sizeof buffer)) > 0 && text->len < ENCODER_REPLY_MAX)
        g_string_append_len(text, buffer, n);
    return hx_json_parse_object(text->str, text->len);
}

static JsonObject *ask_monitor(HxVm *vm, GCancellable *cancel, GError **error)
{
    int fd = hx_vm_connect_monitor(vm, error);
    if (fd < 0)
        return NULL;
    g_autoptr(HxControl) control = hx_control_new(fd);
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

JsonObject *hx_vm_status(HxVm *vm, GCancellable *cancel, GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autoptr(JsonObject) status = ask_monitor(vm, cancel, &cause);
    if (status) {
        set_member(status, "encoder", ask_encoder(vm));
        set_member(status, "provisioned", read_object(hx_vm_state_path(vm, "guest.json")));
        return g_steal_pointer(&status);
    }
    if (!g_error_matches(cause, HX_ERROR, HX_ERROR_NOT_RUNNING)) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return NULL;
    }
    if (!hx_vm_check_known(vm, error))
        return NULL;
    status = json_object_new();
    json_object_set_string_member(status, "name", hx_vm_name(vm));
    json_object_set_string_member(status, "state", "stopped");
    JsonObject *last = read_object(hx_vm_state_path(vm, "last-run.json"));
    if (g_file_test(hx_vm_runtime_path(vm, "control.sock"), G_FILE_TEST_EXISTS)) {
        /* A monitor that ends removes its socket: the last word is of a run before. */
        g_clear_pointer(&last, json_object_unref);
        last = json_object_new();
        json_object_set_null_member(last, "time");
        json_object_set_boolean_member(last, "failed", TRUE);
        json_object_set_string_member(last, "reason", "the VM's monitor was killed");
    }
    set_member(status, "last_run", last);
    return g_steal_pointer(&status);
}
