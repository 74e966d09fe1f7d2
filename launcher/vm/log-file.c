/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/vm/log-file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "launcher/base/error.h"
#include "launcher/base/fd.h"

int hx_log_file_open(const char *path, gboolean anew, GError **error)
{
    g_autofree char *before = g_strconcat(path, ".1", NULL);
    struct stat found;
    /* An empty one says less than the one before it. */
    if (anew && stat(path, &found) == 0 && found.st_size > 0)
        rename(path, before);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        hx_set_error_errno(error, HX_ERROR_HOST, errno, "cannot write the log %s", path);
    return fd;
}

/* Copy what @from has behind *@position to @to, until nothing more is there. */
static gboolean copy_rest(int from, off_t *position, int to)
{
    char bytes[64 * 1024];
    ssize_t n;
    while ((n = pread(from, bytes, sizeof bytes, *position)) > 0) {
        if (hx_write_all(to, bytes, n) < 0)
            return FALSE;
        *position += n;
    }
    return n == 0;
}

/* Where the last HX_LOG_FILE_MAX bytes of the @size that @fd has begin with a whole line. */
static off_t find_begin(int fd, off_t size)
{
    char bytes[4096];
    off_t begin = size - HX_LOG_FILE_MAX;
    ssize_t n = pread(fd, bytes, sizeof bytes, begin);
    const char *newline = n > 0 ? memchr(bytes, '\n', n) : NULL;
    return newline ? begin + (newline + 1 - bytes) : begin;
}

void hx_log_file_bound(const char *path)
{
    struct stat found;
    hx_autofd int fd = open(path, O_RDWR | O_APPEND | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &found) < 0 || found.st_size <= HX_LOG_FILE_MAX)
        return;
    g_autofree char *before = g_strconcat(path, ".1", NULL);
    g_autofree char *partial = g_strconcat(before, ".part", NULL);
    hx_autofd int copy = open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    off_t end = find_begin(fd, found.st_size);
    /* What is written meanwhile is copied too. */
    if (copy >= 0 && copy_rest(fd, &end, copy) && rename(partial, before) == 0 &&
        copy_rest(fd, &end, copy) && ftruncate(fd, 0) == 0)
        return;
    /* The next look may find room.  Until then the log has it all. */
    int cause = errno;
    unlink(partial);
    if (found.st_size <= HX_LOG_FILE_FULL || ftruncate(fd, 0) < 0)
        return;
    g_autofree char *line =
        g_strdup_printf("%" G_GINT64_FORMAT " bytes of this log are lost: cannot write %s: %s\n",
                        (gint64)found.st_size, before, g_strerror(cause));
    hx_write_all(fd, line, strlen(line));
}
