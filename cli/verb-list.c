/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm list: all VMs and their state. */
#include <stdio.h>

#include "cli/verb.h"
#include "cli/vm-status.h"
#include "launcher/directories.h"

static int compare_names(const void *a, const void *b)
{
    return g_strcmp0(*(char *const *)a, *(char *const *)b);
}

/* The names of all VMs, sorted. */
static GPtrArray *vm_names(GError **error)
{
    g_autofree char *state = hx_state_directory(error);
    if (!state)
        return NULL;
    g_autofree char *path = g_build_filename(state, "vms", NULL);
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);
    const char *name;
    while (directory && (name = g_dir_read_name(directory)))
        g_ptr_array_add(names, g_strdup(name));
    g_ptr_array_sort(names, compare_names);
    return names;
}

static void print_row(JsonObject *status)
{
    const char *accelerator =
        json_object_get_string_member_with_default(status, "accelerator", NULL);
    printf("%-24s %-10s %s\n", json_object_get_string_member(status, "name"),
           json_object_get_string_member(status, "state"), accelerator ? accelerator : "-");
}

static gboolean print_json(JsonArray *all)
{
    g_autoptr(JsonNode) node = json_node_init_array(json_node_alloc(), all);
    g_autofree char *text = json_to_string(node, TRUE);
    puts(text);
    return TRUE;
}

gboolean hx_verb_list(int argc, char **argv, GError **error)
{
    gboolean as_json = FALSE;
    const GOptionEntry entries[] = {
        {"json", 0, 0, G_OPTION_ARG_NONE, &as_json, "print JSON: an array of what status prints",
         NULL},
        G_OPTION_ENTRY_NULL,
    };
    if (!hx_verb_parse("", entries, &argc, &argv, 0, 0, error))
        return FALSE;
    g_autoptr(GPtrArray) names = vm_names(error);
    if (!names)
        return FALSE;
    g_autoptr(JsonArray) all = json_array_new();
    for (guint i = 0; i < names->len; i++) {
        g_autoptr(HxVm) vm = hx_vm_open(names->pdata[i], NULL);
        /* What is no VM, or is removed meanwhile, is not in the list. */
        JsonObject *status = vm ? hx_vm_status(vm, hx_verb_cancellable(), NULL) : NULL;
        if (status)
            json_array_add_object_element(all, status);
    }
    if (as_json)
        return print_json(all);
    printf("%-24s %-10s %s\n", "NAME", "STATE", "ACCELERATOR");
    for (guint i = 0; i < json_array_get_length(all); i++)
        print_row(json_array_get_object_element(all, i));
    return TRUE;
}
