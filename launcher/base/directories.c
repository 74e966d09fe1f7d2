/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/base/directories.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "launcher/base/error.h"

#define DIRECTORY_MODE 0711

static gboolean ensure(const char *path, GError **error)
{
    if (!g_path_is_absolute(path)) {
        g_set_error(error, HX_ERROR, HX_ERROR_HOST,
                    "the directory \"%s\" has to be given by its absolute path", path);
        return FALSE;
    }
    if (mkdir(path, DIRECTORY_MODE) == 0 ||
        (errno == ENOENT && g_mkdir_with_parents(path, DIRECTORY_MODE) == 0)) {
        /* Whatever the umask is, QEMU's user has to get through. */
        if (chmod(path, DIRECTORY_MODE) == 0)
            return TRUE;
    } else if (errno == EEXIST) {
        struct stat found;
        if (stat(path, &found) == 0) {
            if (!S_ISDIR(found.st_mode)) {
                errno = ENOTDIR;
            } else if (found.st_uid != geteuid() || (found.st_mode & (S_IWGRP | S_IWOTH))) {
                g_set_error(error, HX_ERROR, HX_ERROR_HOST,
                            "%s belongs to another user, or others may write to it: helixvm does "
                            "not trust what is in it",
                            path);
                return FALSE;
            } else {
                return TRUE;
            }
        }
    }
    hx_set_error_errno(error, HX_ERROR_HOST, errno, "cannot use the directory %s", path);
    return FALSE;
}

static char *directory(const char *variable, const char *of_root, const char *of_user,
                       GError **error)
{
    const char *override = g_getenv(variable);
    g_autofree char *path = NULL;
    if (override && *override)
        path = g_strdup(override);
    else if (geteuid() == 0)
        path = g_strdup(of_root);
    else
        path = g_build_filename(of_user, "helixvm", NULL);
    return ensure(path, error) ? g_steal_pointer(&path) : NULL;
}

char *hx_state_directory(GError **error)
{
    return directory("HELIXVM_STATE_DIR", "/var/lib/helixvm", g_get_user_data_dir(), error);
}

char *hx_runtime_directory(GError **error)
{
    return directory("HELIXVM_RUNTIME_DIR", "/run/helixvm", g_get_user_runtime_dir(), error);
}
