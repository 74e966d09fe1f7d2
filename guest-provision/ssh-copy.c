/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest-provision/ssh-copy.h"

#include <errno.h>
#include <string.h>

#include "guest-provision/ssh-copy-private.h"
#include "launcher/base/error.h"

#define STALL_SECONDS 60
/* What an interrupted copy has to remove its last file. */
#define GRACE_SECONDS 5
#define REPORT_EVERY (G_TIME_SPAN_SECOND / 5)

gboolean hx_copy_begin(HxCopy *copy, HxSsh *ssh, const HxCopyOptions *options, HxCopyTotals *totals,
                       GError **error)
{
    *totals = (HxCopyTotals){0};
    *copy = (HxCopy){.ssh = ssh, .options = options, .totals = totals};
    copy->umask = umask(077);
    umask(copy->umask);
    hx_ssh_begin(ssh, STALL_SECONDS);
    if (!hx_ssh_start_sftp(ssh, error))
        return FALSE;
    hx_ssh_set_grace(ssh, GRACE_SECONDS);
    if (!ssh->no_sftp)
        return TRUE;
    g_set_error(error, HX_ERROR, HX_ERROR_GUEST,
                "the guest of VM \"%s\" serves no SFTP: install openssh-sftp-server there",
                ssh->vm);
    return FALSE;
}

void hx_copy_end(HxCopy *copy)
{
    hx_ssh_set_grace(copy->ssh, 0);
    hx_ssh_begin(copy->ssh, 0);
}

gboolean hx_copy_goes_on(HxCopy *copy, GError **error)
{
    if (g_cancellable_is_cancelled(copy->options->cancel)) {
        g_set_error_literal(error, HX_ERROR, HX_ERROR_CANCELLED,
                            "interrupted: the file that was being copied is as it was before");
        return FALSE;
    }
    gint64 now = g_get_monotonic_time();
    if (now - copy->told > G_TIME_SPAN_SECOND) {
        copy->told = now;
        hx_ssh_begin(copy->ssh, STALL_SECONDS);
    }
    return TRUE;
}

void hx_copy_report(HxCopy *copy, const char *path, guint64 done, guint64 size)
{
    gint64 now = g_get_monotonic_time();
    if (!copy->options->report || (done > 0 && now - copy->shown < REPORT_EVERY))
        return;
    copy->shown = now;
    copy->options->report(path, done, size, copy->options->data);
}

void hx_copy_skip(HxCopy *copy, const char *path, const char *what)
{
    copy->totals->skipped++;
    if (copy->options->skipped)
        copy->options->skipped(path, what, copy->options->data);
}

static const char *guest_reason(HxCopy *copy, const char *path, int code)
{
    switch (code) {
    case SSH_FX_NO_SUCH_FILE:
    case SSH_FX_NO_SUCH_PATH:
        return "no such file or directory";
    case SSH_FX_PERMISSION_DENIED:
        return "permission denied";
    case SSH_FX_WRITE_PROTECT:
        return "the file system is read-only";
    case SSH_FX_FAILURE:
        return hx_ssh_is_disk_full(copy->ssh, path) ? "the guest's disk is full"
                                                    : "the guest refused";
    default:
        return ssh_get_error(copy->ssh->session);
    }
}

gboolean hx_copy_guest_failed(HxCopy *copy, const char *what, const char *path, GError **error)
{
    HxSsh *ssh = copy->ssh;
    if (!ssh_is_connected(ssh->session) || hx_deadline_state(ssh->deadline) != HX_DEADLINE_HOLDS)
        return hx_ssh_failed(ssh, HX_ERROR_PROTOCOL, "copying", error);
    int code = sftp_get_error(ssh->sftp);
    gboolean missing = code == SSH_FX_NO_SUCH_FILE && g_str_equal(what, "read");
    g_set_error(error, HX_ERROR, missing ? HX_ERROR_NOT_FOUND : HX_ERROR_GUEST,
                "cannot %s %s in VM \"%s\": %s", what, path, ssh->vm,
                guest_reason(copy, path, code));
    return FALSE;
}

gboolean hx_copy_host_failed(const char *what, const char *path, GError **error)
{
    int saved = errno;
    gboolean missing = saved == ENOENT && g_str_equal(what, "read");
    gboolean link = saved == ELOOP || saved == ENOTDIR;
    g_set_error(error, HX_ERROR, missing ? HX_ERROR_NOT_FOUND : HX_ERROR_HOST,
                "cannot %s %s on the host: %s", what, path,
                link ? "it is there and no directory (symbolic links are not followed)"
                     : g_strerror(saved));
    return FALSE;
}

const char *hx_copy_guest_path(const char *path)
{
    if (g_str_equal(path, "~") || !*path)
        return ".";
    if (!g_str_has_prefix(path, "~/"))
        return path;
    path += 2;
    while (*path == '/')
        path++;
    return *path ? path : ".";
}

char *hx_copy_name(const char *path)
{
    g_autofree char *bare = g_strdup(path);
    for (size_t n = strlen(bare); n > 0 && bare[n - 1] == '/'; n--)
        bare[n - 1] = 0;
    const char *slash = strrchr(bare, '/');
    const char *name = slash ? slash + 1 : bare;
    return hx_copy_is_name(name) ? g_strdup(name) : NULL;
}

char *hx_copy_join(const char *directory, const char *name)
{
    if (g_str_equal(directory, "."))
        return g_strdup(name);
    return g_strdup_printf("%s%s%s", directory, g_str_has_suffix(directory, "/") ? "" : "/", name);
}

char *hx_copy_temporary(void)
{
    g_autofree char *unique = g_uuid_string_random();
    unique[13] = 0;
    return g_strdup_printf(".helixvm-cp-%s", unique);
}

gboolean hx_copy_is_name(const char *name)
{
    return *name && !strchr(name, '/') && !g_str_equal(name, ".") && !g_str_equal(name, "..");
}
