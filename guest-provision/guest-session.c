/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest-provision/guest-session.h"

#include <string.h>

#include "guest-provision/facts.h"
#include "guest-provision/script.h"
#include "guest-provision/ssh-private.h"
#include "launcher/base/error.h"
#include "launcher/base/json.h"
#include "launcher/base/printable.h"

#define NAME_MAX_LENGTH 40
/* Above the unit's own times. */
#define START_SECONDS 180
#define SCRIPT_SECONDS 60

void hx_guest_session_free(HxGuestSession *session)
{
    if (!session)
        return;
    g_free(session->name);
    g_free(session->reason);
    g_free(session->text);
    g_free(session->mistake);
    session_config_clear(&session->config);
    g_free(session);
}

/* A name is part of paths and of a unit's name, where "-" and "\" have a meaning of their own. */
gboolean hx_guest_session_check_name(const char *name, GError **error)
{
    size_t length = strlen(name);
    if (length >= 1 && length <= NAME_MAX_LENGTH && name[0] != '-' && name[0] != '.' &&
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == length)
        return TRUE;
    g_set_error(error, HX_ERROR, HX_ERROR_USAGE,
                "\"%s\" is no name for a session: use up to %d letters, digits, '_', '.', '-'",
                name, NAME_MAX_LENGTH);
    return FALSE;
}

/* --- what the guest tells -----------------------------------------------------------------------
 */

/* The fact @key of session @name; NULL where there is none. */
static const char *fact_of(const HxFacts *facts, const char *name, const char *key)
{
    g_autofree char *path = g_strdup_printf("%s/%s", name, key);
    return hx_facts_get(facts, path);
}

/* The facts @key of session @name with @before each, for g_free. */
static char *facts_of(const HxFacts *facts, const char *name, const char *key, const char *before)
{
    g_autofree char *path = g_strdup_printf("%s/%s", name, key);
    g_autofree const char **lines = hx_facts_all(facts, path);
    g_autoptr(GString) text = g_string_new(NULL);
    for (const char **line = lines; *line; line++)
        g_string_append_printf(text, "%s%s", before, *line);
    return g_string_free(g_steal_pointer(&text), FALSE);
}

/* The port in the session's state file; 0 where it is none. */
static guint32 port_of(const HxFacts *facts, const char *name)
{
    const char *state = fact_of(facts, name, "state");
    g_autoptr(JsonObject) object = state ? hx_json_parse_object(state, -1) : NULL;
    gint64 number = hx_json_integer(object, "port");
    return number > 0 && number < G_MAXUINT32 ? number : 0;
}

/* systemd's words for what a unit does, in ours. */
static const char *state_of(const HxFacts *facts, const char *name)
{
    static const char *const states[][2] = {
        {"active", "running"},        {"reloading", "running"}, {"activating", "starting"},
        {"deactivating", "stopping"}, {"failed", "failed"},
    };
    const char *active = fact_of(facts, name, "ActiveState");
    for (size_t i = 0; active && i < G_N_ELEMENTS(states); i++)
        if (g_str_equal(states[i][0], active))
            return states[i][1];
    return "stopped";
}

/* Why it failed last: what the session itself said of it, or systemd. */
static char *reason_of(const HxFacts *facts, const char *name)
{
    const char *active = fact_of(facts, name, "ActiveState");
    const char *sub = fact_of(facts, name, "SubState");
    if (g_strcmp0(active, "failed") != 0 && g_strcmp0(sub, "auto-restart") != 0)
        return NULL;
    const char *said = fact_of(facts, name, "StatusText");
    const char *result = fact_of(facts, name, "Result");
    if (said && !g_str_equal(said, "running"))
        return g_strdup(said);
    return g_strdup(result ? result : "systemd does not say why");
}

static HxGuestSession *session_new(const HxFacts *facts, const char *name)
{
    HxGuestSession *session = g_new0(HxGuestSession, 1);
    const char *restarts = fact_of(facts, name, "NRestarts");
    g_autofree char *encoded = facts_of(facts, name, "conf", "");
    gsize length = 0;
    g_autofree guchar *decoded = g_base64_decode(encoded, &length);
    g_autoptr(GError) error = NULL;
    session->name = g_strdup(name);
    session->state = state_of(facts, name);
    session->reason = reason_of(facts, name);
    session->enabled = g_strcmp0(fact_of(facts, name, "UnitFileState"), "enabled") == 0;
    session->restarts = restarts ? g_ascii_strtoull(restarts, NULL, 10) : 0;
    session->port = port_of(facts, name);
    session->text = g_strndup((char *)decoded, length);
    if (!session_config_parse(&session->config, session->text, &error))
        session->mistake = hx_printable(error->message);
    return session;
}

/* --- the script ---------------------------------------------------------------------------------
 */

static void no_such_session(const char *vm, const char *name, char **there, GError **error)
{
    g_autofree char *list = g_strjoinv(", ", there);
    g_set_error(error, HX_ERROR, HX_ERROR_NOT_FOUND, "VM \"%s\" has no session \"%s\"; it has: %s",
                vm, name, *list ? list : "none");
}

/* What session.sh tells after @action with session @name (NULL: with all); for hx_facts_free.  NULL
 * where there is no such session. */
static HxFacts *run(HxSsh *ssh, const char *action, const char *name, guint seconds, GError **error)
{
    const char *arguments[] = {action, name, NULL};
    g_autofree char *output = NULL;
    if ((name && !hx_guest_session_check_name(name, error)) ||
        !hx_script_run(ssh, "session.sh", arguments, seconds, &output, error))
        return NULL;
    g_autoptr(HxFacts) facts = hx_facts_new(output);
    if (hx_facts_get(facts, "unprovisioned")) {
        g_set_error(error, HX_ERROR, HX_ERROR_NOT_FOUND,
                    "VM \"%s\" has no sessions yet: run `helixvm provision %s`", ssh->vm, ssh->vm);
        return NULL;
    }
    g_autofree const char **there = hx_facts_all(facts, "session");
    if (name && !g_strv_contains(there, name)) {
        no_such_session(ssh->vm, name, (char **)there, error);
        return NULL;
    }
    return g_steal_pointer(&facts);
}

GPtrArray *hx_guest_session_list(HxSsh *ssh, GError **error)
{
    g_autoptr(HxFacts) facts = run(ssh, "list", NULL, SCRIPT_SECONDS, error);
    if (!facts)
        return NULL;
    g_autofree const char **names = hx_facts_all(facts, "session");
    GPtrArray *sessions = g_ptr_array_new_with_free_func((GDestroyNotify)hx_guest_session_free);
    for (const char **name = names; *name; name++)
        if (hx_guest_session_check_name(*name, NULL))
            g_ptr_array_add(sessions, session_new(facts, *name));
    return sessions;
}

HxGuestSession *hx_guest_session_find(GPtrArray *sessions, const char *vm, const char *name,
                                      GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (guint i = 0; i < sessions->len; i++) {
        HxGuestSession *session = sessions->pdata[i];
        if (g_str_equal(session->name, name))
            return session;
        g_ptr_array_add(names, session->name);
    }
    g_ptr_array_add(names, NULL);
    no_such_session(vm, name, (char **)names->pdata, error);
    return NULL;
}

gboolean hx_guest_session_configure(HxSsh *ssh, const char *name, const char *text, GError **error)
{
    if (!hx_guest_session_check_name(name, error))
        return FALSE;
    g_autofree char *path = g_strdup_printf("/etc/helixvm/sessions/%s.conf", name);
    g_autoptr(GBytes) content = g_bytes_new(text, strlen(text));
    return hx_ssh_upload(ssh, content, path, 0644, SCRIPT_SECONDS, error);
}

HxGuestSession *hx_guest_session_start(HxSsh *ssh, const char *name, GError **error)
{
    g_autoptr(HxFacts) facts = run(ssh, "start", name, START_SECONDS, error);
    g_autoptr(HxGuestSession) session = facts ? session_new(facts, name) : NULL;
    if (!session || (session->port && g_str_equal(session->state, "running")))
        return g_steal_pointer(&session);
    g_autofree char *log = facts_of(facts, name, "log", "\n  ");
    g_set_error(error, HX_ERROR, HX_ERROR_GUEST,
                "session \"%s\" of VM \"%s\" does not start%s%s; its last words:%s", name, ssh->vm,
                session->reason ? ": " : "", session->reason ? session->reason : "",
                *log ? log : " none");
    return NULL;
}

gboolean hx_guest_session_change(HxSsh *ssh, const char *name, HxGuestSessionChange change,
                                 GError **error)
{
    static const char *const actions[] = {"stop",   "enable",  "disable",
                                          "remove", "animate", "still"};
    g_autoptr(HxFacts) facts = run(ssh, actions[change], name, SCRIPT_SECONDS, error);
    return facts != NULL;
}

char *hx_guest_session_examine(HxSsh *ssh, const char *name, GError **error)
{
    g_autoptr(HxFacts) facts = run(ssh, "examine", name, SCRIPT_SECONDS, error);
    if (!facts)
        return NULL;
    const char *active = fact_of(facts, name, "ActiveState");
    const char *sub = fact_of(facts, name, "SubState");
    const char *restarts = fact_of(facts, name, "NRestarts");
    g_autofree char *log = facts_of(facts, name, "log", "\n  ");
    return g_strdup_printf("the session's unit is %s (%s, %s restarts); its last words:%s",
                           active ? active : "unknown", sub ? sub : "unknown",
                           restarts ? restarts : "0", *log ? log : " none");
}
