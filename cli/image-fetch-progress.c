/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/image-fetch-progress.h"

#include <stdio.h>
#include <unistd.h>

#include "cli/screen.h"

#include "launcher/base/printable.h"

/* Where there is no terminal. */
#define LINE_EVERY_US (10 * G_TIME_SPAN_SECOND)

/* "1 h 05 min", "3 min 20 s", "48 s" */
static char *duration(double seconds)
{
    guint64 left = seconds + 0.5;
    if (left >= 3600)
        return g_strdup_printf("%" G_GUINT64_FORMAT " h %02u min", left / 3600,
                               (unsigned)(left / 60 % 60));
    if (left >= 60)
        return g_strdup_printf("%u min %02u s", (unsigned)(left / 60), (unsigned)(left % 60));
    return g_strdup_printf("%u s", (unsigned)left);
}

char *hx_fetch_display_text(const HxDownloadProgress *download)
{
    GString *text = g_string_new(NULL);
    g_autofree char *done = g_format_size_full(download->done, G_FORMAT_SIZE_IEC_UNITS);
    g_autofree char *rate = g_format_size_full(download->rate, G_FORMAT_SIZE_IEC_UNITS);
    if (download->total) {
        g_autofree char *total = g_format_size_full(download->total, G_FORMAT_SIZE_IEC_UNITS);
        g_string_append_printf(text, "%3.0f %%, %s of %s", download->done * 100.0 / download->total,
                               done, total);
    } else {
        g_string_append(text, done);
    }
    g_string_append_printf(text, ", %s/s", rate);
    if (download->left >= 0 && download->left < 100 * 3600) {
        g_autofree char *left = duration(download->left);
        g_string_append_printf(text, ", %s left", left);
    }
    return g_string_free(text, FALSE);
}

static void clear_line(HxFetchDisplay *display)
{
    if (display->updating)
        fputs("\r\033[K", stderr);
    display->updating = FALSE;
}

void hx_fetch_display_end(HxFetchDisplay *display)
{
    clear_line(display);
    fflush(stderr);
}

/* A server may have had its hand in @text. */
static void print_line(HxFetchDisplay *display, const char *text)
{
    g_autofree char *safe = hx_printable(text);
    clear_line(display);
    fprintf(stderr, "  %s\n", safe);
    display->line_at = g_get_monotonic_time();
}

void hx_fetch_display(const char *phase, const HxDownloadProgress *download, void *data)
{
    HxFetchDisplay *display = data;
    if (display->quiet)
        return;
    g_autofree char *text = download ? hx_fetch_display_text(download) : NULL;
    g_autofree char *line =
        text ? g_strdup_printf("%s: %s", phase, text) : g_strdup_printf("%s ...", phase);
    gboolean is_new = display->phase != phase;
    display->phase = phase;
    if (download && download->note) {
        print_line(display, download->note);
    } else if (display->terminal) {
        glong room = MAX((glong)hx_screen_width(STDERR_FILENO) - 3, 1);
        g_autofree char *cut = g_utf8_substring(line, 0, MIN(g_utf8_strlen(line, -1), room));
        fprintf(stderr, "\r\033[K  %s", cut);
        display->updating = TRUE;
    } else if (is_new || (download && g_get_monotonic_time() - display->line_at > LINE_EVERY_US)) {
        print_line(display, line);
    }
    fflush(stderr);
}
