/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/image/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "launcher/base/delete-tree.h"
#include "launcher/base/directories.h"
#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "launcher/base/file-lock.h"
#include "launcher/base/pause.h"

#define LOCK_POLL_MS 200

/* As hx_image_check_unused(), and tell whether it is for the VMs. */
static gboolean check_users(const char *name, const char *to_do, gboolean *ret_in_use,
                            GError **error)
{
    g_auto(GStrv) users = hx_image_users(name, error);
    *ret_in_use = users && *users;
    if (!users)
        return FALSE;
    if (!*users)
        return TRUE;
    g_autofree char *names = g_strjoinv(", ", users);
    g_set_error(error, HX_ERROR, HX_ERROR_FAILED,
                "cannot %s image \"%s\": the disk of VM %s lies on it: `helixvm delete %s` first",
                to_do, name, names, users[1] ? "NAME" : users[0]);
    return FALSE;
}

gboolean hx_image_check_unused(const char *name, const char *to_do, GError **error)
{
    gboolean in_use = FALSE;
    return check_users(name, to_do, &in_use, error);
}

/* --- locks ----------------------------------------------------------------------------------- */

/* flock(2) on the directory itself: the kernel gives it back whatever ends its holder, and it
 * leaves no file.  There is nothing to wait on but the lock itself, so a waiter that can be
 * cancelled has to ask again and again. */
static gboolean wait_for_lock(int fd, const char *path, void (*waiting)(void *data), void *data,
                              GCancellable *cancellable, GError **error)
{
    gboolean told = FALSE;
    int r = 0;
    while (!hx_is_cancelled(cancellable, error)) {
        r = flock(fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
        if (r != -EWOULDBLOCK && r != -EINTR)
            break;
        if (!told && waiting)
            waiting(data);
        told = TRUE;
        hx_pause(LOCK_POLL_MS, cancellable);
    }
    if (g_cancellable_is_cancelled(cancellable))
        return FALSE;
    if (r < 0)
        hx_set_error_errno(error, HX_ERROR_HOST, -r, "cannot lock %s", path);
    return r == 0;
}

int hx_image_lock_directory(const char *path, void (*waiting)(void *data), void *data,
                            GCancellable *cancellable, GError **error)
{
    for (;;) {
        if (mkdir(path, 0755) < 0 && errno != EEXIST) {
            hx_set_error_errno(error, HX_ERROR_HOST, errno, "cannot make %s", path);
            return -1;
        }
        hx_autofd int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 && errno == ENOENT)
            continue; /* removed since */
        if (fd < 0) {
            hx_set_error_errno(error, HX_ERROR_HOST, errno, "cannot open %s", path);
            return -1;
        }
        if (!wait_for_lock(fd, path, waiting, data, cancellable, error))
            return -1;
        /* Its holder may have removed what was opened. */
        if (hx_is_file_at(fd, path))
            return hx_steal_fd(&fd);
    }
}

int hx_image_lock(void (*waiting)(void *data), void *data, GCancellable *cancellable,
                  GError **error)
{
    g_autofree char *path = hx_image_create_directory(error);
    return path ? hx_image_lock_directory(path, waiting, data, cancellable, error) : -1;
}

/* An image's own directory is locked for the moments in which a disk is made on it (shared) or it
 * is replaced (exclusive). */
static int lock_directory(const char *path, int operation, GError **error)
{
    hx_autofd int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r;
    do
        r = fd < 0 ? -1 : flock(fd, operation);
    while (r < 0 && errno == EINTR);
    if (r < 0) {
        hx_set_error_errno(error, errno == ENOENT ? HX_ERROR_NOT_FOUND : HX_ERROR_HOST, errno,
                           "cannot lock the image %s", path);
        return -1;
    }
    return hx_steal_fd(&fd);
}

/* Lock what is at @path now: what was opened may have been replaced before it was locked. */
static int lock_current(const char *path, int operation, GError **error)
{
    for (;;) {
        hx_autofd int fd = lock_directory(path, operation, error);
        if (fd < 0)
            return -1;
        if (hx_is_file_at(fd, path))
            return hx_steal_fd(&fd);
    }
}

int hx_image_hold(const HxImage *image, GError **error)
{
    g_autofree char *path = g_path_get_dirname(hx_image_disk(image));
    return lock_current(path, LOCK_SH, error);
}

int hx_image_claim(const char *path, GError **error)
{
    return lock_current(path, LOCK_EX, error);
}

/* --- putting in place and removing ------------------------------------------------------------ */

/* One try: FALSE without an error where it has to be repeated. */
static gboolean try_publish(const char *name, const char *path, const char *made,
                            gboolean *ret_in_use, GError **error)
{
    if (rename(made, path) == 0)
        return TRUE;
    if (errno != ENOTEMPTY && errno != EEXIST) {
        hx_set_error_errno(error, HX_ERROR_HOST, errno, "cannot put the image into %s", path);
        return FALSE;
    }
    g_autoptr(GError) cause = NULL;
    hx_autofd int claim = hx_image_claim(path, &cause);
    if (claim < 0) {
        if (!g_error_matches(cause, HX_ERROR, HX_ERROR_NOT_FOUND))
            g_propagate_error(error, g_steal_pointer(&cause));
        return FALSE;
    }
    /* A VM may have been made on the old image meanwhile. */
    if (!check_users(name, "replace", ret_in_use, error))
        return FALSE;
    if (renameat2(AT_FDCWD, made, AT_FDCWD, path, RENAME_EXCHANGE) < 0) {
        hx_set_error_errno(error, HX_ERROR_HOST, errno, "cannot put the image into %s", path);
        return FALSE;
    }
    return hx_delete_tree(made, error);
}

gboolean hx_image_publish(const char *name, const char *made, gboolean *ret_in_use, GError **error)
{
    g_autofree char *path = hx_image_path(name, error);
    *ret_in_use = FALSE;
    if (!path)
        return FALSE;
    for (;;) {
        g_autoptr(GError) cause = NULL;
        if (try_publish(name, path, made, ret_in_use, &cause))
            return TRUE;
        if (cause) {
            g_propagate_error(error, g_steal_pointer(&cause));
            return FALSE;
        }
    }
}

gboolean hx_image_remove(const char *name, void (*waiting)(void *data), void *data,
                         GCancellable *cancellable, GError **error)
{
    g_autofree char *path = hx_image_path(name, error);
    if (!path)
        return FALSE;
    hx_autofd int lock = hx_image_lock(waiting, data, cancellable, error);
    if (lock < 0)
        return FALSE;
    g_autoptr(GError) cause = NULL;
    g_autoptr(HxImage) image = hx_image_open(name, &cause);
    if (!image && !g_error_matches(cause, HX_ERROR, HX_ERROR_CONFIG)) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return FALSE;
    }
    hx_autofd int claim = hx_image_claim(path, error);
    if (claim < 0 || !hx_image_check_unused(name, "remove", error))
        return FALSE;
    /* Out of the way in one step, so that half an image is never seen; a builder deletes what an
     * interrupted removal leaves. */
    g_autofree char *directory = g_path_get_dirname(path);
    g_autofree char *removed = g_strdup_printf("%s/.%s.removed", directory, name);
    if (!hx_delete_tree(removed, error))
        return FALSE;
    if (rename(path, removed) < 0) {
        hx_set_error_errno(error, HX_ERROR_HOST, errno, "cannot remove %s", path);
        return FALSE;
    }
    return hx_delete_tree(removed, error);
}
