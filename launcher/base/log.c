/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/base/log.h"

#include <errno.h>
#include <unistd.h>

static struct {
    const char *component;
    gboolean timestamps;
    gboolean debug;
} log_state = {.component = "helixvm"};

static struct {
    GMutex mutex;
    unsigned lines; /* 0: no limit */
    gint64 period, since;
    unsigned logged, left_out;
} log_limit;

void hx_log_init(const char *component, gboolean timestamps)
{
    log_state.component = component;
    log_state.timestamps = timestamps;
    log_state.debug = g_strcmp0(g_getenv("HELIXVM_DEBUG"), "1") == 0;
}

/* The lines that a full disk took, and why. */
static GMutex lost_mutex;
static guint lost;
static int lost_errno;
static gboolean cut_short; /* the last one is there in part */

/* One write a line, so that lines of several processes do not mix. */
static gboolean write_whole(const GString *line)
{
    ssize_t n = write(STDERR_FILENO, line->str, line->len);
    if (n == (ssize_t)line->len)
        return TRUE;
    lost_errno = n < 0 ? errno : ENOSPC;
    cut_short = cut_short || n > 0;
    return FALSE;
}

/* A line that cannot be written ends nothing; the next one that can says so. */
static void write_line(const GString *line)
{
    g_mutex_lock(&lost_mutex);
    if (lost > 0) {
        g_autoptr(GString) both = g_string_new(cut_short ? "\n" : "");
        g_string_append_printf(both, "%s: warning: %u line%s lost here: %s\n%s",
                               log_state.component, lost, lost == 1 ? " is" : "s are",
                               g_strerror(lost_errno), line->str);
        if (write_whole(both)) {
            lost = 0;
            cut_short = FALSE;
        } else {
            lost++;
        }
    } else if (!write_whole(line)) {
        lost = 1;
    }
    g_mutex_unlock(&lost_mutex);
}

void hx_log_limit(unsigned lines, unsigned seconds)
{
    log_limit.lines = lines;
    log_limit.period = seconds * G_USEC_PER_SEC;
}

/* Whether the limit allows a line, and what to say of those it did not. */
static gboolean may_log(unsigned *ret_left_out)
{
    *ret_left_out = 0;
    if (log_limit.lines == 0)
        return TRUE;
    g_mutex_lock(&log_limit.mutex);
    gint64 now = g_get_monotonic_time();
    if (log_limit.logged == 0 || now - log_limit.since >= log_limit.period) {
        log_limit.since = now;
        log_limit.logged = 0;
    }
    gboolean may = log_limit.logged < log_limit.lines;
    if (may) {
        log_limit.logged++;
        *ret_left_out = log_limit.left_out;
        log_limit.left_out = 0;
    } else {
        log_limit.left_out++;
    }
    g_mutex_unlock(&log_limit.mutex);
    return may;
}

static void log_line(const char *level, const char *format, va_list arguments)
{
    unsigned left_out;
    if (!may_log(&left_out))
        return;
    g_autoptr(GString) line = g_string_new(NULL);
    if (log_state.timestamps) {
        g_autoptr(GDateTime) now = g_date_time_new_now_utc();
        g_autofree char *time = g_date_time_format(now, "%Y-%m-%dT%H:%M:%S.%fZ ");
        g_string_append(line, time);
    }
    g_string_append_printf(line, "%s: %s", log_state.component, level);
    g_string_append_vprintf(line, format, arguments);
    if (left_out > 0)
        g_string_append_printf(line, " (%u lines before this were too many, and left out)",
                               left_out);
    g_string_append_c(line, '\n');
    write_line(line);
}

#define DEFINE_LOG(name, level)                                                                    \
    void name(const char *format, ...)                                                             \
    {                                                                                              \
        va_list arguments;                                                                         \
        va_start(arguments, format);                                                               \
        log_line(level, format, arguments);                                                        \
        va_end(arguments);                                                                         \
    }

DEFINE_LOG(hx_log_error, "error: ")
DEFINE_LOG(hx_log_warning, "warning: ")
DEFINE_LOG(hx_log_info, "")

void hx_log_debug(const char *format, ...)
{
    if (!log_state.debug)
        return;
    va_list arguments;
    va_start(arguments, format);
    log_line("debug: ", format, arguments);
    va_end(arguments);
}
