/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From the host to the guest. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "guest-provision/ssh-copy-private.h"
#include "launcher/base/error.h"
#include "launcher/base/fd.h"

static mode_t new_mode(const HxCopy *copy, const struct stat *source)
{
    return copy->options->preserve ? source->st_mode & 07777
                                   : source->st_mode & 0777 & ~copy->umask;
}

static void keep_times(HxCopy *copy, const char *path, const struct stat *source)
{
    struct timeval times[2] = {{.tv_sec = source->st_atime}, {.tv_sec = source->st_mtime}};
    if (copy->options->preserve)
        sftp_utimes(copy->ssh->sftp, path, times);
}

/* --- a file's content --------------------------------------------------------------------------
 */

typedef struct {
    char bytes[HX_COPY_CHUNK];
    const char *next; /* what of them has not been sent */
    size_t left;
} Chunk;

/* Send all of @fd, with up to HX_COPY_IN_FLIGHT unanswered requests. */
static gboolean send_content(HxCopy *copy, int fd, const char *path, guint64 size, sftp_file file,
                             GError **error)
{
    g_autofree Chunk *chunk = g_new0(Chunk, 1);
    sftp_aio flying[HX_COPY_IN_FLIGHT] = {};
    guint begun = 0, ended = 0;
    guint64 done = 0;
    gboolean at_end = FALSE, good = TRUE;
    while (good && (!at_end || ended < begun)) {
        hx_copy_report(copy, path, done, size);
        good = hx_copy_goes_on(copy, error);
        if (good && !at_end && chunk->left == 0) {
            ssize_t n = read(fd, chunk->bytes, sizeof chunk->bytes);
            if (n < 0)
                good = errno == EINTR || hx_copy_host_failed("read", path, error);
            at_end = n == 0;
            chunk->next = chunk->bytes;
            chunk->left = MAX(n, 0);
        }
        if (good && chunk->left > 0 && begun - ended < HX_COPY_IN_FLIGHT) {
            ssize_t n = sftp_aio_begin_write(file, chunk->next, chunk->left,
                                             &flying[begun % HX_COPY_IN_FLIGHT]);
            good = n > 0 || hx_copy_guest_failed(copy, "write", path, error);
            chunk->next += MAX(n, 0);
            chunk->left -= MAX(n, 0);
            begun += good;
        } else if (good && ended < begun) {
            ssize_t n = sftp_aio_wait_write(&flying[ended % HX_COPY_IN_FLIGHT]);
            good = n > 0 || hx_copy_guest_failed(copy, "write", path, error);
            done += MAX(n, 0);
            ended++;
        }
    }
    for (; ended < begun; ended++)
        sftp_aio_free(flying[ended % HX_COPY_IN_FLIGHT]);
    if (good)
        copy->totals->bytes += done;
    return good;
}

/* --- entries -----------------------------------------------------------------------------------
 */

/* Whether @path in the guest may be replaced; @ret_mode gets its permissions where it is a file. */
static gboolean may_replace(HxCopy *copy, const char *path, mode_t *ret_mode, GError **error)
{
    g_auto(HxAttributes) found = sftp_lstat(copy->ssh->sftp, path);
    if (!found)
        return sftp_get_error(copy->ssh->sftp) == SSH_FX_NO_SUCH_FILE ||
               hx_copy_guest_failed(copy, "write", path, error);
    if (found->type == SSH_FILEXFER_TYPE_REGULAR)
        *ret_mode = found->permissions & 07777;
    if (found->type == SSH_FILEXFER_TYPE_REGULAR || found->type == SSH_FILEXFER_TYPE_SYMLINK)
        return TRUE;
    g_set_error(error, HX_ERROR, HX_ERROR_GUEST,
                "cannot put a file in the place of %s in VM \"%s\", which is %s", path,
                copy->ssh->vm,
                found->type == SSH_FILEXFER_TYPE_DIRECTORY ? "a directory" : "no file");
    return FALSE;
}

static char *temporary_beside(const char *path)
{
    g_autofree char *directory = g_path_get_dirname(path);
    g_autofree char *name = hx_copy_temporary();
    return hx_copy_join(directory, name);
}

/* Give what is complete its name; what is not is removed. */
static gboolean finish(HxCopy *copy, gboolean good, const char *temporary, const char *path,
                       GError **error)
{
    sftp_session sftp = copy->ssh->sftp;
    if (good && sftp_rename(sftp, temporary, path) != 0)
        good = hx_copy_guest_failed(copy, "write", path, error);
    if (!good && ssh_is_connected(copy->ssh->session))
        sftp_unlink(sftp, temporary);
    return good;
}

static gboolean copy_file(HxCopy *copy, int fd, const struct stat *source, const char *path,
                          GError **error)
{
    sftp_session sftp = copy->ssh->sftp;
    mode_t mode = new_mode(copy, source), kept = mode;
    if (!may_replace(copy, path, &kept, error))
        return FALSE;
    g_autofree char *temporary = temporary_beside(path);
    sftp_file file = sftp_open(sftp, temporary, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (!file)
        return hx_copy_guest_failed(copy, "write", path, error);
    gboolean good = send_content(copy, fd, path, source->st_size, file, error);
    /* The first error is the one to tell; closing and removing may succeed after it. */
    if (sftp_close(file) != SSH_OK && good)
        good = hx_copy_guest_failed(copy, "write", path, error);
    if (good && sftp_chmod(sftp, temporary, copy->options->preserve ? mode : kept) != 0)
        good = hx_copy_guest_failed(copy, "write", path, error);
    if (good)
        keep_times(copy, temporary, source);
    good = finish(copy, good, temporary, path, error);
    copy->totals->files += good;
    return good;
}

static gboolean copy_symlink(HxCopy *copy, int directory, const char *name, const char *path,
                             GError **error)
{
    char target[4096];
    mode_t unused;
    ssize_t n = readlinkat(directory, name, target, sizeof target - 1);
    if (n < 0)
        return hx_copy_host_failed("read", name, error);
    target[n] = 0;
    if (!may_replace(copy, path, &unused, error))
        return FALSE;
    g_autofree char *temporary = temporary_beside(path);
    if (sftp_symlink(copy->ssh->sftp, target, temporary) != 0)
        return hx_copy_guest_failed(copy, "write", path, error);
    gboolean good = finish(copy, TRUE, temporary, path, error);
    copy->totals->symlinks += good;
    return good;
}

static gboolean copy_entry(HxCopy *copy, int directory, const char *name, gboolean follow,
                           const char *path, guint depth, GError **error);

/* What is in @fd, which is taken over, into the guest's directory @path. */
static gboolean copy_content(HxCopy *copy, int fd, const char *path, guint depth, GError **error)
{
    DIR *listing = fdopendir(fd);
    if (!listing)
        close(fd);
    if (!listing || depth > HX_COPY_DEPTH_MAX) {
        if (listing) {
            closedir(listing);
            errno = ENAMETOOLONG;
        }
        return hx_copy_host_failed("read", path, error);
    }
    gboolean good = TRUE;
    while (good) {
        errno = 0;
        const struct dirent *entry = readdir(listing);
        if (!entry) {
            good = errno == 0 || hx_copy_host_failed("read", path, error);
            break;
        }
        if (!hx_copy_is_name(entry->d_name))
            continue;
        g_autofree char *below = hx_copy_join(path, entry->d_name);
        good = hx_copy_goes_on(copy, error) &&
               copy_entry(copy, dirfd(listing), entry->d_name, FALSE, below, depth, error);
    }
    closedir(listing);
    return good;
}

/* See that there is a directory @path in the guest; @ret_made: it was not there. */
static gboolean make_directory(HxCopy *copy, const char *path, gboolean *ret_made, GError **error)
{
    *ret_made = sftp_mkdir(copy->ssh->sftp, path, 0700) == 0;
    if (*ret_made)
        return TRUE;
    /* SFTP 3 says of one that is there no more than that it failed. */
    int code = sftp_get_error(copy->ssh->sftp);
    g_auto(HxAttributes) found = code == SSH_FX_FAILURE || code == SSH_FX_FILE_ALREADY_EXISTS
                                     ? sftp_stat(copy->ssh->sftp, path)
                                     : NULL;
    if (found && found->type == SSH_FILEXFER_TYPE_DIRECTORY)
        return TRUE;
    return hx_copy_guest_failed(copy, "make the directory", path, error);
}

/* Takes @fd over. */
static gboolean copy_directory(HxCopy *copy, int fd, const struct stat *source, const char *name,
                               const char *path, guint depth, GError **error)
{
    hx_autofd int own = fd;
    if (!copy->options->recursive) {
        g_set_error(error, HX_ERROR, HX_ERROR_USAGE, "%s is a directory: say --recursive (-r)",
                    name);
        return FALSE;
    }
    gboolean made;
    if (!make_directory(copy, path, &made, error) ||
        !copy_content(copy, hx_steal_fd(&own), path, depth + 1, error))
        return FALSE;
    if ((made || copy->options->preserve) &&
        sftp_chmod(copy->ssh->sftp, path, new_mode(copy, source)) != 0)
        return hx_copy_guest_failed(copy, "write", path, error);
    keep_times(copy, path, source);
    copy->totals->directories++;
    return TRUE;
}

/* @name in @directory to the guest's @path. */
static gboolean copy_entry(HxCopy *copy, int directory, const char *name, gboolean follow,
                           const char *path, guint depth, GError **error)
{
    struct stat source;
    if (fstatat(directory, name, &source, follow ? 0 : AT_SYMLINK_NOFOLLOW) < 0)
        return hx_copy_host_failed("read", name, error);
    if (S_ISLNK(source.st_mode))
        return copy_symlink(copy, directory, name, path, error);
    if (!S_ISREG(source.st_mode) && !S_ISDIR(source.st_mode)) {
        hx_copy_skip(copy, name, "neither a file nor a directory");
        return TRUE;
    }
    /* What was a file a moment ago may be a FIFO now, on which open(2) would wait. */
    hx_autofd int fd =
        openat(directory, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW));
    if (fd < 0 || fstat(fd, &source) < 0)
        return hx_copy_host_failed("read", name, error);
    if (S_ISDIR(source.st_mode))
        return copy_directory(copy, hx_steal_fd(&fd), &source, name, path, depth, error);
    return copy_file(copy, fd, &source, path, error);
}

/* --- the sources -------------------------------------------------------------------------------
 */

/* Where in the guest: @ret_is_directory, or the name that the only source gets.  For g_free. */
static char *resolve(HxCopy *copy, const char *destination, gboolean many,
                     gboolean *ret_is_directory, GError **error)
{
    const char *path = hx_copy_guest_path(destination);
    g_auto(HxAttributes) found = sftp_stat(copy->ssh->sftp, path);
    *ret_is_directory = found && found->type == SSH_FILEXFER_TYPE_DIRECTORY;
    if (*ret_is_directory)
        return g_strdup(path);
    if (!found && sftp_get_error(copy->ssh->sftp) != SSH_FX_NO_SUCH_FILE) {
        hx_copy_guest_failed(copy, "write", path, error);
        return NULL;
    }
    if (many || (found && g_str_has_suffix(path, "/"))) {
        g_set_error(error, HX_ERROR, HX_ERROR_USAGE, "%s is no directory in VM \"%s\"", path,
                    copy->ssh->vm);
        return NULL;
    }
    /* A link that the user names is followed. */
    char *real = found ? sftp_canonicalize_path(copy->ssh->sftp, path) : NULL;
    char *resolved = g_strdup(real ? real : path);
    ssh_string_free_char(real);
    for (size_t n = strlen(resolved); n > 1 && resolved[n - 1] == '/'; n--)
        resolved[n - 1] = 0;
    return resolved;
}

static gboolean copy_source(HxCopy *copy, const char *source, const char *destination,
                            gboolean is_directory, GError **error)
{
    g_autofree char *name = hx_copy_name(source);
    if (is_directory && name) {
        g_autofree char *path = hx_copy_join(destination, name);
        return copy_entry(copy, AT_FDCWD, source, TRUE, path, 0, error);
    }
    return copy_entry(copy, AT_FDCWD, source, TRUE, destination, 0, error);
}

gboolean hx_ssh_copy_in(HxSsh *ssh, const char *const *sources, const char *destination,
                        const HxCopyOptions *options, HxCopyTotals *ret_totals, GError **error)
{
    HxCopy copy;
    if (!hx_copy_begin(&copy, ssh, options, ret_totals, error))
        return FALSE;
    gboolean is_directory;
    g_autofree char *to =
        resolve(&copy, destination, sources[0] && sources[1], &is_directory, error);
    gboolean good = to != NULL;
    for (const char *const *source = sources; good && *source; source++)
        good = copy_source(&copy, *source, to, is_directory, error);
    hx_copy_end(&copy);
    return good;
}
