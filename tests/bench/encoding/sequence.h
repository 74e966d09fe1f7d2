/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sequences of pictures as desktops show them, the same ones each time. */
#pragma once

#include <glib.h>

#include "encoder/service/picture.h"

typedef enum {
    SEQUENCE_TYPING,    /* a letter more in a window of text */
    SEQUENCE_SCROLLING, /* the text of a window that fills half of the screen moves by a line */
    SEQUENCE_DRAG,      /* a window moves over others */
    SEQUENCE_MOTION,    /* all of the screen changes, as in a game or a film */
    SEQUENCE_COUNT,
} SequenceKind;

/* Different pictures in a sequence; it is played forth and back, so that none follows itself. */
#define SEQUENCE_PICTURES 16

typedef struct {
    guint32 width, height, stride;
    gsize size;
    guint8 *pixels[SEQUENCE_PICTURES]; /* BGRX */
    HxPicture converted[SEQUENCE_PICTURES];
} Sequence;

const char *sequence_name(SequenceKind kind);

/* For sequence_free(). */
Sequence *sequence_new(SequenceKind kind, guint32 width, guint32 height);
void sequence_free(Sequence *sequence);

/* Which of its pictures the @step th is, from 0. */
guint sequence_at(guint step);
