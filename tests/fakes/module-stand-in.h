/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A stand-in for QEMU with the module preloaded: a GLib main loop, the real libvirglrenderer by
 * dlopen(), and resources that it makes when it is told to. */
#pragma once

#include <stdint.h>

#define WIDTH 67 /* odd, so that a wrong stride shows */
#define HEIGHT 45

/* Resources that it makes, all with pattern_pixel(). */
enum {
    RES_BGRA = 1,
    RES_BGRX,
    RES_RGBA,
    RES_RGBX,
    RES_BGRA_SRGB,
    RES_BGRX_SRGB,
    RES_RGBA_SRGB,
    RES_R8,
    RES_LARGE,
    RES_BUFFER,
    RES_COUNT = RES_BUFFER,
    /* Blobs, which order 'b' makes. */
    RES_GUEST,     /* of memory in pieces */
    RES_HOST,      /* of Venus */
    RES_HOST_QEMU, /* the same, which QEMU has mapped */
    RES_NONE = 4711,
};
#define BLOB_STRIDE 320 /* more than a line takes */
#define BLOB_SIZE 16384

extern const struct StandInResource {
    uint32_t format, target, width, height;
} stand_in_resources[RES_COUNT + 1];

/* Bytes in memory order, so that each channel, column and line is told from its neighbours. */
static inline uint32_t pattern_pixel(uint32_t x, uint32_t y)
{
    return (x * 3 & 0xff) | (y * 5 & 0xff) << 8 | ((x + 2 * y) & 0xff) << 16 | 0xff000000u;
}

/* Take orders from standard input until it ends, a letter each; the same letter on standard output
 * says that it is done, or '!' that it failed.
 * i, v    initialise virglrenderer, without and with Venus
 * g       initialise it with callbacks that make its GL contexts, as QEMU does
 * r, b    make the textures and buffers, the blobs
 * u, n, d destroy RES_BGRA, make it anew, destroy RES_HOST_QEMU
 * m       unmap RES_HOST_QEMU
 * p       map RES_HOST, of which then no page is there
 * s       stop, by SIGSTOP
 * z, c    reset virglrenderer, clean it up
 * e       see whether the environment has nothing of the module's
 * Returns main()'s value. */
int stand_in(void);
