/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/helix-key.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "launcher/base/error.h"
#include "launcher/base/fd.h"

#define KEY_MAX 4096

/* RFC 6750, 2.1, and what else is one word: nothing that ends a header's line, or has another
 * meaning in one. */
static const char *what_is_wrong(const char *key, gsize size)
{
    if (!size)
        return "is empty: put the key there that Helix shows in the account's settings";
    if (size > KEY_MAX)
        return "is longer than 4096 bytes: put the key alone there";
    for (gsize i = 0; i < size; i++)
        if (!g_ascii_isgraph(key[i]))
            return "holds a space, an end of a line or another byte that no key has: "
                   "put the key alone there";
    return NULL;
}

/* Whether others may read the key. */
static gboolean check_private(const char *path, const struct stat *status, GError **error)
{
    g_autofree char *quoted = g_shell_quote(path);
    if (!S_ISREG(status->st_mode))
        g_set_error(error, HX_ERROR, HX_ERROR_CONFIG,
                    "the key file %s is no regular file: write the key to one of mode 0600", path);
    else if (status->st_uid != geteuid())
        g_set_error(error, HX_ERROR, HX_ERROR_CONFIG,
                    "the key file %s belongs to another user (%u), who may read and change it: "
                    "make one of your own, `install -m 600 /dev/stdin FILE`",
                    path, status->st_uid);
    else if (status->st_mode & 077)
        g_set_error(error, HX_ERROR, HX_ERROR_CONFIG,
                    "others may use the key file %s (mode %04o): run `chmod 600 %s`, "
                    "and take another key if they may have read it",
                    path, status->st_mode & 07777, quoted);
    else
        return TRUE;
    return FALSE;
}

/* One byte more than a key has is read, to see that it is too long. */
static char *read_file(const char *path, GError **error)
{
    /* Of a FIFO the open would wait. */
    hx_autofd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) < 0) {
        hx_set_error_errno(error, errno == ENOENT ? HX_ERROR_NOT_FOUND : HX_ERROR_CONFIG, errno,
                           "cannot read the key file %s", path);
        return NULL;
    }
    if (!check_private(path, &status, error))
        return NULL;
    char text[KEY_MAX + 3] = "";
    int result = hx_read_all(fd, text, sizeof text - 1);
    if (result < 0 && result != -EPIPE && result != -ENODATA) {
        hx_set_error_errno(error, HX_ERROR_CONFIG, -result, "cannot read the key file %s", path);
        return NULL;
    }
    /* The end of its line is no part of it, nor is what a NUL hides. */
    gsize size = sizeof text - 1;
    while (size > 0 && !text[size - 1])
        size--;
    while (size > 0 && strchr("\r\n", text[size - 1]))
        size--;
    const char *what = what_is_wrong(text, size);
    if (!what)
        return g_strndup(text, size);
    g_set_error(error, HX_ERROR, HX_ERROR_CONFIG, "the key file %s %s", path, what);
    return NULL;
}

char *hx_helix_key(const char *path, GError **error)
{
    if (path)
        return read_file(path, error);
    const char *key = g_getenv("HELIX_API_KEY");
    if (!key || !*key) {
        g_set_error_literal(error, HX_ERROR, HX_ERROR_USAGE,
                            "there is no key for the Helix server: set HELIX_API_KEY, or write the "
                            "key to a file of mode 0600 and give that by --api-key-file");
        return NULL;
    }
    const char *what = what_is_wrong(key, strlen(key));
    if (!what)
        return g_strdup(key);
    g_set_error(error, HX_ERROR, HX_ERROR_USAGE, "HELIX_API_KEY %s", what);
    return NULL;
}
