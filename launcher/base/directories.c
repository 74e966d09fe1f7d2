/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/base/directories.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "launcher/base/error.h"

#define DIRECTORY_MODE 0711

char *hx_nearest_directory(const char *path)
{
    char *directory = g_strdup(path);
    while (access(directory, F_OK) < 0 && errno == ENOENT && !g_str_equal(directory, "/")) {
        char *above = g_path_get_dirname(directory);
        g_free(directory);
        directory = above;
    }
    return directory;
}

static gboolean can_be_made(const char *path)
{
    g_autofree char *above = hx_nearest_directory(path);
    return access(above, W_OK | X_OK) == 0;
}

static gboolean check(const char *path, const struct stat *found, GError **error)
{
    if (!S_ISDIR(found->st_mode)) {
        hx_set_error_errno(error, HX_ERROR_HOST, ENOTDIR, "cannot use the directory %s", path);
        return FALSE;
    }
    if (found->st_uid == geteuid() && !(found->st_mode & (S_IWGRP | S_IWOTH)))
        return TRUE;
    g_set_error(error, HX_ERROR, HX_ERROR_HOST,
                "%s belongs to another user, or others may write to it: helixvm does not trust "
                "what is in it",
                path);
    return FALSE;
}

/* @path can be used: with @create it is made where it is missing, without it could be. */
static gboolean ensure(const char *path, gboolean create, GError **error)
{
    struct stat found;
    if (!g_path_is_absolute(path)) {
        g_set_error(error, HX_ERROR, HX_ERROR_HOST,
                    "the directory \"%s\" has to be given by its absolute path", path);
        return FALSE;
    }
    if (!create && stat(path, &found) < 0) {
        if (errno == ENOENT && can_be_made(path))
            return TRUE;
    } else if (create && (mkdir(path, DIRECTORY_MODE) == 0 ||
                          (errno == ENOENT && g_mkdir_with_parents(path, DIRECTORY_MODE) == 0))) {
        /* Whatever the umask is, QEMU's user has to get through. */
        if (chmod(path, DIRECTORY_MODE) == 0)
            return TRUE;
    } else if (!create || (errno == EEXIST && stat(path, &found) == 0)) {
        return check(path, &found, error);
    }
    hx_set_error_errno(error, HX_ERROR_HOST, errno, "cannot use the directory %s", path);
    return FALSE;
}

static char *directory(const char *variable, const char *of_root, const char *of_user,
                       gboolean create, GError **error)
{
    const char *override = g_getenv(variable);
    g_autofree char *path = NULL;
    if (override && *override)
        path = g_strdup(override);
    else if (geteuid() == 0)
        path = g_strdup(of_root);
    else
        path = g_build_filename(of_user, "helixvm", NULL);
    return ensure(path, create, error) ? g_steal_pointer(&path) : NULL;
}

static char *state_directory(gboolean create, GError **error)
{
    return directory("HELIXVM_STATE_DIR", "/var/lib/helixvm", g_get_user_data_dir(), create, error);
}

char *hx_state_directory(GError **error)
{
    return state_directory(FALSE, error);
}

char *hx_create_state_directory(GError **error)
{
    return state_directory(TRUE, error);
}

char *hx_runtime_directory(GError **error)
{
    return directory("HELIXVM_RUNTIME_DIR", "/run/helixvm", g_get_user_runtime_dir(), TRUE, error);
}
