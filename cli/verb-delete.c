/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm delete: remove VMs, with their disks. */
#include <stdio.h>
#include <unistd.h>

#include "cli/json-print.h"
#include "cli/verb.h"
#include "cli/vm-stop.h"
#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "launcher/base/json.h"
#include "launcher/monitor/reach.h"
#include "launcher/vm/lock.h"
#include "launcher/vm/remove.h"

/* "a" or "a, b"; for g_free. */
static char *names_of(const GPtrArray *vms)
{
    g_autoptr(GString) names = g_string_new(NULL);
    for (guint i = 0; i < vms->len; i++)
        g_string_append_printf(names, "%s\"%s\"", i ? ", " : "", hx_vm_name(vms->pdata[i]));
    return g_string_free(g_steal_pointer(&names), FALSE);
}

/* Read an answer, for as long as the user takes.  FALSE where it is another than yes. */
static gboolean is_yes(void)
{
    GPollFD fds[2] = {{.fd = STDIN_FILENO, .events = G_IO_IN}};
    if (!g_cancellable_make_pollfd(hx_verb_cancellable(), &fds[1]))
        return FALSE;
    g_poll(fds, 2, -1);
    g_cancellable_release_fd(hx_verb_cancellable());
    int answer = g_cancellable_is_cancelled(hx_verb_cancellable()) ? EOF : getchar();
    if (answer == EOF)
        fputc('\n', stderr); /* the shell's prompt goes on a line of its own */
    return answer == 'y' || answer == 'Y';
}

/* FALSE where the user says no, or there is nobody to ask. */
static gboolean is_agreed(const GPtrArray *vms, GError **error)
{
    g_autofree char *names = names_of(vms);
    const char *all = vms->len > 1 ? "s" : "";
    const char *disk = vms->len > 1 ? "their disks" : "its disk";
    if (!isatty(STDIN_FILENO)) {
        g_set_error(error, HX_ERROR, HX_ERROR_USAGE,
                    "this removes VM%s %s with %s and snapshots: say --yes where nobody can be "
                    "asked",
                    all, names, disk);
        return FALSE;
    }
    fprintf(stderr, "Remove VM%s %s with %s and snapshots? [y/N] ", all, names, disk);
    if (is_yes())
        return TRUE;
    g_set_error(error, HX_ERROR, HX_ERROR_CANCELLED, "%s %s kept", names,
                vms->len > 1 ? "are" : "is");
    return FALSE;
}

/* What may have no profile, because its first `up` was killed, is removed all the same. */
static gboolean check_exists(HxVm *vm, GError **error)
{
    if (g_file_test(hx_vm_state_path(vm, NULL), G_FILE_TEST_IS_DIR))
        return TRUE;
    g_set_error(error, HX_ERROR, HX_ERROR_NOT_FOUND, "there is no VM \"%s\"", hx_vm_name(vm));
    return FALSE;
}

/* The lock of @vm, which is down, or is forced off where @force; -1 with @error. */
static int own(HxVm *vm, gboolean force, GError **error)
{
    if (!force)
        return hx_vm_own(vm, ", and delete removes such a one with --force alone",
                         hx_verb_cancellable(), error);
    int lock = -1;
    int monitor = hx_vm_reach(vm, &lock, hx_verb_cancellable(), error);
    if (monitor < 0)
        return lock;
    hx_close(&monitor);
    g_autoptr(HxProgress) progress = hx_progress_new(FALSE);
    g_auto(HxVmEnd) end = {0};
    if (!hx_vm_stop(vm, 0, progress, &end, error))
        return -1;
    return hx_vm_own(vm, " again, started meanwhile", hx_verb_cancellable(), error);
}

static gboolean remove_vm(HxVm *vm, gboolean force, GError **error)
{
    int lock = own(vm, force, error);
    if (lock < 0)
        return FALSE;
    hx_vm_sweep_removed(vm);
    gboolean removed = hx_vm_remove(vm, error);
    hx_vm_unlock(vm, lock);
    return removed;
}

/* Up to the first that cannot be removed; the result tells of all. */
static gboolean remove_vms(const GPtrArray *vms, gboolean force, gboolean as_json, GError **error)
{
    gboolean removed = TRUE;
    g_autoptr(JsonBuilder) builder = json_builder_new();
    json_builder_begin_array(builder);
    for (guint i = 0; i < vms->len; i++) {
        removed = removed && remove_vm(vms->pdata[i], force, error);
        if (removed && !as_json)
            printf("VM \"%s\" is removed\n", hx_vm_name(vms->pdata[i]));
        json_builder_begin_object(builder);
        hx_json_add_string(builder, "name", hx_vm_name(vms->pdata[i]));
        hx_json_add_boolean(builder, "removed", removed);
        json_builder_end_object(builder);
    }
    json_builder_end_array(builder);
    if (as_json)
        hx_json_print(builder);
    return removed;
}

/* The VMs that are named, or the default one. */
static GPtrArray *named(int argc, char **argv, GError **error)
{
    g_autoptr(GPtrArray) vms = g_ptr_array_new_with_free_func((GDestroyNotify)hx_vm_free);
    for (int i = 1; i < MAX(argc, 2); i++) {
        HxVm *vm = hx_vm_open(hx_verb_vm_name(argc, argv, i), error);
        if (!vm)
            return NULL;
        g_ptr_array_add(vms, vm);
        if (!check_exists(vm, error))
            return NULL;
    }
    return g_steal_pointer(&vms);
}

gboolean hx_verb_delete(int argc, char **argv, GError **error)
{
    gboolean yes = FALSE;
    gboolean force = FALSE;
    gboolean as_json = FALSE;
    const GOptionEntry entries[] = {
        {"yes", 'y', 0, G_OPTION_ARG_NONE, &yes, "do not ask", NULL},
        {"force", 'f', 0, G_OPTION_ARG_NONE, &force, "force one that is up off, and remove it",
         NULL},
        {"json", 0, 0, G_OPTION_ARG_NONE, &as_json, "print the result as JSON", NULL},
        G_OPTION_ENTRY_NULL,
    };
    if (!hx_verb_parse("[VM...]", entries, &argc, &argv, 0, G_MAXINT, error))
        return FALSE;
    g_autoptr(GPtrArray) vms = named(argc, argv, error);
    return vms && (yes || is_agreed(vms, error)) && remove_vms(vms, force, as_json, error);
}
