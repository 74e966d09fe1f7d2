/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/base/log.h"

#include <unistd.h>

static struct {
    const char *component;
    gboolean timestamps;
    gboolean debug;
} log_state = {.component = "helixvm"};

void hx_log_init(const char *component, gboolean timestamps)
{
    log_state.component = component;
    log_state.timestamps = timestamps;
    log_state.debug = g_strcmp0(g_getenv("HELIXVM_DEBUG"), "1") == 0;
}

static void log_line(const char *level, const char *format, va_list arguments)
{
    g_autoptr(GString) line = g_string_new(NULL);
    if (log_state.timestamps) {
        g_autoptr(GDateTime) now = g_date_time_new_now_utc();
        g_autofree char *time = g_date_time_format(now, "%Y-%m-%dT%H:%M:%S.%fZ ");
        g_string_append(line, time);
    }
    g_string_append_printf(line, "%s: %s", log_state.component, level);
    g_string_append_vprintf(line, format, arguments);
    g_string_append_c(line, '\n');
    /* One write a line, so that lines of several processes do not mix. */
    ssize_t ignored G_GNUC_UNUSED = write(STDERR_FILENO, line->str, line->len);
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
