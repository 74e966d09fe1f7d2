/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From the guest to the host.
 *
 * Theory of operation.  What the guest says decides nothing but the content: below the destination
 * every name is one component, opened relative to a descriptor of its directory and never through a
 * symbolic link, so that neither a name nor a link that came earlier leads elsewhere. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guest-provision/ssh-copy-private.h"
#include "launcher/base/error.h"
#include "launcher/base/fd.h"

/* The permissions that @attributes ask for, where nothing is there yet. */
static mode_t new_mode(const HxCopy *copy, sftp_attributes attributes)
{
    mode_t mode = attributes->permissions & 0777;
    return copy->options->preserve ? mode : mode & ~copy->umask;
}

static struct timespec const *times_of(sftp_attributes attributes, struct timespec times[2])
{
    times[0] = (struct timespec){.tv_sec = attributes->mtime};
    times[1] = times[0];
    return times;
}

/* --- a file's content --------------------------------------------------------------------------
 */

typedef struct {
    sftp_aio aio[HX_COPY_IN_FLIGHT];
    size_t size[HX_COPY_IN_FLIGHT];
    guint begun, ended;
    guint64 asked; /* up to here */
} Reads;

/* Keep reads on their way: as far as the file is said to go, and one beyond, which finds its end.
 */
static gboolean ask(sftp_file file, Reads *reads, guint64 size)
{
    while (reads->begun - reads->ended < HX_COPY_IN_FLIGHT &&
           (reads->asked < size || reads->begun == reads->ended)) {
        guint i = reads->begun % HX_COPY_IN_FLIGHT;
        ssize_t n = sftp_aio_begin_read(file, HX_COPY_CHUNK, &reads->aio[i]);
        if (n <= 0)
            return FALSE;
        reads->size[i] = n;
        reads->asked += n;
        reads->begun++;
    }
    return TRUE;
}

static void forget(Reads *reads)
{
    for (; reads->ended < reads->begun; reads->ended++)
        sftp_aio_free(reads->aio[reads->ended % HX_COPY_IN_FLIGHT]);
}

/* Answers that are no longer wanted; a server's are still awaited, so that none is taken for
 * another's. */
static gboolean discard(Reads *reads, char *buffer)
{
    while (reads->ended < reads->begun) {
        guint i = reads->ended++ % HX_COPY_IN_FLIGHT;
        if (sftp_aio_wait_read(&reads->aio[i], buffer, HX_COPY_CHUNK) < 0)
            return FALSE;
    }
    return TRUE;
}

static gboolean fetch(HxCopy *copy, sftp_file file, const char *path, guint64 size, int fd,
                      GError **error)
{
    g_autofree char *buffer = g_malloc(HX_COPY_CHUNK);
    Reads reads = {0};
    guint64 done = 0;
    for (;;) {
        hx_copy_report(copy, path, done, size);
        if (!hx_copy_goes_on(copy, error))
            break;
        if (!ask(file, &reads, size)) {
            hx_copy_guest_failed(copy, "read", path, error);
            break;
        }
        guint i = reads.ended++ % HX_COPY_IN_FLIGHT;
        ssize_t n = sftp_aio_wait_read(&reads.aio[i], buffer, HX_COPY_CHUNK);
        if (n < 0) {
            hx_copy_guest_failed(copy, "read", path, error);
            break;
        }
        if (n == 0) {
            gboolean good = discard(&reads, buffer);
            copy->totals->bytes += good ? done : 0;
            return good || hx_copy_guest_failed(copy, "read", path, error);
        }
        int r = hx_write_all(fd, buffer, n);
        if (r < 0) {
            errno = -r;
            hx_copy_host_failed("write", path, error);
            break;
        }
        done += n;
        /* Less than was asked for: what was asked for after it begins too late. */
        if ((size_t)n < reads.size[i]) {
            if (!discard(&reads, buffer) || sftp_seek64(file, done) < 0) {
                hx_copy_guest_failed(copy, "read", path, error);
                break;
            }
            reads.asked = done;
        }
    }
    forget(&reads);
    return FALSE;
}

/* --- entries of a directory --------------------------------------------------------------------
 */

/* Whether @name in @directory may be replaced; @ret_mode gets its permissions where it is a file.
 */
static gboolean may_replace(int directory, const char *name, const char *path, mode_t *ret_mode,
                            GError **error)
{
    struct stat found;
    if (fstatat(directory, name, &found, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT || hx_copy_host_failed("write", name, error);
    if (S_ISREG(found.st_mode))
        *ret_mode = found.st_mode & 0777; /* what comes from the guest is no program of root's */
    if (S_ISREG(found.st_mode) || S_ISLNK(found.st_mode))
        return TRUE;
    g_set_error(error, HX_ERROR, HX_ERROR_HOST,
                "cannot put the guest's %s in the place of %s on the host, which is %s", path, name,
                S_ISDIR(found.st_mode) ? "a directory" : "no file");
    return FALSE;
}

static gboolean copy_file(HxCopy *copy, const char *path, sftp_attributes attributes, int directory,
                          const char *name, GError **error)
{
    mode_t mode = new_mode(copy, attributes), kept = mode;
    if (!may_replace(directory, name, path, &kept, error))
        return FALSE;
    sftp_file file = sftp_open(copy->ssh->sftp, path, O_RDONLY, 0);
    if (!file)
        return hx_copy_guest_failed(copy, "read", path, error);
    g_autofree char *temporary = hx_copy_temporary();
    hx_autofd int fd =
        openat(directory, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    gboolean good = fd >= 0 ? fetch(copy, file, path, attributes->size, fd, error)
                            : hx_copy_host_failed("write", name, error);
    sftp_close(file);
    struct timespec times[2];
    if (good && copy->options->preserve)
        futimens(fd, times_of(attributes, times));
    if (good && (fchmod(fd, copy->options->preserve ? mode : kept) < 0 ||
                 renameat(directory, temporary, directory, name) < 0))
        good = hx_copy_host_failed("write", name, error);
    if (!good && fd >= 0)
        unlinkat(directory, temporary, 0);
    copy->totals->files += good;
    return good;
}

static gboolean copy_symlink(HxCopy *copy, const char *path, int directory, const char *name,
                             GError **error)
{
    mode_t unused;
    if (!may_replace(directory, name, path, &unused, error))
        return FALSE;
    char *target = sftp_readlink(copy->ssh->sftp, path);
    if (!target)
        return hx_copy_guest_failed(copy, "read", path, error);
    g_autofree char *temporary = hx_copy_temporary();
    gboolean made = symlinkat(target, directory, temporary) == 0;
    ssh_string_free_char(target);
    if (!made || renameat(directory, temporary, directory, name) < 0) {
        hx_copy_host_failed("write", name, error);
        if (made)
            unlinkat(directory, temporary, 0);
        return FALSE;
    }
    copy->totals->symlinks++;
    return TRUE;
}

static gboolean copy_entry(HxCopy *copy, const char *path, sftp_attributes attributes,
                           int directory, const char *name, guint depth, GError **error);

static gboolean copy_listed(HxCopy *copy, const char *path, sftp_attributes listed, int directory,
                            guint depth, GError **error)
{
    const char *name = listed->name ? listed->name : "";
    if (g_str_equal(name, ".") || g_str_equal(name, ".."))
        return TRUE;
    if (!hx_copy_is_name(name)) {
        g_set_error(
            error, HX_ERROR, HX_ERROR_PROTOCOL,
            "VM \"%s\" lists \"%s\" in %s, which is no file's name: it is not to be trusted",
            copy->ssh->vm, name, path);
        return FALSE;
    }
    g_autofree char *below = hx_copy_join(path, name);
    if (listed->flags & SSH_FILEXFER_ATTR_PERMISSIONS)
        return copy_entry(copy, below, listed, directory, name, depth, error);
    g_auto(HxAttributes) asked = sftp_lstat(copy->ssh->sftp, below);
    if (!asked)
        return hx_copy_guest_failed(copy, "read", below, error);
    return copy_entry(copy, below, asked, directory, name, depth, error);
}

/* What is in the guest's @path into @directory. */
static gboolean copy_content(HxCopy *copy, const char *path, int directory, guint depth,
                             GError **error)
{
    if (depth > HX_COPY_DEPTH_MAX) {
        g_set_error(error, HX_ERROR, HX_ERROR_GUEST, "%s in VM \"%s\" is over %d directories deep",
                    path, copy->ssh->vm, HX_COPY_DEPTH_MAX);
        return FALSE;
    }
    sftp_dir listing = sftp_opendir(copy->ssh->sftp, path);
    if (!listing)
        return hx_copy_guest_failed(copy, "read", path, error);
    gboolean good = TRUE;
    sftp_attributes listed;
    while (good && (listed = sftp_readdir(copy->ssh->sftp, listing))) {
        good = hx_copy_goes_on(copy, error) &&
               copy_listed(copy, path, listed, directory, depth, error);
        sftp_attributes_free(listed);
    }
    if (good && !sftp_dir_eof(listing))
        good = hx_copy_guest_failed(copy, "read", path, error);
    sftp_closedir(listing);
    return good;
}

static gboolean copy_directory(HxCopy *copy, const char *path, sftp_attributes attributes,
                               int directory, const char *name, guint depth, GError **error)
{
    if (!copy->options->recursive) {
        g_set_error(error, HX_ERROR, HX_ERROR_USAGE,
                    "%s in VM \"%s\" is a directory: say --recursive (-r)", path, copy->ssh->vm);
        return FALSE;
    }
    gboolean made = mkdirat(directory, name, 0700) == 0;
    if (!made && errno != EEXIST)
        return hx_copy_host_failed("make the directory", name, error);
    hx_autofd int fd = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return hx_copy_host_failed("write into", name, error);
    if (!copy_content(copy, path, fd, depth + 1, error))
        return FALSE;
    /* Last: what is in it had to be written, and changed its time. */
    if ((made || copy->options->preserve) && fchmod(fd, new_mode(copy, attributes)) < 0)
        return hx_copy_host_failed("write", name, error);
    struct timespec times[2];
    if (copy->options->preserve)
        futimens(fd, times_of(attributes, times));
    copy->totals->directories++;
    return TRUE;
}

static gboolean copy_entry(HxCopy *copy, const char *path, sftp_attributes attributes,
                           int directory, const char *name, guint depth, GError **error)
{
    switch (attributes->type) {
    case SSH_FILEXFER_TYPE_REGULAR:
        return copy_file(copy, path, attributes, directory, name, error);
    case SSH_FILEXFER_TYPE_DIRECTORY:
        return copy_directory(copy, path, attributes, directory, name, depth, error);
    case SSH_FILEXFER_TYPE_SYMLINK:
        return copy_symlink(copy, path, directory, name, error);
    default:
        hx_copy_skip(copy, path, "neither a file nor a directory");
        return TRUE;
    }
}

/* --- the sources -------------------------------------------------------------------------------
 */

/* Where the user wants them: a directory, and the name in it; NULL: the source's own. */
typedef struct {
    int directory;
    char *name;
} Destination;

static gboolean open_directory(const char *path, int *ret_fd, GError **error)
{
    *ret_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *ret_fd >= 0 || hx_copy_host_failed("write into", path, error);
}

/* The path itself is the user's word: its links are followed. */
static gboolean open_destination(const char *path, gboolean many, Destination *to, GError **error)
{
    struct stat found;
    gboolean there = stat(path, &found) == 0;
    if (there && S_ISDIR(found.st_mode))
        return open_directory(path, &to->directory, error);
    if (many || (there && g_str_has_suffix(path, "/"))) {
        g_set_error(error, HX_ERROR, HX_ERROR_USAGE, "%s is no directory on the host", path);
        return FALSE;
    }
    char *resolved = there ? realpath(path, NULL) : NULL;
    g_autofree char *parent = NULL;
    g_autofree char *bare = g_strdup(resolved ? resolved : path);
    free(resolved);
    for (size_t n = strlen(bare); n > 1 && bare[n - 1] == '/'; n--)
        bare[n - 1] = 0;
    parent = g_path_get_dirname(bare);
    to->name = g_path_get_basename(bare);
    return open_directory(parent, &to->directory, error);
}

static gboolean copy_source(HxCopy *copy, const char *source, const Destination *to, GError **error)
{
    const char *path = hx_copy_guest_path(source);
    g_auto(HxAttributes) attributes = sftp_stat(copy->ssh->sftp, path);
    if (!attributes)
        return hx_copy_guest_failed(copy, "read", path, error);
    g_autofree char *own = to->name ? NULL : hx_copy_name(path);
    const char *name = to->name ? to->name : own;
    if (name)
        return copy_entry(copy, path, attributes, to->directory, name, 0, error);
    if (!copy->options->recursive) {
        g_set_error(error, HX_ERROR, HX_ERROR_USAGE,
                    "%s in VM \"%s\" is a directory: say --recursive (-r)", path, copy->ssh->vm);
        return FALSE;
    }
    return copy_content(copy, path, to->directory, 0, error);
}

gboolean hx_ssh_copy_out(HxSsh *ssh, const char *const *sources, const char *destination,
                         const HxCopyOptions *options, HxCopyTotals *ret_totals, GError **error)
{
    HxCopy copy;
    if (!hx_copy_begin(&copy, ssh, options, ret_totals, error))
        return FALSE;
    Destination to = {.directory = -1};
    gboolean good = open_destination(destination, sources[0] && sources[1], &to, error);
    for (const char *const *source = sources; good && *source; source++)
        good = copy_source(&copy, *source, &to, error);
    hx_close(&to.directory);
    g_free(to.name);
    hx_copy_end(&copy);
    return good;
}
