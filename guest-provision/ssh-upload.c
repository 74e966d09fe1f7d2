/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <string.h>

#include "guest-provision/ssh-private.h"
#include "launcher/base/error.h"

/* Every server takes 32 KiB (draft-ietf-secsh-filexfer-02, 3); several are kept on their way, as
 * one round trip each would be the speed limit. */
#define CHUNK (32 * 1024)
#define IN_FLIGHT 8

gboolean hx_ssh_is_disk_full(HxSsh *ssh, const char *path)
{
    g_autofree char *directory = g_path_get_dirname(path);
    sftp_statvfs_t found = sftp_statvfs(ssh->sftp, directory);
    gboolean full = found && (found->f_bavail == 0 || found->f_ffree == 0);
    if (found)
        sftp_statvfs_free(found);
    return full;
}

static char *sftp_reason(HxSsh *ssh, const char *path, int code)
{
    switch (code) {
    case SSH_FX_NO_SUCH_FILE:
    case SSH_FX_NO_SUCH_PATH:
        return g_strdup("no such directory");
    case SSH_FX_PERMISSION_DENIED:
        return g_strdup("permission denied");
    case SSH_FX_WRITE_PROTECT:
        return g_strdup("the file system is read-only");
    case SSH_FX_FAILURE:
        if (!hx_ssh_is_disk_full(ssh, path))
            return g_strdup("the guest refused");
        return g_strdup_printf("the guest's disk is full: make room there, or give it a larger one "
                               "(`helixvm restart %s --set disk.size=GIB`), then run this again",
                               ssh->vm);
    default:
        return g_strdup(ssh_get_error(ssh->session));
    }
}

static gboolean sftp_failed(HxSsh *ssh, const char *path, GError **error)
{
    if (!ssh_is_connected(ssh->session) || hx_deadline_state(ssh->deadline) != HX_DEADLINE_HOLDS)
        return hx_ssh_failed(ssh, HX_ERROR_PROTOCOL, "copying a file", error);
    int code = sftp_get_error(ssh->sftp);
    g_autofree char *reason = sftp_reason(ssh, path, code);
    g_set_error(error, HX_ERROR, HX_ERROR_GUEST, "cannot write %s in VM \"%s\": %s", path, ssh->vm,
                reason);
    return FALSE;
}

/* Write all of @content, with up to IN_FLIGHT unanswered requests. */
static gboolean write_content(sftp_file file, GBytes *content)
{
    gsize left = 0;
    const char *next = g_bytes_get_data(content, &left);
    sftp_aio flying[IN_FLIGHT] = {};
    guint begun = 0, ended = 0;
    gboolean good = TRUE;
    while (good && (left > 0 || ended < begun)) {
        if (left > 0 && begun - ended < IN_FLIGHT) {
            ssize_t n =
                sftp_aio_begin_write(file, next, MIN(left, CHUNK), &flying[begun % IN_FLIGHT]);
            good = n > 0;
            if (good) {
                next += n;
                left -= n;
                begun++;
            }
        } else {
            good = sftp_aio_wait_write(&flying[ended % IN_FLIGHT]) > 0;
            ended++;
        }
    }
    for (; ended < begun; ended++)
        sftp_aio_free(flying[ended % IN_FLIGHT]);
    return good;
}

static gboolean upload_by_sftp(HxSsh *ssh, GBytes *content, const char *path, const char *temporary,
                               guint mode, GError **error)
{
    sftp_session sftp = ssh->sftp;
    sftp_file file = sftp_open(sftp, temporary, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (!file)
        return sftp_failed(ssh, path, error);
    gboolean good = write_content(file, content) && sftp_chmod(sftp, temporary, mode) == 0;
    /* The first error is the one to tell; closing and removing succeed after it. */
    if (!good)
        sftp_failed(ssh, path, error);
    gboolean closed = sftp_close(file) == SSH_OK;
    if (good && (!closed || sftp_rename(sftp, temporary, path) != 0))
        good = sftp_failed(ssh, path, error);
    if (!good && ssh_is_connected(ssh->session))
        sftp_unlink(sftp, temporary);
    return good;
}

static gboolean upload_by_shell(HxSsh *ssh, GBytes *content, const char *path,
                                const char *temporary, guint mode, guint timeout, GError **error)
{
    g_autofree char *to = g_shell_quote(path);
    g_autofree char *by = g_shell_quote(temporary);
    g_autofree char *command =
        g_strdup_printf("umask 077; cat >%s && chmod %04o %s && mv -f %s %s ||"
                        " { rm -f %s; exit 1; }",
                        by, mode, by, by, to, by);
    g_auto(HxSshOutput) output = {};
    if (!hx_ssh_run(ssh, command, content, timeout, &output, error))
        return FALSE;
    if (output.exit_status != 0)
        g_set_error(error, HX_ERROR, HX_ERROR_GUEST, "cannot write %s in VM \"%s\": %s", path,
                    ssh->vm, g_strchomp(output.err->str));
    return output.exit_status == 0;
}

gboolean hx_ssh_start_sftp(HxSsh *ssh, GError **error)
{
    if (ssh->sftp || ssh->no_sftp)
        return TRUE;
    ssh->sftp = sftp_new(ssh->session);
    if (ssh->sftp && sftp_init(ssh->sftp) == 0)
        return TRUE;
    if (!ssh_is_connected(ssh->session) || hx_deadline_state(ssh->deadline) != HX_DEADLINE_HOLDS)
        return hx_ssh_failed(ssh, HX_ERROR_PROTOCOL, "copying a file", error);
    g_clear_pointer(&ssh->sftp, sftp_free);
    ssh->no_sftp = TRUE;
    return TRUE;
}

gboolean hx_ssh_upload(HxSsh *ssh, GBytes *content, const char *path, guint mode, guint timeout,
                       GError **error)
{
    g_autofree char *directory = g_path_get_dirname(path);
    g_autofree char *base = g_path_get_basename(path);
    g_autofree char *temporary = g_strdup_printf("%s/.%s.helixvm-new", directory, base);
    hx_ssh_begin(ssh, timeout);
    if (!hx_ssh_start_sftp(ssh, error))
        return FALSE;
    if (ssh->no_sftp)
        return upload_by_shell(ssh, content, path, temporary, mode, timeout, error);
    gboolean done = upload_by_sftp(ssh, content, path, temporary, mode, error);
    hx_ssh_begin(ssh, 0);
    return done;
}
