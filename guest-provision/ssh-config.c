/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest-provision/ssh-config.h"

#include <string.h>

#include "launcher/base/error.h"

/* A file's name as one argument: in quotes, and "%" doubled, as it begins a token. */
static char *quote_path(const char *path, GError **error)
{
    if (strpbrk(path, "\n\r") || strstr(path, "${")) {
        g_set_error(error, HX_ERROR, HX_ERROR_HOST,
                    "ssh_config(5) has no way to write the path %s: it has a newline or \"${\"",
                    path);
        return NULL;
    }
    g_autoptr(GString) quoted = g_string_new("\"");
    for (const char *c = path; *c; c++) {
        if (*c == '"' || *c == '\\')
            g_string_append_c(quoted, '\\');
        g_string_append_c(quoted, *c);
        if (*c == '%')
            g_string_append_c(quoted, '%');
    }
    g_string_append_c(quoted, '"');
    return g_string_free(g_steal_pointer(&quoted), FALSE);
}

/* A command for the user's shell, with "%" doubled. */
static char *quote_command(const char *const *command)
{
    g_autoptr(GString) line = g_string_new(NULL);
    for (const char *const *word = command; *word; word++) {
        g_autofree char *quoted = g_shell_quote(*word);
        /* What needs no quotes is read more easily without. */
        gboolean plain = strspn(*word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                       "0123456789-_./=:@+,") == strlen(*word);
        g_string_append_printf(line, "%s%s", word == command ? "" : " ", plain ? *word : quoted);
    }
    g_string_replace(line, "%", "%%", 0);
    return g_string_free(g_steal_pointer(&line), FALSE);
}

char *hx_ssh_config(const HxSshLogin *login, const char *const *proxy, GError **error)
{
    g_autofree char *identity = quote_path(login->identity, error);
    g_autofree char *known_hosts = identity ? quote_path(login->known_hosts, error) : NULL;
    if (!known_hosts)
        return NULL;
    g_autofree char *command = quote_command(proxy);
    if (strchr(command, '\n')) {
        g_set_error(error, HX_ERROR, HX_ERROR_HOST,
                    "ssh_config(5) has no way to write a command with a newline: %s", command);
        return NULL;
    }
    return g_strdup_printf("Host helixvm-%s\n"
                           "    User %s\n"
                           "    ProxyCommand %s\n"
                           "    ProxyUseFdpass yes\n"
                           "    HostKeyAlias " HX_SSH_HOST_ALIAS "\n"
                           "    UserKnownHostsFile %s\n"
                           "    GlobalKnownHostsFile /dev/null\n"
                           "    StrictHostKeyChecking yes\n"
                           "    UpdateHostKeys no\n"
                           "    IdentityFile %s\n"
                           "    IdentitiesOnly yes\n"
                           "    PreferredAuthentications publickey\n",
                           login->vm, login->user ? login->user : "root", command, known_hosts,
                           identity);
}
