/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/vm-result.h"

#include <stdio.h>

#include "cli/json-print.h"
#include "launcher/base/json.h"
#include "launcher/base/printable.h"

static JsonBuilder *begin(const HxVm *vm, const char *state, gboolean changed)
{
    JsonBuilder *builder = json_builder_new();
    json_builder_begin_object(builder);
    hx_json_add_string(builder, "name", hx_vm_name(vm));
    hx_json_add_string(builder, "state", state);
    hx_json_add_boolean(builder, "changed", changed);
    return builder;
}

static void print(JsonBuilder *builder)
{
    json_builder_end_object(builder);
    hx_json_print(builder);
}

void hx_vm_print_start(const HxVm *vm, const HxVmStart *start, JsonArray *phases, gboolean as_json)
{
    if (as_json) {
        g_autoptr(JsonBuilder) builder = begin(vm, "running", !start->was_up);
        json_builder_set_member_name(builder, "seconds");
        if (start->was_up)
            json_builder_add_null_value(builder);
        else
            json_builder_add_double_value(builder, start->seconds);
        if (phases) {
            JsonNode *node = json_node_new(JSON_NODE_ARRAY);
            json_node_set_array(node, phases);
            json_builder_set_member_name(builder, "phases");
            json_builder_add_value(builder, node);
        }
        print(builder);
    } else if (start->was_up) {
        printf("VM \"%s\" is already up\n", hx_vm_name(vm));
    } else {
        printf("VM \"%s\" is up after %.1f s\n", hx_vm_name(vm), start->seconds);
    }
}

void hx_vm_print_end(const HxVm *vm, const HxVmEnd *end, gboolean as_json)
{
    if (as_json) {
        g_autoptr(JsonBuilder) builder = begin(vm, "stopped", !end->was_down);
        hx_json_add_boolean(builder, "forced", end->forced);
        hx_json_add_string(builder, "reason", end->text);
        print(builder);
    } else if (end->was_down) {
        printf("VM \"%s\" is already down\n", hx_vm_name(vm));
    } else {
        g_autofree char *printable = hx_printable(end->text);
        printf("VM \"%s\" is down: %s\n", hx_vm_name(vm), printable);
    }
}
