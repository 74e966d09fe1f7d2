/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/transfer-progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/screen.h"

/* Where there is no terminal, a line so often. */
#define LINE_EVERY (10 * G_TIME_SPAN_SECOND)
/* A rate over less says nothing. */
#define RATE_AFTER 0.5
/* So much of a name is shown at least, columns. */
#define NAME_MIN 8

struct HxTransferProgress {
    gboolean quiet;
    gboolean terminal;
    gboolean updating; /* the cursor is on a line that will be overwritten */
    char *what;
    gint64 begun; /* of @what, monotonic µs */
    gint64 said;  /* the last line */
};

char *hx_transfer_format_size(guint64 bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
    if (bytes < 1024)
        return g_strdup_printf("%" G_GUINT64_FORMAT " B", bytes);
    double value = bytes / 1024.0;
    size_t unit = 0;
    while (value >= 999.95 && unit + 1 < G_N_ELEMENTS(units)) {
        value /= 1024;
        unit++;
    }
    return g_strdup_printf("%.1f %s", value, units[unit]);
}

static char *format_left(double seconds)
{
    guint64 s = seconds + 0.999;
    if (s < 100)
        return g_strdup_printf("%" G_GUINT64_FORMAT " s left", s);
    if (s < 6000)
        return g_strdup_printf("%" G_GUINT64_FORMAT " min left", s / 60);
    return g_strdup_printf("%" G_GUINT64_FORMAT " h left", s / 3600);
}

/* The end of @text, which tells more of a path than its begin, in @columns. */
static char *shorten(const char *text, glong columns)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    g_autoptr(GString) clean = g_string_new(NULL);
    for (const char *c = valid; *c; c = g_utf8_next_char(c)) {
        gunichar point = g_utf8_get_char(c);
        g_string_append_unichar(clean, g_unichar_isprint(point) ? point : '?');
    }
    glong length = g_utf8_strlen(clean->str, -1);
    if (length <= columns)
        return g_string_free(g_steal_pointer(&clean), FALSE);
    return g_strdup_printf("…%s", g_utf8_offset_to_pointer(clean->str, length - columns + 1));
}

/* Takes @figure, where there is room for it beside some of the name. */
static void add_figure(GString *figures, guint width, char *figure)
{
    if (strlen("  ") + NAME_MIN + figures->len + strlen(figure) <= width)
        g_string_append(figures, figure);
    g_free(figure);
}

char *hx_transfer_format_line(const char *what, guint64 done, guint64 size, double seconds,
                              guint width)
{
    g_autoptr(GString) figures = g_string_new(NULL);
    g_autofree char *amount = hx_transfer_format_size(done);
    double rate = seconds > RATE_AFTER ? done / seconds : 0;
    g_autofree char *per_second = hx_transfer_format_size(rate);
    g_autofree char *left = rate > 0 && size > done ? format_left((size - done) / rate) : NULL;
    add_figure(figures, width, g_strdup_printf("  %9s", amount));
    if (size > 0)
        add_figure(figures, width, g_strdup_printf("  %3.0f%%", MIN(100.0 * done / size, 100)));
    if (rate > 0)
        add_figure(figures, width, g_strdup_printf("  %9s/s", per_second));
    if (left)
        add_figure(figures, width, g_strdup_printf("  %s", left));
    glong room = (glong)width - 2 - (glong)figures->len;
    g_autofree char *name = shorten(what, MAX(room, 1));
    return g_strdup_printf("  %s%s", name, figures->str);
}

HxTransferProgress *hx_transfer_progress_new(gboolean quiet)
{
    HxTransferProgress *progress = g_new0(HxTransferProgress, 1);
    progress->quiet = quiet;
    progress->terminal = hx_screen_is(STDERR_FILENO);
    return progress;
}

static void clear_line(HxTransferProgress *progress)
{
    if (progress->updating)
        fputs("\r\033[K", stderr);
    progress->updating = FALSE;
}

void hx_transfer_progress_free(HxTransferProgress *progress)
{
    if (!progress)
        return;
    clear_line(progress);
    fflush(stderr);
    g_free(progress->what);
    g_free(progress);
}

void hx_transfer_progress_update(HxTransferProgress *progress, const char *what, guint64 done,
                                 guint64 size)
{
    gint64 now = g_get_monotonic_time();
    if (progress->quiet)
        return;
    if (g_strcmp0(progress->what, what) != 0) {
        g_free(progress->what);
        progress->what = g_strdup(what);
        progress->begun = progress->said = now;
    }
    if (!progress->terminal && now - progress->said < LINE_EVERY)
        return;
    progress->said = now;
    g_autofree char *line =
        hx_transfer_format_line(what, done, size, (now - progress->begun) / 1e6,
                                progress->terminal ? hx_screen_width(STDERR_FILENO) - 1 : 120);
    if (progress->terminal)
        fprintf(stderr, "\r\033[K%s", line);
    else
        fprintf(stderr, "%s\n", line);
    fflush(stderr);
    progress->updating = progress->terminal;
}

void hx_transfer_progress_note(HxTransferProgress *progress, const char *text)
{
    if (progress->quiet)
        return;
    clear_line(progress);
    g_autofree char *clean = shorten(text, G_MAXINT);
    fprintf(stderr, "  %s\n", clean);
}
