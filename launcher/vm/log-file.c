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

void hx_log_file_bound(const char *path)
{
    struct stat found;
    hx_autofd int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &found) < 0 || found.st_size <= HX_LOG_FILE_MAX)
        return;
    g_autofree char *text = g_malloc(HX_LOG_FILE_MAX);
    ssize_t n = pread(fd, text, HX_LOG_FILE_MAX, found.st_size - HX_LOG_FILE_MAX);
    if (ftruncate(fd, 0) < 0 || n <= 0)
        return;
    /* Whole lines. */
    const char *line = memchr(text, '\n', n);
    line = line ? line + 1 : text;
    g_autofree char *before = g_strconcat(path, ".1", NULL);
    g_file_set_contents_full(before, line, text + n - line, G_FILE_SET_CONTENTS_CONSISTENT, 0600,
                             NULL);
}
