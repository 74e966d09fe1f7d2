/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pictures as encoders take them, NV12 of even size, and the conversion of desktop pixels to them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 8 bits a sample, BT.709, limited range (ITU-R BT.709 section 3, Y 16 to 235), chroma sited in the
 * middle of its four pixels. */
typedef struct {
    uint32_t width;  /* pixels, even */
    uint32_t height; /* lines, even */
    uint32_t stride; /* bytes, of both planes */
    uint8_t *y;      /* height lines */
    uint8_t *uv;     /* height / 2 lines of U, V, U, V, … */
    size_t capacity; /* of the one allocation that all of it is in */
    /* What the pixels were that it was made of: size and format, and a digest of each two lines. */
    uint32_t source_format;
    uint32_t source_width;
    uint32_t source_height;
    struct HxDigest *digests; /* height / 2 */
} HxPicture;

/* Convert @height lines of @width pixels at @pixels, @format (a DRM fourcc of protocol.h) with
 * @stride bytes from line to line, into @picture, whose memory is reused or grown as needed.  An
 * odd width or height is padded with a copy of the last column or line.  NV12 pixels are taken as
 * they are: BT.709 limited range is the caller's word.  Lines that the picture has been made of
 * already, known by their digests, are not converted again.  hxfr_pixels_size() bytes are read; the
 * caller has checked that it is not 0 and that they are there.  0, -EINVAL for another format,
 * -ENOMEM. */
int hx_picture_convert(HxPicture *picture, uint32_t format, const uint8_t *pixels, uint32_t width,
                       uint32_t height, uint32_t stride);

/* Whether both were made of pixels of the same size and format; nothing is, where one is empty. */
bool hx_picture_same_kind(const HxPicture *a, const HxPicture *b);

/* Whether both were made of the same pixels, by their digests (digest.h). */
bool hx_picture_equal(const HxPicture *a, const HxPicture *b);

/* Free the planes, not the struct; it is then empty, as {0} is. */
void hx_picture_clear(HxPicture *picture);
