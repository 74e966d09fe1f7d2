/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The numbers of ITU-R BT.709, for all the ways to convert by them. */
#pragma once

/* Kr = 0.2126, Kb = 0.0722, Kg the rest: Y' spans 219 steps, Cb and Cr 224.  In 1/2^14; each chroma
 * row sums to zero so that grey stays grey. */
enum {
    SHIFT = 14,
    Y_R = 2992,
    Y_G = 10063,
    Y_B = 1016,
    CB_R = -1649,
    CB_G = -5547,
    CB_B = 7196,
    CR_R = 7196,
    CR_G = -6536,
    CR_B = -660,
};

#define ROUND(bits) (1 << ((bits) - 1))
