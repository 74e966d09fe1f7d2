/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm session list|start|stop */
#include <string.h>

#include "cli/guest-command.h"
#include "cli/json-print.h"
#include "cli/session-print.h"
#include "cli/stream-told.h"
#include "cli/verb.h"
#include "guest-provision/session-settings.h"
#include "launcher/base/error.h"
#include "launcher/monitor/reach.h"

/* Who serves answers at once. */
#define ANSWER_SECONDS 10

#define ARGUMENTS "[VM] SESSION"

/* --- what sessions tell -------------------------------------------------------------------------
 */

typedef struct {
    HxVm *vm;
    guint32 port;
} Address;

static int connect_session(void *data, GCancellable *cancel)
{
    const Address *address = data;
    return hx_vm_connect(address->vm, address->port, cancel, NULL);
}

static HxSessionRow ask(HxVm *vm, const HxGuestSession *session)
{
    Address address = {vm, session->port};
    HxSessionRow row = {.session = session};
    if (session->port && g_str_equal(session->state, "running"))
        row.told = hx_stream_ask(connect_session, &address, ANSWER_SECONDS, hx_verb_cancellable());
    return row;
}

static void row_clear(void *row)
{
    g_clear_pointer(&((HxSessionRow *)row)->told, json_object_unref);
}

/* --- list ---------------------------------------------------------------------------------------
 */

static void print_rows(const GArray *rows, gboolean as_json)
{
    const HxSessionRow *first = (const HxSessionRow *)(const void *)rows->data;
    if (!as_json) {
        g_autofree char *text = hx_session_print_table(first, rows->len);
        fputs(text, stdout);
        return;
    }
    g_autoptr(JsonBuilder) builder = json_builder_new();
    json_builder_begin_array(builder);
    for (guint i = 0; i < rows->len; i++)
        hx_session_print_build(&first[i], builder);
    json_builder_end_array(builder);
    hx_json_print(builder);
}

static gboolean list(int argc, char **argv, GError **error)
{
    gboolean as_json = FALSE;
    const GOptionEntry options[] = {
        {"json", 0, 0, G_OPTION_ARG_NONE, &as_json, "print JSON", NULL},
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(HxVm) vm = hx_verb_parse_vm(options, &argc, &argv, error);
    if (!vm)
        return FALSE;
    HxGuest guest = hx_verb_guest(vm);
    g_autoptr(HxSsh) ssh = hx_guest_ssh(&guest, error);
    g_autoptr(GPtrArray) sessions = ssh ? hx_guest_session_list(ssh, error) : NULL;
    if (!sessions)
        return FALSE;
    g_autoptr(GArray) rows = g_array_new(FALSE, FALSE, sizeof(HxSessionRow));
    g_array_set_clear_func(rows, row_clear);
    for (guint i = 0; i < sessions->len; i++) {
        HxSessionRow row = ask(vm, sessions->pdata[i]);
        g_array_append_val(rows, row);
    }
    print_rows(rows, as_json);
    return TRUE;
}

/* --- start --------------------------------------------------------------------------------------
 */

typedef struct {
    HxVm *vm;
    const char *name;
    GPtrArray *settings; /* "KEY=VALUE", NULL at the end */
    gboolean enable;
    gboolean as_json;
} Start;

/* What the options @size, @fps (0: not given) and @set (NULL: none) and the @command say of it. */
static gboolean take_settings(Start *start, const char *size, int fps, char **set,
                              const HxGuestCommand *command, GError **error)
{
    if (size && !hx_session_settings_add_size(start->settings, size, error))
        return FALSE;
    if (fps)
        g_ptr_array_add(start->settings, g_strdup_printf("fps=%d", fps));
    for (; set && *set; set++)
        g_ptr_array_add(start->settings, g_strdup(*set));
    if (command->n_words > 0) {
        g_autofree char *text = hx_verb_quote(command->n_words, command->words);
        g_ptr_array_add(start->settings, g_strconcat("command=", text, NULL));
    }
    g_ptr_array_add(start->settings, NULL);
    /* Before the VM is asked: what no session takes, this one does not. */
    g_autofree char *text =
        hx_session_settings_apply("", (const char *const *)start->settings->pdata, error);
    return text != NULL;
}

/* Give @session (NULL: there is none yet) the settings, unless it has them. */
static gboolean configure(const Start *start, HxSsh *ssh, const HxGuestSession *session,
                          GError **error)
{
    const char *before = session ? session->text : "";
    g_autofree char *text =
        hx_session_settings_apply(before, (const char *const *)start->settings->pdata, error);
    if (!text)
        return FALSE;
    if (session && g_str_equal(text, before))
        return TRUE;
    if (session && g_str_equal(session->state, "running")) {
        g_set_error(error, HX_ERROR, HX_ERROR_FAILED,
                    "session \"%s\" of VM \"%s\" runs with other settings: `helixvm session stop "
                    "%s %s` first, which ends what runs in it",
                    start->name, hx_vm_name(start->vm), hx_vm_name(start->vm), start->name);
        return FALSE;
    }
    /* One that is tried again and again was told other settings. */
    if (session && !hx_guest_session_change(ssh, start->name, HX_GUEST_SESSION_STOP, error))
        return FALSE;
    return hx_guest_session_configure(ssh, start->name, text, error);
}

static void print_started(const Start *start, const HxGuestSession *session, gboolean ran)
{
    if (!start->as_json) {
        const char *vm = hx_vm_name(start->vm);
        printf("VM \"%s\": session %s %s at %dx%d, %d fps: `helixvm stream %s --session %s`\n", vm,
               start->name, ran ? "runs already," : "runs", session->config.width,
               session->config.height, session->config.fps, vm, start->name);
        return;
    }
    HxSessionRow row = ask(start->vm, session);
    g_autoptr(JsonBuilder) builder = json_builder_new();
    hx_session_print_build(&row, builder);
    hx_json_print(builder);
    row_clear(&row);
}

static gboolean start_session(const Start *start, GError **error)
{
    HxGuest guest = hx_verb_guest(start->vm);
    g_autoptr(GError) missing = NULL;
    g_autoptr(HxSsh) ssh = hx_guest_ssh(&guest, error);
    g_autoptr(GPtrArray) sessions = ssh ? hx_guest_session_list(ssh, error) : NULL;
    if (!sessions)
        return FALSE;
    const HxGuestSession *session =
        hx_guest_session_find(sessions, hx_vm_name(start->vm), start->name, &missing);
    gboolean has_settings = start->settings->pdata[0] != NULL;
    if (!session && !has_settings) {
        g_set_error(error, HX_ERROR, HX_ERROR_NOT_FOUND,
                    "%s; to make a new one, give it a --size or a command", missing->message);
        return FALSE;
    }
    if ((has_settings && !configure(start, ssh, session, error)) ||
        (start->enable &&
         !hx_guest_session_change(ssh, start->name, HX_GUEST_SESSION_ENABLE, error)))
        return FALSE;
    g_autoptr(HxGuestSession) started = hx_guest_session_start(ssh, start->name, error);
    if (!started)
        return FALSE;
    print_started(start, started, session && g_str_equal(session->state, "running"));
    return TRUE;
}

static gboolean start(int argc, char **argv, GError **error)
{
    g_auto(HxGuestCommand) command = {0};
    g_autofree char *size = NULL;
    g_auto(GStrv) set = NULL;
    int fps = 0;
    g_autoptr(GPtrArray) settings = g_ptr_array_new_with_free_func(g_free);
    Start start = {.settings = settings};
    const GOptionEntry options[] = {
        {"size", 0, 0, G_OPTION_ARG_STRING, &size, "a desktop so large (1280x720)", "WIDTHxHEIGHT"},
        {"fps", 0, 0, G_OPTION_ARG_INT, &fps, "at most so many frames a second (30)", "FPS"},
        {"set", 's', 0, G_OPTION_ARG_STRING_ARRAY, &set, "another of a session's settings",
         "KEY=VALUE"},
        {"enable", 0, 0, G_OPTION_ARG_NONE, &start.enable,
         "start it with the guest, too, from now on", NULL},
        {"json", 0, 0, G_OPTION_ARG_NONE, &start.as_json, "print the session as JSON", NULL},
        G_OPTION_ENTRY_NULL,
    };
    hx_guest_command_split(&command, argc, argv);
    char **head = command.head;
    if (!hx_verb_parse(ARGUMENTS " [-- COMMAND [ARGUMENT...]]", options, &command.n_head, &head, 1,
                       2, error) ||
        !hx_verb_check_no_vm("session", command.n_head, head, error))
        return FALSE;
    start.name = head[command.n_head - 1];
    if (!hx_guest_session_check_name(start.name, error) ||
        !take_settings(&start, size, fps, set, &command, error))
        return FALSE;
    g_autoptr(HxVm) vm = hx_vm_open(hx_verb_vm_before(command.n_head, head), error);
    start.vm = vm;
    return vm && start_session(&start, error);
}

/* --- stop ---------------------------------------------------------------------------------------
 */

static gboolean stop(int argc, char **argv, GError **error)
{
    gboolean disable = FALSE, remove = FALSE;
    const GOptionEntry options[] = {
        {"disable", 0, 0, G_OPTION_ARG_NONE, &disable, "nor start it with the guest any more",
         NULL},
        {"remove", 0, 0, G_OPTION_ARG_NONE, &remove, "and remove its configuration", NULL},
        G_OPTION_ENTRY_NULL,
    };
    if (!hx_verb_parse(ARGUMENTS, options, &argc, &argv, 1, 2, error) ||
        !hx_verb_check_no_vm("session", argc, argv, error))
        return FALSE;
    const char *name = argv[argc - 1];
    if (!hx_guest_session_check_name(name, error))
        return FALSE;
    g_autoptr(HxVm) vm = hx_vm_open(hx_verb_vm_before(argc, argv), error);
    if (!vm)
        return FALSE;
    HxGuest guest = hx_verb_guest(vm);
    g_autoptr(HxSsh) ssh = hx_guest_ssh(&guest, error);
    if (!ssh || (disable && !remove &&
                 !hx_guest_session_change(ssh, name, HX_GUEST_SESSION_DISABLE, error)))
        return FALSE;
    if (!hx_guest_session_change(ssh, name,
                                 remove ? HX_GUEST_SESSION_REMOVE : HX_GUEST_SESSION_STOP, error))
        return FALSE;
    printf("VM \"%s\": session %s is %s\n", hx_vm_name(vm), name, remove ? "removed" : "stopped");
    return TRUE;
}

const HxVerb hx_verb_session_actions[] = {
    {"list", "list the sessions of a VM's guest with their state", .run = list},
    {"start", "start a session, or make a new one", .run = start},
    {"stop", "end a session, and keep or remove its configuration", .run = stop},
    {"logs", "show what a session and its programs say", .run = hx_verb_session_logs},
    {.name = NULL},
};
