/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm logs: what a VM's processes and its guest say. */
#include <glib-unix.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/log-files.h"
#include "cli/log-journal.h"
#include "cli/log-text.h"
#include "cli/verb.h"
#include "launcher/base/error.h"
#include "launcher/domain/qemu-log.h"
#include "launcher/domain/vm-domain.h"
#include "launcher/monitor/reach.h"

#define GUEST HX_LOG_JOURNAL

/* In the order of a VM's start. */
static const char *const components[] = {"monitor", "vsock", "qemu", "console", "encoder", GUEST};

typedef struct {
    HxVm *vm;
    const char *only; /* NULL: all components */
    guint lines;      /* G_MAXUINT: all */
    gboolean follow, raw;
    GMainLoop *loop;
    HxLogJournal *journal; /* followed */
    GPtrArray *files;      /* HxLogFile */
} Logs;

static gboolean is_component(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(components); i++)
        if (g_str_equal(name, components[i]))
            return TRUE;
    return FALSE;
}

static char *path_of(HxVm *vm, const char *component)
{
    g_autofree char *domain = hx_vm_domain_name(vm);
    if (g_str_equal(component, "qemu"))
        return hx_qemu_log_path(domain);
    g_autofree char *file = g_strconcat(component, ".log", NULL);
    return g_strdup(hx_vm_state_path(vm, file));
}

static gboolean print_line(const char *component, const char *line, gsize length, void *data)
{
    const Logs *logs = data;
    if (!logs->only)
        printf("%-7s | ", component);
    hx_log_write(stdout, line, length, logs->raw);
    /* Where nobody reads any more, there is nothing to go on for. */
    gboolean good = !ferror(stdout) && (!logs->follow || fflush(stdout) == 0);
    if (!good && logs->loop)
        g_main_loop_quit(logs->loop);
    return good;
}

/* --- the guest's journal -----------------------------------------------------------------------
 */

static gboolean on_journal(int fd, GIOCondition condition, void *data)
{
    Logs *logs = data;
    return hx_log_journal_read(logs->journal, print_line, logs) ? G_SOURCE_CONTINUE
                                                                : G_SOURCE_REMOVE;
}

static gboolean print_journal(Logs *logs, GError **error)
{
    g_autoptr(HxLogJournal) journal =
        hx_log_journal_new(logs->vm, NULL, NULL, logs->lines, FALSE, error);
    if (!journal)
        return FALSE;
    while (!ferror(stdout) && hx_log_journal_read(journal, print_line, logs)) {
    }
    return ferror(stdout) || hx_log_journal_result(journal, error);
}

/* --- all ---------------------------------------------------------------------------------------
 */

/* What is missing is worth an error where it was asked for by name, and a word elsewhere. */
static gboolean is_missing(const Logs *logs, const char *component, GError *cause, GError **error)
{
    if (logs->only && !logs->follow) {
        g_propagate_error(error, cause);
        return FALSE;
    }
    g_autofree char *text = hx_log_clean(cause->message, strlen(cause->message));
    fprintf(stderr, "helixvm: no log of %s now: %s\n", component, text);
    g_error_free(cause);
    return TRUE;
}

static gboolean print_component(Logs *logs, const char *component, GError **error)
{
    GError *cause = NULL;
    if (g_str_equal(component, GUEST)) {
        /* Followed, it comes by itself. */
        gboolean good = logs->follow || print_journal(logs, &cause);
        return good || is_missing(logs, component, cause, error);
    }
    g_autofree char *path = path_of(logs->vm, component);
    HxLogFile *file = hx_log_file_new(component, path, print_line, logs);
    g_ptr_array_add(logs->files, file);
    return hx_log_file_read(file, logs->lines, &cause) || is_missing(logs, component, cause, error);
}

static gboolean on_cancelled(GCancellable *cancel, void *data)
{
    g_main_loop_quit(data);
    return G_SOURCE_REMOVE;
}

static gboolean follow(Logs *logs, GError **error)
{
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
    g_autoptr(GSource) cancelled = g_cancellable_source_new(hx_verb_cancellable());
    g_autoptr(HxLogJournal) journal = NULL;
    guint watch = 0;
    g_source_set_callback(cancelled, G_SOURCE_FUNC(on_cancelled), loop, NULL);
    g_source_attach(cancelled, NULL);
    logs->loop = loop;
    for (guint i = 0; i < logs->files->len; i++)
        hx_log_file_follow(logs->files->pdata[i]);
    if (!logs->only || g_str_equal(logs->only, GUEST)) {
        journal = hx_log_journal_new(logs->vm, NULL, NULL, logs->lines, TRUE, error);
        if (!journal)
            return FALSE;
        logs->journal = journal;
        watch = g_unix_fd_add(hx_log_journal_fd(journal), G_IO_IN | G_IO_HUP, on_journal, logs);
    }
    if (!ferror(stdout) && !g_cancellable_is_cancelled(hx_verb_cancellable()))
        g_main_loop_run(loop);
    /* Where nobody reads stdout any more, the journal's thread has to hear of it too. */
    g_cancellable_cancel(hx_verb_cancellable());
    if (watch && g_main_context_find_source_by_id(NULL, watch))
        g_source_remove(watch);
    g_source_destroy(cancelled);
    logs->loop = NULL;
    return TRUE;
}

static gboolean print_logs(Logs *logs, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(components); i++)
        if ((!logs->only || g_str_equal(logs->only, components[i])) &&
            !print_component(logs, components[i], error))
            return FALSE;
    return !logs->follow || follow(logs, error);
}

/* `logs encoder` means the default VM's, unless there is a VM of that name. */
static HxVm *choose(int argc, char **argv, const char **ret_only, GError **error)
{
    const char *name = hx_verb_vm_name(argc, argv, 1);
    *ret_only = argc > 2 ? argv[2] : NULL;
    if (*ret_only && !is_component(*ret_only)) {
        g_set_error(error, HX_ERROR, HX_ERROR_USAGE,
                    "no component \"%s\": there are monitor, vsock, qemu, console, encoder and "
                    "guest",
                    *ret_only);
        return NULL;
    }
    g_autoptr(HxVm) vm = hx_vm_open(name, error);
    if (!vm)
        return NULL;
    if (argc == 2 && is_component(name) && !hx_vm_check_known(vm, NULL)) {
        *ret_only = name;
        g_clear_pointer(&vm, hx_vm_free);
        vm = hx_vm_open("default", error);
    }
    return vm && hx_vm_check_known(vm, error) ? g_steal_pointer(&vm) : NULL;
}

gboolean hx_verb_logs(int argc, char **argv, GError **error)
{
    g_autofree char *lines = NULL;
    Logs logs = {0};
    const GOptionEntry options[] = {
        {"follow", 'f', 0, G_OPTION_ARG_NONE, &logs.follow,
         "go on with what is added, until Ctrl-C", NULL},
        {"lines", 'n', 0, G_OPTION_ARG_STRING, &lines,
         "the last so many lines of each (all; with --follow 10)", "LINES|all"},
        {"raw", 0, 0, G_OPTION_ARG_NONE, &logs.raw,
         "every byte as it is, also what a terminal would act upon", NULL},
        G_OPTION_ENTRY_NULL,
    };
    if (!hx_verb_parse("[VM] [monitor|vsock|qemu|console|encoder|guest]", options, &argc, &argv, 0,
                       2, error) ||
        !hx_log_parse_lines(lines, logs.follow ? HX_LOG_FOLLOW_LINES : G_MAXUINT, &logs.lines,
                            error))
        return FALSE;
    g_autoptr(HxVm) vm = choose(argc, argv, &logs.only, error);
    if (!vm)
        return FALSE;
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func((GDestroyNotify)hx_log_file_free);
    logs.vm = vm;
    logs.files = files;
    return print_logs(&logs, error);
}
