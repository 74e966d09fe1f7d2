/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest-provision/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <libssh/libssh.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "launcher/base/error.h"
#include "launcher/base/fd.h"

G_DEFINE_AUTO_CLEANUP_FREE_FUNC(ssh_key, ssh_key_free, NULL)

/* Write @text to a new file beside @path and give it that name, unless another process was faster:
 * link(2) replaces nothing, so that the first key stays the key. */
static gboolean publish(const char *path, const char *text, GError **error)
{
    g_autofree char *temporary = g_strconcat(path, ".XXXXXX", NULL);
    hx_autofd int fd = g_mkstemp_full(temporary, O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0) {
        hx_set_error_errno(error, HX_ERROR_HOST, errno, "cannot create %s", temporary);
        return FALSE;
    }
    int result = hx_write_all(fd, text, strlen(text));
    if (result == 0 && fsync(fd) < 0)
        result = -errno;
    if (result == 0 && link(temporary, path) < 0 && errno != EEXIST)
        result = -errno;
    unlink(temporary);
    if (result < 0)
        hx_set_error_errno(error, HX_ERROR_HOST, -result, "cannot write the key %s", path);
    return result == 0;
}

static gboolean generate(const char *path, GError **error)
{
    g_autofree char *directory = g_path_get_dirname(path);
    if (mkdir(directory, 0700) < 0 && errno != EEXIST) {
        hx_set_error_errno(error, HX_ERROR_HOST, errno, "cannot create %s", directory);
        return FALSE;
    }
    g_auto(ssh_key) key = NULL;
    if (ssh_pki_generate(SSH_KEYTYPE_ED25519, 0, &key) != SSH_OK) {
        g_set_error(error, HX_ERROR, HX_ERROR_HOST, "libssh cannot generate an ed25519 key");
        return FALSE;
    }
    char *text = NULL;
    if (ssh_pki_export_privkey_base64_format(key, NULL, NULL, NULL, &text,
                                             SSH_FILE_FORMAT_OPENSSH) != SSH_OK) {
        g_set_error(error, HX_ERROR, HX_ERROR_HOST, "libssh cannot write an ed25519 key");
        return FALSE;
    }
    gboolean published = publish(path, text, error);
    explicit_bzero(text, strlen(text));
    ssh_string_free_char(text);
    return published;
}

/* Like ssh(1): a key that others may read is no key. */
static gboolean check_rights(const char *path, GError **error)
{
    GStatBuf status;
    if (g_stat(path, &status) < 0) {
        hx_set_error_errno(error, HX_ERROR_HOST, errno, "cannot examine the key %s", path);
        return FALSE;
    }
    if (!S_ISREG(status.st_mode)) {
        g_set_error(error, HX_ERROR, HX_ERROR_CONFIG, "the key %s is not a regular file", path);
        return FALSE;
    }
    if (status.st_mode & 077) {
        g_set_error(error, HX_ERROR, HX_ERROR_CONFIG,
                    "others may read the private key %s: chmod 600 it, or remove it if they did",
                    path);
        return FALSE;
    }
    return TRUE;
}

gboolean hx_identity_ensure(const char *path, char **ret_public_key, GError **error)
{
    if (!g_file_test(path, G_FILE_TEST_EXISTS) && !generate(path, error))
        return FALSE;
    if (!check_rights(path, error))
        return FALSE;

    g_auto(ssh_key) key = NULL;
    if (ssh_pki_import_privkey_file(path, NULL, NULL, NULL, &key) != SSH_OK ||
        ssh_key_type(key) != SSH_KEYTYPE_ED25519) {
        g_set_error(error, HX_ERROR, HX_ERROR_CONFIG,
                    "%s is no ed25519 private key: remove it, and a new one is made", path);
        return FALSE;
    }
    char *base64 = NULL;
    if (ssh_pki_export_pubkey_base64(key, &base64) != SSH_OK) {
        g_set_error(error, HX_ERROR, HX_ERROR_CONFIG, "cannot tell the public key of %s", path);
        return FALSE;
    }
    if (ret_public_key)
        *ret_public_key = g_strdup_printf("ssh-ed25519 %s helixvm", base64);
    ssh_string_free_char(base64);
    return TRUE;
}
