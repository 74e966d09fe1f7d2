/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What draws in a guest, for tests/bench/picture and the VM tests. */
#pragma once

#include <stdint.h>

/* The clock in the picture: a row along the upper edge, one CLOCK_ROW_PARTth of the picture high,
 * of CLOCK_CELLS cells of one width; white is 1.  First CLOCK_BITS bits of clock_us(), the highest
 * first, then CHECK_BITS that are the exclusive or of those bits' bytes and CHECK_SEED.
 * tests/PictureClock.pm reads it. */
#define CLOCK_BITS 40
#define CHECK_BITS 8
#define CHECK_SEED 0xa5u
#define CLOCK_CELLS (CLOCK_BITS + CHECK_BITS)
#define CLOCK_ROW_PART 20

/* CLOCK_MONOTONIC, in microseconds. */
uint64_t clock_us(void);

/* Answer each byte that comes to vsock port @port with clock_us(), eight bytes little-endian, for
 * one connection after another.  Returns where it cannot listen: the exit status. */
int answer_clock(unsigned port);

/* A Wayland client that fills the screen: in each frame that the compositor asks for, the clock and
 * something that moves.  Returns when the compositor is gone, or where there is none: the exit
 * status. */
int draw_clock(void);

/* Draw pictures of @width × @height off screen for @seconds, by the GPU's render node.  Prints
 * "begun", and at the end "frames=N seconds=S renderer=TEXT".  Returns the exit status. */
int draw_frames(double seconds, int width, int height);
