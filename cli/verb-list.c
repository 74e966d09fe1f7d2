/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm list: all VMs, their state, and what they have of the host. */
#include <stdio.h>
#include <string.h>

#include "cli/status-text.h"
#include "cli/verb.h"
#include "cli/vm-status.h"
#include "launcher/base/error.h"
#include "launcher/base/json.h"
#include "launcher/monitor/reach.h"

/* The status of @vm; where its monitor does not answer that is said, and the others are listed.
 * NULL where it is no VM, or was removed meanwhile. */
static JsonObject *status_of(HxVm *vm, gboolean whole)
{
    g_autoptr(GError) error = NULL;
    JsonObject *status = whole ? hx_vm_status(vm, hx_verb_cancellable(), &error)
                               : hx_vm_status_brief(vm, hx_verb_cancellable(), &error);
    if (status || g_error_matches(error, HX_ERROR, HX_ERROR_NOT_FOUND))
        return status;
    status = json_object_new();
    json_object_set_string_member(status, "name", hx_vm_name(vm));
    json_object_set_string_member(status, "state", "unknown");
    json_object_set_string_member(status, "reason", error->message);
    return status;
}

/* --- output -------------------------------------------------------------------------------------
 */

static const char *text_of(JsonObject *object, const char *member)
{
    const char *text = hx_json_string(object, member);
    return text ? text : "-";
}

/* A size column: "-" where it is not known. */
static char *size_of(JsonObject *object, const char *member, gint64 unit)
{
    if (!object)
        return g_strdup("-");
    gint64 bytes = hx_json_integer(object, member) * unit;
    return bytes >= (1LL << 30) ? g_strdup_printf("%.1f GiB", bytes / (double)(1LL << 30))
                                : g_strdup_printf("%.0f MiB", bytes / (double)(1LL << 20));
}

static void print_row(JsonObject *status, int width)
{
    JsonObject *machine = hx_json_object(status, "machine");
    JsonObject *disk = hx_json_object(status, "disk");
    g_autofree char *memory = size_of(machine, "memory_mib", 1 << 20);
    g_autofree char *used = size_of(disk, "used_bytes", 1);
    gint64 cpus = hx_json_integer(machine, "cpus");
    g_autofree char *cpu_text = cpus ? g_strdup_printf("%" G_GINT64_FORMAT, cpus) : g_strdup("-");
    g_autofree char *uptime =
        json_object_has_member(status, "uptime_s")
            ? hx_duration_text(json_object_get_double_member(status, "uptime_s"))
            : g_strdup("-");
    printf("%-*s  %-9s  %-5s  %-12s  %4s  %8s  %8s  %s\n", width, text_of(status, "name"),
           text_of(status, "state"), text_of(status, "accelerator"), text_of(disk, "image"),
           cpu_text, memory, used, uptime);
}

static void print_table(JsonArray *all)
{
    int width = strlen("NAME");
    for (guint i = 0; i < json_array_get_length(all); i++) {
        JsonObject *status = json_array_get_object_element(all, i);
        width = MAX(width, (int)strlen(json_object_get_string_member(status, "name")));
    }
    printf("%-*s  %-9s  %-5s  %-12s  %4s  %8s  %8s  %s\n", width, "NAME", "STATE", "ACCEL", "IMAGE",
           "CPUS", "MEMORY", "DISK", "UP FOR");
    for (guint i = 0; i < json_array_get_length(all); i++)
        print_row(json_array_get_object_element(all, i), width);
}

static void print_json(JsonArray *all)
{
    g_autoptr(JsonNode) node = json_node_init_array(json_node_alloc(), all);
    g_autofree char *text = json_to_string(node, TRUE);
    puts(text);
}

gboolean hx_verb_list(int argc, char **argv, GError **error)
{
    gboolean as_json = FALSE;
    gboolean quiet = FALSE;
    const GOptionEntry entries[] = {
        {"quiet", 'q', 0, G_OPTION_ARG_NONE, &quiet, "print the names alone, one a line", NULL},
        {"json", 0, 0, G_OPTION_ARG_NONE, &as_json, "print JSON: an array of what status prints",
         NULL},
        G_OPTION_ENTRY_NULL,
    };
    if (!hx_verb_parse("", entries, &argc, &argv, 0, 0, error))
        return FALSE;
    g_autoptr(GPtrArray) names = hx_vm_names(error);
    if (!names)
        return FALSE;
    g_autoptr(JsonArray) all = json_array_new();
    for (guint i = 0; i < names->len; i++) {
        g_autoptr(HxVm) vm = hx_vm_open(names->pdata[i], NULL);
        if (!vm || !hx_vm_check_known(vm, NULL))
            continue;
        if (quiet && !as_json) {
            puts(hx_vm_name(vm));
            continue;
        }
        JsonObject *status = status_of(vm, as_json);
        if (status)
            json_array_add_object_element(all, status);
    }
    if (as_json)
        print_json(all);
    else if (!quiet)
        print_table(all);
    return TRUE;
}
