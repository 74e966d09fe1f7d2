/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm snapshot create|list|restore|delete */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/json-print.h"
#include "cli/progress.h"
#include "cli/verb.h"
#include "launcher/base/error.h"
#include "launcher/base/json.h"
#include "launcher/monitor/reach.h"
#include "launcher/vm/lock.h"
#include "launcher/vm/snapshot.h"

/* The lock of @vm, which has to be known and down; -1 with @error. */
static int own(HxVm *vm, GError **error)
{
    return hx_vm_check_known(vm, error)
               ? hx_vm_own(vm, ", and its guest writes to its disks", hx_verb_cancellable(), error)
               : -1;
}

/* --- output -------------------------------------------------------------------------------------
 */

static void add_snapshot(JsonBuilder *builder, const HxSnapshot *snapshot)
{
    json_builder_begin_object(builder);
    hx_json_add_string(builder, "name", snapshot->name);
    hx_json_add_string(builder, "time", snapshot->time);
    hx_json_add_string(builder, "description", snapshot->description);
    hx_json_add_integer(builder, "disk_bytes", snapshot->disk_bytes);
    json_builder_set_member_name(builder, "disks");
    json_builder_begin_array(builder);
    for (char **disk = snapshot->disks; *disk; disk++)
        json_builder_add_string_value(builder, *disk);
    json_builder_end_array(builder);
    json_builder_end_object(builder);
}

/* What was done with @snapshot: JSON of it, or "VM "x": @done". */
static void print_done(HxVm *vm, const HxSnapshot *snapshot, const char *done, gboolean as_json)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();
    add_snapshot(builder, snapshot);
    if (as_json)
        hx_json_print(builder);
    else
        printf("VM \"%s\": snapshot %s %s\n", hx_vm_name(vm), snapshot->name, done);
}

static void print_table(const GPtrArray *snapshots)
{
    int width = strlen("NAME");
    for (guint i = 0; i < snapshots->len; i++)
        width = MAX(width, (int)strlen(((HxSnapshot *)snapshots->pdata[i])->name));
    printf("%-*s  %-20s  %10s  %s\n", width, "NAME", "TIME", "DISK", "DESCRIPTION");
    for (guint i = 0; i < snapshots->len; i++) {
        const HxSnapshot *snapshot = snapshots->pdata[i];
        g_autofree char *size = g_format_size_full(snapshot->disk_bytes, G_FORMAT_SIZE_IEC_UNITS);
        g_autofree char *line = g_strdup_printf("%-*s  %-20s  %10s  %s", width, snapshot->name,
                                                snapshot->time, size, snapshot->description);
        puts(g_strchomp(line));
    }
}

/* --- actions ------------------------------------------------------------------------------------
 */

static gboolean create(int argc, char **argv, GError **error)
{
    gboolean as_json = FALSE;
    g_autofree char *description = NULL;
    const GOptionEntry options[] = {
        {"description", 'd', 0, G_OPTION_ARG_STRING, &description, "what it is for, one line",
         "TEXT"},
        {"json", 0, 0, G_OPTION_ARG_NONE, &as_json, "print the result as JSON", NULL},
        G_OPTION_ENTRY_NULL,
    };
    if (!hx_verb_parse("[[VM] NAME]", options, &argc, &argv, 0, 2, error) ||
        !hx_verb_check_no_vm("snapshot", argc, argv, error))
        return FALSE;
    g_autoptr(HxVm) vm = hx_vm_open(hx_verb_vm_before(argc, argv), error);
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    g_autofree char *by_time = g_date_time_format(now, "%Y%m%d-%H%M%S");
    const char *name = argc > 1 ? argv[argc - 1] : by_time;
    int lock = vm && hx_snapshot_check_name(name, error) ? own(vm, error) : -1;
    if (lock < 0)
        return FALSE;
    gboolean done = hx_snapshot_create(vm, name, description, error);
    hx_vm_unlock(vm, lock);
    g_autoptr(HxSnapshot) snapshot = done ? hx_snapshot_open(vm, name, error) : NULL;
    if (!snapshot)
        return FALSE;
    print_done(vm, snapshot, "is taken", as_json);
    return TRUE;
}

static gboolean list(int argc, char **argv, GError **error)
{
    gboolean as_json = FALSE;
    const GOptionEntry options[] = {
        {"json", 0, 0, G_OPTION_ARG_NONE, &as_json, "print JSON", NULL},
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(HxVm) vm = hx_verb_parse_vm(options, &argc, &argv, error);
    if (!vm || !hx_vm_check_known(vm, error))
        return FALSE;
    g_autoptr(GPtrArray) snapshots = hx_snapshot_list(vm);
    if (as_json) {
        g_autoptr(JsonBuilder) builder = json_builder_new();
        json_builder_begin_array(builder);
        for (guint i = 0; i < snapshots->len; i++)
            add_snapshot(builder, snapshots->pdata[i]);
        json_builder_end_array(builder);
        hx_json_print(builder);
    } else if (snapshots->len == 0) {
        fprintf(stderr, "VM \"%s\" has no snapshot: `helixvm snapshot create %s NAME` takes one\n",
                hx_vm_name(vm), hx_vm_name(vm));
    } else {
        print_table(snapshots);
    }
    return TRUE;
}

/* What restoring takes away. */
static void say_what_is_lost(HxVm *vm, const HxSnapshot *snapshot)
{
    g_autoptr(HxProgress) progress = hx_progress_new(FALSE);
    struct stat status;
    if (!*snapshot->disks || stat(hx_vm_state_path(vm, snapshot->disks[0]), &status) < 0)
        return;
    g_autoptr(GDateTime) changed = g_date_time_new_from_unix_utc(status.st_mtime);
    g_autofree char *time = g_date_time_format(changed, "%Y-%m-%dT%H:%M:%SZ");
    g_autofree char *text = g_strdup_printf(
        "the disk as it is now, last changed %s, is replaced by that of %s", time, snapshot->time);
    hx_progress_note(progress, text);
}

static gboolean change(int argc, char **argv, gboolean restore, GError **error)
{
    gboolean as_json = FALSE;
    const GOptionEntry options[] = {
        {"json", 0, 0, G_OPTION_ARG_NONE, &as_json, "print the result as JSON", NULL},
        G_OPTION_ENTRY_NULL,
    };
    if (!hx_verb_parse("[VM] SNAPSHOT", options, &argc, &argv, 1, 2, error))
        return FALSE;
    const char *name = argv[argc - 1];
    g_autoptr(HxVm) vm = hx_vm_open(hx_verb_vm_before(argc, argv), error);
    int lock = vm && hx_snapshot_check_name(name, error) ? own(vm, error) : -1;
    if (lock < 0)
        return FALSE;
    g_autoptr(HxSnapshot) snapshot = NULL;
    gboolean done =
        hx_snapshot_recover(vm, error) && (snapshot = hx_snapshot_open(vm, name, error)) != NULL;
    if (done && restore)
        say_what_is_lost(vm, snapshot);
    if (done)
        done = restore ? hx_snapshot_restore(vm, name, error) : hx_snapshot_delete(vm, name, error);
    hx_vm_unlock(vm, lock);
    if (done)
        print_done(vm, snapshot, restore ? "is restored" : "is deleted", as_json);
    return done;
}

static gboolean restore(int argc, char **argv, GError **error)
{
    return change(argc, argv, TRUE, error);
}

static gboolean delete(int argc, char **argv, GError **error)
{
    return change(argc, argv, FALSE, error);
}

const HxVerb hx_verb_snapshot_actions[] = {
    {"create", "take a snapshot of the disks of a VM that is down", .run = create},
    {"list", "list the snapshots of a VM", .run = list},
    {"restore", "make a VM's disks what they were at a snapshot", .run = restore},
    {"delete", "remove a snapshot, and keep the disks as they are", .run = delete},
    {.name = NULL},
};
