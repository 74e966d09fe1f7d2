/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/vm/last-run.h"

#include "launcher/base/json.h"
#include "launcher/base/now.h"

void hx_last_run_keep(HxVm *vm, gboolean failed, const char *reason)
{
    g_autofree char *time = hx_now_text();
    g_autoptr(JsonBuilder) builder = json_builder_new();
    json_builder_begin_object(builder);
    hx_json_add_string(builder, "time", time);
    hx_json_add_boolean(builder, "failed", failed);
    hx_json_add_string(builder, "reason", reason);
    json_builder_end_object(builder);
    g_autofree char *json = hx_json_text(builder, TRUE);
    g_file_set_contents(hx_vm_state_path(vm, "last-run.json"), json, -1, NULL);
}
