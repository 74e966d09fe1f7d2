/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm delete: remove a VM that is down, with its disk. */
#include <stdio.h>
#include <unistd.h>

#include "cli/verb.h"
#include "launcher/base/error.h"
#include "launcher/image-store.h"
#include "launcher/vm-lock.h"
#include "launcher/vm-reach.h"

/* FALSE where the user says no, or there is nobody to ask. */
static gboolean is_agreed(HxVm *vm, GError **error)
{
    if (!isatty(STDIN_FILENO)) {
        g_set_error(error, HX_ERROR, HX_ERROR_USAGE,
                    "this removes VM \"%s\" with its disk: say --yes where nobody can be asked",
                    hx_vm_name(vm));
        return FALSE;
    }
    fprintf(stderr, "Remove VM \"%s\" with its disk? [y/N] ", hx_vm_name(vm));
    int answer = getchar();
    if (answer == 'y' || answer == 'Y')
        return TRUE;
    g_set_error(error, HX_ERROR, HX_ERROR_CANCELLED, "VM \"%s\" is kept", hx_vm_name(vm));
    return FALSE;
}

gboolean hx_verb_delete(int argc, char **argv, GError **error)
{
    gboolean yes = FALSE;
    const GOptionEntry entries[] = {
        {"yes", 'y', 0, G_OPTION_ARG_NONE, &yes, "do not ask", NULL},
        G_OPTION_ENTRY_NULL,
    };
    if (!hx_verb_parse("VM", entries, &argc, &argv, 1, 1, error))
        return FALSE;
    g_autoptr(HxVm) vm = hx_vm_open(argv[1], error);
    if (!vm)
        return FALSE;
    const char *directory = hx_vm_state_path(vm, NULL);
    if (!g_file_test(directory, G_FILE_TEST_IS_DIR)) {
        g_set_error(error, HX_ERROR, HX_ERROR_NOT_FOUND, "there is no VM \"%s\"", hx_vm_name(vm));
        return FALSE;
    }
    if (!yes && !is_agreed(vm, error))
        return FALSE;
    int lock = -1;
    int monitor = hx_vm_reach(vm, &lock, hx_verb_cancellable(), error);
    if (monitor >= 0) {
        close(monitor);
        g_set_error(error, HX_ERROR, HX_ERROR_FAILED,
                    "VM \"%s\" is up: power it off first with `helixvm down %s`", hx_vm_name(vm),
                    hx_vm_name(vm));
        return FALSE;
    }
    if (lock < 0)
        return FALSE;
    gboolean removed = hx_image_delete_tree(directory, error);
    hx_vm_unlock(vm, lock);
    if (removed)
        printf("VM \"%s\" is removed\n", hx_vm_name(vm));
    return removed;
}
