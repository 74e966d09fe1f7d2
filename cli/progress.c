/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "cli/screen.h"
#include "launcher/base/printable.h"

struct HxProgress {
    gboolean quiet;
    gboolean terminal;
    gboolean stamped;
    void (*listener)(const char *text, void *data);
    void *listener_data;
    gboolean updating; /* the cursor is on a line that will be overwritten */
};

HxProgress *hx_progress_new(gboolean quiet)
{
    HxProgress *progress = g_new0(HxProgress, 1);
    progress->quiet = quiet;
    progress->terminal = hx_screen_is(STDERR_FILENO);
    return progress;
}

static void tell_listener(HxProgress *progress, const char *text)
{
    if (progress->listener)
        progress->listener(text, progress->listener_data);
}

/* Returns the column behind it. */
static guint print_margin(HxProgress *progress)
{
    g_autoptr(GDateTime) now = progress->stamped ? g_date_time_new_now_local() : NULL;
    g_autofree char *time = now ? g_date_time_format(now, "%H:%M:%S") : NULL;
    return fprintf(stderr, "%s  ", time ? time : "");
}

static void clear_line(HxProgress *progress)
{
    if (progress->updating)
        fputs("\r\033[K", stderr);
    progress->updating = FALSE;
}

void hx_progress_free(HxProgress *progress)
{
    if (!progress)
        return;
    clear_line(progress);
    g_free(progress);
}

void hx_progress_begin(HxProgress *progress, const char *phase)
{
    tell_listener(progress, phase);
    if (progress->quiet || !progress->terminal)
        return;
    clear_line(progress);
    print_margin(progress);
    g_autofree char *printable = hx_printable(phase);
    fprintf(stderr, "%-14s ...", printable);
    fflush(stderr);
    progress->updating = TRUE;
}

void hx_progress_end(HxProgress *progress, const char *phase, double seconds, const char *detail)
{
    if (progress->quiet)
        return;
    clear_line(progress);
    guint column = print_margin(progress);
    g_autofree char *printable_phase = hx_printable(phase);
    g_autofree char *printable_detail = hx_printable(detail);
    column += fprintf(stderr, "%-14s %6.1f s  ", printable_phase, seconds);
    hx_screen_print(stderr, printable_detail, column);
}

void hx_progress_note(HxProgress *progress, const char *text)
{
    tell_listener(progress, text);
    if (progress->quiet)
        return;
    clear_line(progress);
    guint column = print_margin(progress);
    g_autofree char *printable = hx_printable(text);
    hx_screen_print(stderr, printable, column);
}

void hx_progress_stamp(HxProgress *progress)
{
    progress->stamped = TRUE;
}

void hx_progress_listen(HxProgress *progress, void (*listener)(const char *text, void *data),
                        void *data)
{
    progress->listener = listener;
    progress->listener_data = data;
}
