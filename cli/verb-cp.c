/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm cp: files and trees between the host and a guest. */
#include <stdio.h>

#include "cli/copy-path.h"
#include "cli/guest.h"
#include "cli/json-print.h"
#include "cli/transfer-progress.h"
#include "cli/verb.h"
#include "guest-provision/ssh-copy.h"
#include "launcher/base/error.h"
#include "launcher/base/json.h"

static void report(const char *path, guint64 done, guint64 size, void *data)
{
    hx_transfer_progress_update(data, path, done, size);
}

static void skipped(const char *path, const char *what, void *data)
{
    g_autofree char *text = g_strdup_printf("left out %s: it is %s", path, what);
    hx_transfer_progress_note(data, text);
}

static void print_json(const HxCopyTotals *totals, double seconds)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();
    json_builder_begin_object(builder);
    hx_json_add_integer(builder, "files", totals->files);
    hx_json_add_integer(builder, "directories", totals->directories);
    hx_json_add_integer(builder, "symlinks", totals->symlinks);
    hx_json_add_integer(builder, "skipped", totals->skipped);
    hx_json_add_integer(builder, "bytes", totals->bytes);
    json_builder_set_member_name(builder, "seconds");
    json_builder_add_double_value(builder, seconds);
    json_builder_end_object(builder);
    hx_json_print(builder);
}

static void print_line(const HxCopyTotals *totals, double seconds)
{
    g_autofree char *amount = hx_transfer_format_size(totals->bytes);
    printf("copied %" G_GUINT64_FORMAT " file%s, %s, in %.1f s\n", totals->files,
           totals->files == 1 ? "" : "s", amount, seconds);
}

gboolean hx_verb_cp(int argc, char **argv, GError **error)
{
    gboolean recursive = FALSE, preserve = FALSE, quiet = FALSE, json = FALSE;
    const GOptionEntry entries[] = {
        {"recursive", 'r', 0, G_OPTION_ARG_NONE, &recursive, "copy directories with all in them",
         NULL},
        {"preserve", 'p', 0, G_OPTION_ARG_NONE, &preserve, "keep permissions and times", NULL},
        {"quiet", 'q', 0, G_OPTION_ARG_NONE, &quiet, "show no progress", NULL},
        {"json", 0, 0, G_OPTION_ARG_NONE, &json, "print what was copied as JSON", NULL},
        G_OPTION_ENTRY_NULL,
    };
    if (!hx_verb_parse("[VM:]FILE... [VM:]PATH", entries, &argc, &argv, 2, G_MAXINT, error))
        return FALSE;
    g_auto(HxCopyPlan) plan = {0};
    if (!hx_copy_plan(argv + 1, argc - 1, &plan, error))
        return FALSE;
    g_autoptr(HxVm) vm = hx_vm_open(plan.vm, error);
    if (!vm)
        return FALSE;
    HxGuest guest = hx_verb_guest(vm);
    g_autoptr(HxSsh) ssh = hx_guest_ssh(&guest, error);
    if (!ssh)
        return FALSE;
    g_autoptr(HxTransferProgress) progress = hx_transfer_progress_new(quiet);
    HxCopyOptions options = {
        .recursive = recursive,
        .preserve = preserve,
        .cancel = hx_verb_cancellable(),
        .report = report,
        .skipped = skipped,
        .data = progress,
    };
    HxCopyTotals totals = {0};
    gint64 begun = g_get_monotonic_time();
    if (!(plan.out ? hx_ssh_copy_out : hx_ssh_copy_in)(ssh, (const char *const *)plan.sources,
                                                       plan.destination, &options, &totals, error))
        return FALSE;
    double seconds = (g_get_monotonic_time() - begun) / 1e6;
    g_clear_pointer(&progress, hx_transfer_progress_free);
    if (json)
        print_json(&totals, seconds);
    else if (!quiet)
        print_line(&totals, seconds);
    if (totals.skipped == 0 || totals.files + totals.directories + totals.symlinks > 0)
        return TRUE;
    g_set_error_literal(error, HX_ERROR, HX_ERROR_FAILED,
                        "nothing was copied: only files, directories and symbolic links are");
    return FALSE;
}
