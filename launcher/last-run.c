/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/last-run.h"

#include <json-glib/json-glib.h>

void hx_last_run_keep(HxVm *vm, gboolean failed, const char *reason)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    g_autofree char *time = g_date_time_format(now, "%Y-%m-%dT%H:%M:%SZ");
    g_autoptr(JsonBuilder) builder = json_builder_new();
    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "time");
    json_builder_add_string_value(builder, time);
    json_builder_set_member_name(builder, "failed");
    json_builder_add_boolean_value(builder, failed);
    json_builder_set_member_name(builder, "reason");
    json_builder_add_string_value(builder, reason);
    json_builder_end_object(builder);
    g_autoptr(JsonNode) root = json_builder_get_root(builder);
    g_autofree char *json = json_to_string(root, TRUE);
    g_file_set_contents(hx_vm_state_path(vm, "last-run.json"), json, -1, NULL);
}
