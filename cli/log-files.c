/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Theory of operation.  A log that is followed has a descriptor, read up to its end at each change
 * that inotify tells.  A new run gives the name to another file: the old one is read to its end,
 * then the new one from its begin.  A file that is shorter than what was read of it was begun anew.
 */
#include "cli/log-files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/log-text.h"
#include "launcher/base/error.h"
#include "launcher/base/fd.h"

/* A line that is longer is passed on in pieces. */
#define LINE_LIMIT 65536

struct HxLogFile {
    char *component;
    char *path;
    HxLogSink *sink;
    void *data;
    int fd; /* -1: it is not there */
    off_t offset;
    GString *line; /* what has come of the next one */
    GFileMonitor *monitor;
    gboolean ended; /* the sink wants no more */
};

HxLogFile *hx_log_file_new(const char *component, const char *path, HxLogSink *sink, void *data)
{
    HxLogFile *file = g_new0(HxLogFile, 1);
    file->component = g_strdup(component);
    file->path = g_strdup(path);
    file->sink = sink;
    file->data = data;
    file->fd = -1;
    file->line = g_string_new(NULL);
    return file;
}

void hx_log_file_free(HxLogFile *file)
{
    if (!file)
        return;
    if (file->monitor)
        g_file_monitor_cancel(file->monitor);
    g_clear_object(&file->monitor);
    hx_close(&file->fd);
    g_string_free(file->line, TRUE);
    g_free(file->path);
    g_free(file->component);
    g_free(file);
}

static void put_line(HxLogFile *file)
{
    file->ended =
        file->ended || !file->sink(file->component, file->line->str, file->line->len, file->data);
    g_string_truncate(file->line, 0);
}

static void take(HxLogFile *file, const char *bytes, size_t size)
{
    while (size > 0 && !file->ended) {
        const char *end = memchr(bytes, '\n', size);
        size_t length = end ? (size_t)(end - bytes) : size;
        g_string_append_len(file->line, bytes, length);
        if (end || file->line->len >= LINE_LIMIT)
            put_line(file);
        length += end != NULL;
        bytes += length;
        size -= length;
    }
}

static void read_to_end(HxLogFile *file)
{
    char buffer[16384];
    struct stat found;
    if (fstat(file->fd, &found) == 0 && found.st_size < file->offset)
        file->offset = 0;
    ssize_t n;
    while (!file->ended && (n = pread(file->fd, buffer, sizeof buffer, file->offset)) > 0) {
        file->offset += n;
        take(file, buffer, n);
    }
}

static gboolean open_file(HxLogFile *file)
{
    file->fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    file->offset = 0;
    return file->fd >= 0;
}

gboolean hx_log_file_read(HxLogFile *file, guint lines, GError **error)
{
    if (!open_file(file)) {
        hx_set_error_errno(error, errno == ENOENT ? HX_ERROR_NOT_FOUND : HX_ERROR_HOST, errno,
                           "cannot read the log of %s, %s", file->component, file->path);
        return FALSE;
    }
    file->offset = lines == G_MAXUINT ? 0 : hx_log_tail(file->fd, lines);
    read_to_end(file);
    return TRUE;
}

static gboolean is_replaced(const HxLogFile *file)
{
    struct stat ours, named;
    return fstat(file->fd, &ours) == 0 && stat(file->path, &named) == 0 &&
           (ours.st_ino != named.st_ino || ours.st_dev != named.st_dev);
}

static void on_changed(GFileMonitor *monitor, GFile *one, GFile *other, GFileMonitorEvent event,
                       void *data)
{
    HxLogFile *file = data;
    if (file->fd < 0 && !open_file(file))
        return;
    gboolean replaced = is_replaced(file);
    read_to_end(file);
    if (!replaced)
        return;
    if (file->line->len > 0)
        put_line(file);
    hx_close(&file->fd);
    if (open_file(file))
        read_to_end(file);
}

void hx_log_file_follow(HxLogFile *file)
{
    g_autoptr(GFile) target = g_file_new_for_path(file->path);
    file->monitor = g_file_monitor_file(target, G_FILE_MONITOR_NONE, NULL, NULL);
    if (!file->monitor)
        return;
    g_file_monitor_set_rate_limit(file->monitor, 100);
    g_signal_connect(file->monitor, "changed", G_CALLBACK(on_changed), file);
    /* What came between the first reading and now. */
    on_changed(file->monitor, NULL, NULL, G_FILE_MONITOR_EVENT_CHANGED, file);
}
