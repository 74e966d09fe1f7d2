/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Progress on stderr: phases with their times, updated in place on a terminal, lines elsewhere. */
#pragma once

#include <glib.h>

typedef struct HxProgress HxProgress;

/* Show nothing at all where @quiet. */
HxProgress *hx_progress_new(gboolean quiet);
/* Ends a line that is being updated. */
void hx_progress_free(HxProgress *progress);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HxProgress, hx_progress_free)

/* @phase goes on: on a terminal it is shown until its end, elsewhere not. */
void hx_progress_begin(HxProgress *progress, const char *phase);
/* @phase took @seconds and gave @detail. */
void hx_progress_end(HxProgress *progress, const char *phase, double seconds, const char *detail);
/* A line of its own. */
void hx_progress_note(HxProgress *progress, const char *text);

/* From now on each line begins with the time of day: what follows comes when it comes. */
void hx_progress_stamp(HxProgress *progress);

/* Tell @listener of each phase that begins and of each note, shown or not. */
void hx_progress_listen(HxProgress *progress, void (*listener)(const char *text, void *data),
                        void *data);
