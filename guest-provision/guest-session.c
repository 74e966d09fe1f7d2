/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest-provision/guest-session.h"

#include <string.h>

#include "guest-provision/facts.h"
#include "guest-provision/script.h"
#include "guest-provision/ssh-private.h"
#include "launcher/base/error.h"
#include "launcher/base/json.h"

#define NAME_MAX_LENGTH 40
#define START_SECONDS 180
#define EXAMINE_SECONDS 30

/* A name is part of paths and of a unit's name, where "-" and "\" have a meaning of their own. */
static gboolean is_name(const char *name)
{
    size_t length = strlen(name);
    return length >= 1 && length <= NAME_MAX_LENGTH && name[0] != '-' && name[0] != '.' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") ==
               length;
}

static char *log_lines(const HxFacts *facts)
{
    g_autofree const char **lines = hx_facts_all(facts, "log");
    g_autoptr(GString) text = g_string_new(NULL);
    for (const char **line = lines; *line; line++)
        g_string_append_printf(text, "\n  %s", *line);
    return g_string_free(g_steal_pointer(&text), FALSE);
}

/* The port in the session's state file; 0 where it is none. */
static guint32 port_of(const char *state)
{
    g_autoptr(JsonObject) object = state ? hx_json_parse_object(state, -1) : NULL;
    gint64 number = hx_json_integer(object, "port");
    return number > 0 && number < G_MAXUINT32 ? number : 0;
}

static gboolean no_such_session(const char *vm, const char *name, const HxFacts *facts,
                                GError **error)
{
    g_autofree const char **there = hx_facts_all(facts, "session");
    g_autofree char *list = g_strjoinv(", ", (char **)there);
    g_set_error(error, HX_ERROR, HX_ERROR_NOT_FOUND, "VM \"%s\" has no session \"%s\"; it has: %s",
                vm, name, *list ? list : "none");
    return FALSE;
}

gboolean hx_guest_session_start(HxSsh *ssh, const char *name, guint32 *ret_port, GError **error)
{
    if (!is_name(name)) {
        g_set_error(error, HX_ERROR, HX_ERROR_USAGE,
                    "\"%s\" is no name for a session: use up to %d letters, digits, '_', '.', '-'",
                    name, NAME_MAX_LENGTH);
        return FALSE;
    }
    const char *arguments[] = {name, NULL};
    g_autofree char *output = NULL;
    if (!hx_script_run(ssh, "session-start.sh", arguments, START_SECONDS, &output, error))
        return FALSE;
    g_autoptr(HxFacts) facts = hx_facts_new(output);
    if (hx_facts_get(facts, "unprovisioned")) {
        g_set_error(error, HX_ERROR, HX_ERROR_NOT_FOUND,
                    "VM \"%s\" has no sessions yet: run `helixvm provision %s`", ssh->vm, ssh->vm);
        return FALSE;
    }
    g_autofree const char **there = hx_facts_all(facts, "session");
    if (!g_strv_contains((const char *const *)there, name))
        return no_such_session(ssh->vm, name, facts, error);
    const char *failed = hx_facts_get(facts, "failed");
    *ret_port = port_of(hx_facts_get(facts, "state"));
    if (failed || !*ret_port) {
        g_autofree char *log = log_lines(facts);
        g_set_error(error, HX_ERROR, HX_ERROR_NO_FRAMES,
                    "session \"%s\" of VM \"%s\" does not start (%s); its last words:%s", name,
                    ssh->vm, failed ? failed : "it tells no port", *log ? log : " none");
        return FALSE;
    }
    return TRUE;
}

char *hx_guest_session_examine(HxSsh *ssh, const char *name, GError **error)
{
    const char *arguments[] = {name, NULL};
    g_autofree char *output = NULL;
    if (!hx_script_run(ssh, "session-examine.sh", arguments, EXAMINE_SECONDS, &output, error))
        return NULL;
    g_autoptr(HxFacts) facts = hx_facts_new(output);
    const char *active = hx_facts_get(facts, "ActiveState");
    const char *sub = hx_facts_get(facts, "SubState");
    const char *restarts = hx_facts_get(facts, "NRestarts");
    g_autofree char *log = log_lines(facts);
    return g_strdup_printf("the session's unit is %s (%s, %s restarts); its last words:%s",
                           active ? active : "unknown", sub ? sub : "unknown",
                           restarts ? restarts : "0", *log ? log : " none");
}
