/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest-provision/ssh.h"

#include "guest-provision/ssh-private.h"
#include "launcher/base/error.h"
#include "launcher/base/fd.h"

#define LOGIN_SECONDS 60
/* libssh's own limit: out of the way, the deadline is the one that counts. */
#define LIBSSH_SECONDS (24L * 3600)

G_DEFINE_AUTO_CLEANUP_FREE_FUNC(ssh_key, ssh_key_free, NULL)

void hx_ssh_begin(HxSsh *ssh, guint timeout)
{
    ssh->timeout = timeout;
    hx_deadline_set(ssh->deadline, timeout);
}

void hx_ssh_set_grace(HxSsh *ssh, guint seconds)
{
    hx_deadline_set_grace(ssh->deadline, seconds);
}

gboolean hx_ssh_failed(HxSsh *ssh, int code, const char *what, GError **error)
{
    switch (hx_deadline_state(ssh->deadline)) {
    case HX_DEADLINE_CANCELLED:
        g_set_error(error, HX_ERROR, HX_ERROR_CANCELLED, "interrupted while %s", what);
        return FALSE;
    case HX_DEADLINE_PASSED:
        g_set_error(error, HX_ERROR, HX_ERROR_TIMEOUT,
                    "VM \"%s\" took more than %u s, and was given up while %s", ssh->vm,
                    ssh->timeout, what);
        return FALSE;
    case HX_DEADLINE_HOLDS:
        break;
    }
    const char *why = ssh_get_error(ssh->session);
    if (!ssh_is_connected(ssh->session))
        code = HX_ERROR_PROTOCOL;
    g_set_error(error, HX_ERROR, code, "%s in VM \"%s\" failed: %s", what, ssh->vm,
                why && *why ? why : "the SSH connection broke");
    return FALSE;
}

/* --- logging in ------------------------------------------------------------------------------- */

static gboolean set_options(ssh_session session, int fd, const HxSshLogin *login)
{
    int no = 0;
    long timeout = LIBSSH_SECONDS;
    socket_t socket = fd;
    return ssh_options_set(session, SSH_OPTIONS_PROCESS_CONFIG, &no) == 0 &&
           ssh_options_set(session, SSH_OPTIONS_HOST, HX_SSH_HOST_ALIAS) == 0 &&
           ssh_options_set(session, SSH_OPTIONS_USER, login->user ? login->user : "root") == 0 &&
           ssh_options_set(session, SSH_OPTIONS_KNOWNHOSTS, login->known_hosts) == 0 &&
           ssh_options_set(session, SSH_OPTIONS_GLOBAL_KNOWNHOSTS, "/dev/null") == 0 &&
           ssh_options_set(session, SSH_OPTIONS_TIMEOUT, &timeout) == 0 &&
           ssh_options_set(session, SSH_OPTIONS_FD, &socket) == 0;
}

static gboolean check_host_key(HxSsh *ssh, const char *known_hosts, GError **error)
{
    switch (ssh_session_is_known_server(ssh->session)) {
    case SSH_KNOWN_HOSTS_OK:
        return TRUE;
    case SSH_KNOWN_HOSTS_NOT_FOUND:
    case SSH_KNOWN_HOSTS_UNKNOWN:
        if (ssh_session_update_known_hosts(ssh->session) == SSH_OK)
            return TRUE;
        g_set_error(error, HX_ERROR, HX_ERROR_HOST,
                    "cannot keep the host key of VM \"%s\" in %s: %s", ssh->vm, known_hosts,
                    ssh_get_error(ssh->session));
        return FALSE;
    case SSH_KNOWN_HOSTS_CHANGED:
    case SSH_KNOWN_HOSTS_OTHER:
        g_set_error(error, HX_ERROR, HX_ERROR_ACCESS,
                    "VM \"%s\" shows another SSH host key than the one pinned in %s: if its disk "
                    "was made anew, or you changed the key, remove that file; else do not trust it",
                    ssh->vm, known_hosts);
        return FALSE;
    default:
        return hx_ssh_failed(ssh, HX_ERROR_PROTOCOL, "checking the host key", error);
    }
}

/* Takes *socket over once the session owns it. */
static gboolean log_in(HxSsh *ssh, const HxSshLogin *login, int *socket, GError **error)
{
    g_auto(ssh_key) key = NULL;
    if (ssh_pki_import_privkey_file(login->identity, NULL, NULL, NULL, &key) != SSH_OK) {
        g_set_error(error, HX_ERROR, HX_ERROR_CONFIG, "%s is no SSH private key that can be used",
                    login->identity);
        return FALSE;
    }
    int connected = ssh_connect(ssh->session);
    hx_steal_fd(socket); /* the session closes it, also where it could not connect */
    if (connected != SSH_OK)
        return hx_ssh_failed(ssh, HX_ERROR_PROTOCOL, "exchanging keys by SSH", error);
    if (!check_host_key(ssh, login->known_hosts, error))
        return FALSE;
    switch (ssh_userauth_publickey(ssh->session, NULL, key)) {
    case SSH_AUTH_SUCCESS:
        return TRUE;
    case SSH_AUTH_DENIED:
    case SSH_AUTH_PARTIAL:
        g_set_error(error, HX_ERROR, HX_ERROR_ACCESS,
                    "VM \"%s\" does not let %s log in with the key %s: its authorized_keys must "
                    "hold the public key (`ssh-keygen -y -f` prints it)",
                    ssh->vm, login->user ? login->user : "root", login->identity);
        return FALSE;
    default:
        return hx_ssh_failed(ssh, HX_ERROR_PROTOCOL, "logging in by SSH", error);
    }
}

HxSsh *hx_ssh_open(int fd, const HxSshLogin *login, GCancellable *cancel, GError **error)
{
    hx_autofd int socket = fd;
    hx_set_nonblocking(socket, 1);
    g_autoptr(HxSsh) ssh = g_new0(HxSsh, 1);
    ssh->vm = g_strdup(login->vm);
    ssh->deadline = hx_deadline_new(socket, cancel, error);
    if (!ssh->deadline)
        return NULL;
    ssh->session = ssh_new();
    if (!ssh->session || !set_options(ssh->session, socket, login)) {
        g_set_error(error, HX_ERROR, HX_ERROR_HOST, "cannot set up libssh: %s",
                    ssh->session ? ssh_get_error(ssh->session) : "out of memory");
        return NULL;
    }
    hx_ssh_begin(ssh, login->timeout ? login->timeout : LOGIN_SECONDS);
    if (!log_in(ssh, login, &socket, error))
        return NULL;
    hx_ssh_begin(ssh, 0);
    return g_steal_pointer(&ssh);
}

void hx_ssh_close(HxSsh *ssh)
{
    if (!ssh)
        return;
    if (ssh->session) {
        /* The farewells may block on a guest that reads no more. */
        if (ssh->deadline)
            hx_ssh_begin(ssh, 2);
        if (ssh->sftp)
            sftp_free(ssh->sftp);
        ssh_disconnect(ssh->session);
        ssh_free(ssh->session);
    }
    hx_deadline_free(ssh->deadline);
    g_free(ssh->vm);
    g_free(ssh);
}
