/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/bench/encoding/sequence.h"

#include "encoder/protocol.h"

#define GLYPH_WIDTH 8
#define GLYPH_HEIGHT 14
#define LINE_HEIGHT 20
#define TITLE_HEIGHT 28

typedef struct {
    guint32 *pixels;
    gint width, height;
} Canvas;

typedef struct {
    gint x, y, width, height;
} Rectangle;

static guint32 scramble(guint32 value)
{
    value = (value ^ value >> 16) * 0x45d9f3b;
    value = (value ^ value >> 16) * 0x45d9f3b;
    return value ^ value >> 16;
}

static void fill(Canvas *canvas, Rectangle area, guint32 colour)
{
    for (gint y = MAX(area.y, 0); y < MIN(area.y + area.height, canvas->height); y++) {
        for (gint x = MAX(area.x, 0); x < MIN(area.x + area.width, canvas->width); x++)
            canvas->pixels[y * canvas->width + x] = colour;
    }
}

static void draw_background(Canvas *canvas)
{
    for (gint y = 0; y < canvas->height; y++) {
        for (gint x = 0; x < canvas->width; x++)
            canvas->pixels[y * canvas->width + x] = (guint32)(32 + x * 64 / canvas->width) << 16 |
                                                    (guint32)(64 + y * 96 / canvas->height) << 8 |
                                                    0x90;
    }
}

/* Strokes in a cell, with the grey edges of smoothed type. */
static void draw_glyph(Canvas *canvas, gint left, gint top, guint32 code)
{
    for (gint y = 0; y < GLYPH_HEIGHT; y++) {
        for (gint x = 0; x < GLYPH_WIDTH - 2; x++) {
            guint32 bits = scramble(code * 64 + (guint32)(y / 3 * 4 + x / 2));
            if (bits & 1)
                fill(canvas, (Rectangle){left + x, top + y, 1, 1}, bits & 6 ? 0x202020 : 0x808080);
        }
    }
}

/* The first @length characters of a text of @columns in a line, from its line @first on. */
static void draw_text(Canvas *canvas, Rectangle area, guint first, guint length)
{
    guint columns = (guint)area.width / GLYPH_WIDTH, lines = (guint)area.height / LINE_HEIGHT;
    for (guint i = 0; i < MIN(length, columns * lines); i++) {
        guint32 code = scramble(first * columns + i) % 97;
        guint line_end = columns - scramble(first + i / columns) % (columns / 2);
        if (code % 6 && i % columns < line_end)
            draw_glyph(canvas, area.x + (gint)(i % columns) * GLYPH_WIDTH,
                       area.y + (gint)(i / columns) * LINE_HEIGHT, code);
    }
}

static Rectangle draw_window(Canvas *canvas, Rectangle area)
{
    fill(canvas, area, 0x404040);
    fill(canvas, (Rectangle){area.x + 1, area.y + 1, area.width - 2, TITLE_HEIGHT}, 0x3070c0);
    Rectangle inside = {area.x + 1, area.y + TITLE_HEIGHT, area.width - 2,
                        area.height - TITLE_HEIGHT - 1};
    fill(canvas, inside, 0xf4f4f0);
    return (Rectangle){inside.x + 8, inside.y + 8, inside.width - 16, inside.height - 16};
}

static void draw_motion(Canvas *canvas, guint step)
{
    for (gint y = 0; y < canvas->height; y++) {
        for (gint x = 0; x < canvas->width; x++) {
            guint u = (guint)x + step * 7, v = (guint)y + step * 3;
            guint wave = (u * u / 512 + v * v / 256 + step * 16) & 0xff;
            guint grain = scramble(u / 2 * 8191 + v / 2) & 0xf;
            canvas->pixels[y * canvas->width + x] =
                (wave & 0xf0) << 16 | ((u / 4 + v / 4) & 0xff) << 8 | (0x60 + grain);
        }
    }
}

static void draw(Canvas *canvas, SequenceKind kind, guint step)
{
    gint w = canvas->width, h = canvas->height;
    if (kind == SEQUENCE_MOTION) {
        draw_motion(canvas, step);
        return;
    }
    draw_background(canvas);
    Rectangle left = draw_window(canvas, (Rectangle){w / 40, h / 20, w / 2, h * 17 / 20});
    draw_text(canvas, left, kind == SEQUENCE_SCROLLING ? step : 0, G_MAXUINT);
    Rectangle right = {w * 5 / 9, h / 4, w / 3, h / 2};
    if (kind == SEQUENCE_DRAG) {
        right.x -= (gint)step * w / 60;
        right.y += (gint)step * h / 90;
    }
    right = draw_window(canvas, right);
    draw_text(canvas, right, 1000,
              kind == SEQUENCE_TYPING ? (guint)right.width / GLYPH_WIDTH * 3 + step : 400);
}

const char *sequence_name(SequenceKind kind)
{
    static const char *const names[] = {"typing", "scrolling", "drag", "motion"};
    return names[kind];
}

Sequence *sequence_new(SequenceKind kind, guint32 width, guint32 height)
{
    Sequence *sequence = g_new0(Sequence, 1);
    sequence->width = width;
    sequence->height = height;
    sequence->stride = width * 4;
    sequence->size = (gsize)sequence->stride * height;
    for (guint i = 0; i < SEQUENCE_PICTURES; i++) {
        sequence->pixels[i] = g_malloc(sequence->size);
        Canvas canvas = {(guint32 *)(void *)sequence->pixels[i], (gint)width, (gint)height};
        draw(&canvas, kind, i);
        int r = hx_picture_convert(&sequence->converted[i], HXFR_FORMAT_XR24, sequence->pixels[i],
                                   width, height, sequence->stride);
        g_assert_cmpint(r, ==, 0);
    }
    return sequence;
}

void sequence_free(Sequence *sequence)
{
    for (guint i = 0; i < SEQUENCE_PICTURES; i++) {
        g_free(sequence->pixels[i]);
        hx_picture_clear(&sequence->converted[i]);
    }
    g_free(sequence);
}

guint sequence_at(guint step)
{
    guint place = step % (2 * SEQUENCE_PICTURES - 2);
    return place < SEQUENCE_PICTURES ? place : 2 * SEQUENCE_PICTURES - 2 - place;
}
