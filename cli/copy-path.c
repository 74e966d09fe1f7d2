/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/copy-path.h"

#include <string.h>

#include "launcher/base/error.h"

HxCopyPath hx_copy_path_parse(const char *argument)
{
    size_t name = strcspn(argument, ":/");
    if (argument[name] != ':')
        return (HxCopyPath){.path = g_strdup(argument)};
    return (HxCopyPath){
        .vm = name > 0 ? g_strndup(argument, name) : g_strdup("default"),
        .path = g_strdup(argument + name + 1),
    };
}

void hx_copy_path_clear(HxCopyPath *path)
{
    g_clear_pointer(&path->vm, g_free);
    g_clear_pointer(&path->path, g_free);
}

void hx_copy_plan_clear(HxCopyPlan *plan)
{
    g_clear_pointer(&plan->vm, g_free);
    g_clear_pointer(&plan->sources, g_strfreev);
    g_clear_pointer(&plan->destination, g_free);
}

static gboolean refuse(GError **error, const char *why)
{
    g_set_error(error, HX_ERROR, HX_ERROR_USAGE,
                "%s: copy from the host to one guest, cp FILE... VM:PATH, or from one guest to the "
                "host, cp VM:FILE... PATH",
                why);
    return FALSE;
}

gboolean hx_copy_plan(char **arguments, int n, HxCopyPlan *ret_plan, GError **error)
{
    g_auto(HxCopyPath) to = hx_copy_path_parse(arguments[n - 1]);
    g_auto(HxCopyPlan) plan = {.vm = g_steal_pointer(&to.vm)};
    plan.out = plan.vm == NULL;
    g_autoptr(GStrvBuilder) sources = g_strv_builder_new();
    for (int i = 0; i < n - 1; i++) {
        g_auto(HxCopyPath) from = hx_copy_path_parse(arguments[i]);
        if (!plan.out && from.vm)
            return refuse(error, "both ends are guests");
        if (plan.out && !from.vm)
            return refuse(error, "no end is a guest");
        if (plan.out && plan.vm && !g_str_equal(plan.vm, from.vm))
            return refuse(error, "the sources are of several guests");
        if (plan.out && !plan.vm)
            plan.vm = g_steal_pointer(&from.vm);
        g_strv_builder_add(sources, from.path);
    }
    plan.sources = g_strv_builder_end(sources);
    plan.destination = g_steal_pointer(&to.path);
    if (plan.out && !*plan.destination)
        return refuse(error, "the destination is empty");
    *ret_plan = plan;
    plan = (HxCopyPlan){0};
    return TRUE;
}
