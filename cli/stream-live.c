/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/stream-live.h"

#include <stdio.h>
#include <unistd.h>

#include "cli/screen.h"

#define LINE_INTERVAL (2 * G_USEC_PER_SEC)
#define UPDATE_INTERVAL G_USEC_PER_SEC

gint64 hx_stream_live_interval(const HxStreamLive *live)
{
    if (live->json_lines)
        return LINE_INTERVAL;
    if (live->quiet)
        return 0;
    return hx_screen_is(STDERR_FILENO) ? UPDATE_INTERVAL : LINE_INTERVAL;
}

/* Takes @text. */
static void put_line(FILE *file, char *text)
{
    fprintf(file, "%s\n", text);
    fflush(file);
    g_free(text);
}

void hx_stream_live_end(HxStreamLive *live)
{
    if (live->updating) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
    }
    live->updating = FALSE;
}

void hx_stream_live_show(HxStreamLive *live, const HxStreamReport *report)
{
    if (live->json_lines)
        put_line(stdout, hx_stream_report_json(report, HX_STREAM_JSON_STATISTICS_LINE));
    if (live->quiet || live->json_lines)
        return;
    gboolean in_place = hx_screen_is(STDERR_FILENO);
    /* In the last column the cursor would go to the next line. */
    guint width = in_place ? hx_screen_width(STDERR_FILENO) - 1 : G_MAXUINT;
    g_autofree char *line = hx_stream_report_line(report, width);
    if (in_place)
        fprintf(stderr, "\r\033[K%s", line);
    else
        fprintf(stderr, "%s\n", line);
    fflush(stderr);
    live->updating = in_place;
}

void hx_stream_live_show_change(HxStreamLive *live, const HxStreamReport *report, guint index)
{
    if (live->json_lines)
        put_line(stdout, hx_stream_report_change_json(report, index));
    if (live->quiet || live->json_lines)
        return;
    g_autofree char *change = hx_stream_report_change(report, index);
    hx_stream_live_end(live);
    put_line(stderr, g_strconcat("source changed ", change, NULL));
}
