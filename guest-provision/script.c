/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest-provision/script.h"

#include <string.h>

#include "guest-provision/ssh-private.h"
#include "launcher/base/error.h"
#include "launcher/base/parts.h"
#include "launcher/base/printable.h"

GBytes *hx_script_read(const char *path, GError **error)
{
    char *text = NULL;
    gsize size = 0;
    g_autoptr(GError) cause = NULL;
    if (g_file_get_contents(path, &text, &size, &cause))
        return g_bytes_new_take(text, size);
    g_set_error(error, HX_ERROR, HX_ERROR_HOST, "%s", cause->message);
    return NULL;
}

char **hx_list_read(const char *name, GError **error)
{
    g_autofree char *path = hx_data_path(name, error);
    g_autoptr(GBytes) content = path ? hx_script_read(path, error) : NULL;
    if (!content)
        return NULL;
    gsize size;
    const char *bytes = g_bytes_get_data(content, &size);
    g_autofree char *text = g_strndup(bytes, size);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_autoptr(GStrvBuilder) list = g_strv_builder_new();
    for (char **line = lines; *line; line++) {
        char *entry = g_strstrip(*line);
        if (*entry && *entry != '#')
            g_strv_builder_add(list, entry);
    }
    return g_strv_builder_end(list);
}

/* What stops scripts, by what the programs in them say of it, and what to do then; %s: the VM. */
static const struct {
    const char *says;
    const char *means;
    const char *then;
} causes[] = {
#define DISK_FULL                                                                                  \
    "the guest's disk is full",                                                                    \
        "make room there, or give it a larger one (`helixvm restart %s --set disk.size=GIB`)"
#define LOCKED                                                                                     \
    "another apt or dpkg is at work in the guest",                                                 \
        "wait until that is through (`helixvm exec %s -- ps -ef` shows it)"
#define NO_NETWORK                                                                                 \
    "the guest has no network to fetch packages by",                                               \
        "mend that (`helixvm exec %s -- ip address` shows it)"
#define NO_PACKAGE                                                                                 \
    "the guest's package sources lack it", "mend those (`helixvm exec %s -- apt-cache policy`)"
    {"No space left on device", DISK_FULL},
    {"You don't have enough free space", DISK_FULL},
    {"Disk quota exceeded", DISK_FULL},
    {"Could not get lock", LOCKED},
    {"Unable to acquire the dpkg", LOCKED},
    {"dpkg frontend lock was locked", LOCKED},
    {"Temporary failure resolving", NO_NETWORK},
    {"Could not resolve", NO_NETWORK},
    {"Could not connect", NO_NETWORK},
    {"Unable to connect", NO_NETWORK},
    {"Network is unreachable", NO_NETWORK},
    {"Connection timed out", NO_NETWORK},
    {"Unable to locate package", NO_PACKAGE},
    {"has no installation candidate", NO_PACKAGE},
    {"Read-only file system", "the guest's file system is read-only",
     "see why (`helixvm exec %s -- dmesg`)"},
};

/* The line of @text that @at is in, without apt's "E: " and its full stop; for g_free. */
static char *line_at(const char *text, const char *at)
{
    const char *begin = at;
    while (begin > text && begin[-1] != '\n')
        begin--;
    if (g_str_has_prefix(begin, "E: "))
        begin += strlen("E: ");
    size_t length = strcspn(begin, "\n");
    while (length > 0 && begin[length - 1] == '.')
        length--;
    return g_strndup(begin, length);
}

char *hx_script_explain(const char *stderr_text, const char *vm)
{
    g_autofree char *valid = g_utf8_make_valid(stderr_text, -1);
    for (size_t i = 0; i < G_N_ELEMENTS(causes); i++) {
        const char *at = strstr(valid, causes[i].says);
        if (!at)
            continue;
        g_autofree char *line = line_at(valid, at);
        g_autoptr(GString) then = g_string_new(causes[i].then);
        g_string_replace(then, "%s", vm, 0);
        return g_strdup_printf("%s: %s: %s, then run this again", causes[i].means, line, then->str);
    }
    g_strchomp(valid);
    const char *last = strrchr(valid, '\n');
    return g_strdup(*valid ? (last ? last + 1 : valid) : "it did not say why");
}

typedef struct {
    HxScriptNote note;
    void *data;
} Notes;

static void take_line(const char *line, void *data)
{
    const Notes *notes = data;
    if (!g_str_has_prefix(line, "note "))
        return;
    g_autofree char *text = hx_printable(line + strlen("note "));
    notes->note(text, notes->data);
}

gboolean hx_script_run_noted(HxSsh *ssh, const HxScript *script, HxScriptNote note, void *data,
                             char **ret_output, GError **error)
{
    g_autofree char *file = g_strconcat("guest-provision/steps/", script->name, NULL);
    g_autofree char *path = hx_data_path(file, error);
    g_autoptr(GBytes) text = path ? hx_script_read(path, error) : NULL;
    if (!text)
        return FALSE;
    /* The shell has read all of the script before it runs: commands in it find an empty stdin. */
    g_autoptr(GString) command = g_string_new(script->within);
    g_string_append(command, " sh -c \"$(cat)\" sh");
    for (const char *const *argument = script->arguments; argument && *argument; argument++) {
        g_autofree char *quoted = g_shell_quote(*argument);
        g_string_append_printf(command, " %s", quoted);
    }
    g_auto(HxSshOutput) output = {};
    Notes notes = {.note = note, .data = data};
    if (!hx_ssh_run_told(ssh, command->str, text, script->seconds, note ? take_line : NULL, &notes,
                         &output, error))
        return FALSE;
    if (output.exit_status != 0) {
        g_autofree char *why = hx_script_explain(output.err->str, ssh->vm);
        g_set_error(error, HX_ERROR, HX_ERROR_GUEST, "%s failed in VM \"%s\" with status %d: %s",
                    script->name, ssh->vm, output.exit_status, why);
        return FALSE;
    }
    if (ret_output)
        *ret_output = g_string_free(g_steal_pointer(&output.out), FALSE);
    return TRUE;
}

gboolean hx_script_run(HxSsh *ssh, const char *name, const char *const *arguments, guint seconds,
                       char **ret_output, GError **error)
{
    HxScript script = {.name = name, .arguments = arguments, .seconds = seconds};
    return hx_script_run_noted(ssh, &script, NULL, NULL, ret_output, error);
}
