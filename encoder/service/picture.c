/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "encoder/service/picture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "encoder/protocol.h"
#include "encoder/service/bt709.h"
#include "encoder/service/digest.h"

_Static_assert(HX_DIGEST_LINE_MAX >= HXFR_DIMENSION_MAX * 4, "a digest takes any line");

/* The pixels that a picture is made of. */
typedef struct {
    const uint8_t *pixels;
    uint32_t format, width, height, stride;
} Source;

/* Make room for the picture.  What its lines were made of is kept where it is of the same kind. */
static int reshape(HxPicture *picture, const Source *source)
{
    uint32_t width = (source->width + 1) & ~1u, height = (source->height + 1) & ~1u;
    if (picture->source_format == source->format && picture->source_width == source->width &&
        picture->source_height == source->height)
        return 0;
    uint32_t stride = (width + 63) & ~63u;
    size_t planes_size = ((size_t)stride * height * 3 / 2 + 63) & ~(size_t)63;
    size_t size = planes_size + height / 2 * sizeof(HxDigest);
    if (size > picture->capacity) {
        void *planes = NULL;
        if (posix_memalign(&planes, 64, size) != 0)
            return -ENOMEM;
        hx_picture_clear(picture);
        picture->y = planes;
        picture->capacity = size;
    }
    picture->width = width;
    picture->height = height;
    picture->stride = stride;
    picture->uv = picture->y + (size_t)stride * height;
    picture->digests = (HxDigest *)(void *)(picture->y + planes_size);
    picture->source_format = 0; /* none of its lines are made */
    return 0;
}

/* Lines @line and @line + 1 of the picture; @bottom is @top where the last line is padding. */
static void convert_lines(HxPicture *picture, uint32_t line, const uint8_t *top,
                          const uint8_t *bottom, uint32_t width, bool red_first)
{
    uint8_t *y = picture->y + (size_t)line * picture->stride;
    uint8_t *uv = picture->uv + (size_t)(line / 2) * picture->stride;
    hx_bt709_convert(y, y + picture->stride, uv, top, bottom, width, red_first);
    if (width % 2) {
        /* The column beside it is a copy. */
        uint8_t last[2][8], ignored[2][2];
        for (size_t i = 0; i < 2; i++) {
            memcpy(last[0] + 4 * i, top + (size_t)(width - 1) * 4, 4);
            memcpy(last[1] + 4 * i, bottom + (size_t)(width - 1) * 4, 4);
        }
        hx_bt709_convert(ignored[0], ignored[1], uv + width - 1, last[0], last[1], 2, red_first);
    }
}

static void copy_lines(HxPicture *picture, uint32_t line, const uint8_t *top, const uint8_t *bottom,
                       const uint8_t *uv, uint32_t width)
{
    uint8_t *y = picture->y + (size_t)line * picture->stride;
    memcpy(y, top, width);
    memcpy(y + picture->stride, bottom, width);
    memcpy(picture->uv + (size_t)(line / 2) * picture->stride, uv, picture->width);
}

/* Lines @line and @line + 1, where they differ from what the picture was @made of. */
static void take_lines(HxPicture *picture, const Source *source, uint32_t line, bool made)
{
    bool planar = source->format == HXFR_FORMAT_NV12;
    size_t size = planar ? source->width : (size_t)source->width * 4;
    const uint8_t *top = source->pixels + (size_t)line * source->stride;
    const uint8_t *bottom = line + 1 < source->height ? top + source->stride : top;
    const uint8_t *uv =
        source->pixels + (size_t)source->stride * (picture->height + line / 2); /* of NV12 */
    /* In the order of their addresses, which is how memory is fast. */
    HxDigest digest = hx_digest_line(top, size);
    digest = hx_digest_join(digest, hx_digest_line(bottom, size));
    if (planar)
        digest = hx_digest_join(digest, hx_digest_line(uv, picture->width));
    HxDigest *old = &picture->digests[line / 2];
    if (made && memcmp(old, &digest, sizeof digest) == 0)
        return;
    *old = digest;
    bool red_first = source->format == HXFR_FORMAT_AB24 || source->format == HXFR_FORMAT_XB24;
    if (planar)
        copy_lines(picture, line, top, bottom, uv, source->width);
    else
        convert_lines(picture, line, top, bottom, source->width, red_first);
    if (source->width % 2) {
        uint8_t *end = picture->y + (size_t)line * picture->stride + source->width;
        end[0] = end[-1];
        end[picture->stride] = end[picture->stride - 1];
    }
}

int hx_picture_convert(HxPicture *picture, uint32_t format, const uint8_t *pixels, uint32_t width,
                       uint32_t height, uint32_t stride)
{
    if (!hxfr_pixels_size(format, width, height, stride))
        return -EINVAL;
    const Source source = {pixels, format, width, height, stride};
    int r = reshape(picture, &source);
    if (r < 0)
        return r;
    for (uint32_t line = 0; line < picture->height; line += 2)
        take_lines(picture, &source, line, picture->source_format != 0);
    picture->source_format = format;
    picture->source_width = width;
    picture->source_height = height;
    return 0;
}

bool hx_picture_same_kind(const HxPicture *a, const HxPicture *b)
{
    return a->source_format && a->source_format == b->source_format &&
           a->source_width == b->source_width && a->source_height == b->source_height;
}

bool hx_picture_equal(const HxPicture *a, const HxPicture *b)
{
    return hx_picture_same_kind(a, b) &&
           memcmp(a->digests, b->digests, a->height / 2 * sizeof(HxDigest)) == 0;
}

void hx_picture_clear(HxPicture *picture)
{
    free(picture->y);
    *picture = (HxPicture){0};
}
