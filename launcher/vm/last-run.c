/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/vm/last-run.h"

#include "launcher/base/json.h"

void hx_last_run_keep(HxVm *vm, gboolean failed, const char *reason)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    g_autofree char *time = g_date_time_format(now, "%Y-%m-%dT%H:%M:%SZ");
    g_autoptr(JsonBuilder) builder = json_builder_new();
    json_builder_begin_object(builder);
    hx_json_add_string(builder, "time", time);
    hx_json_add_boolean(builder, "failed", failed);
    hx_json_add_string(builder, "reason", reason);
    json_builder_end_object(builder);
    g_autoptr(JsonNode) root = json_builder_get_root(builder);
    g_autofree char *json = json_to_string(root, TRUE);
    g_file_set_contents(hx_vm_state_path(vm, "last-run.json"), json, -1, NULL);
}
