/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Colours of converted pictures against BT.709's definition, for every format and odd sizes. */
#include <glib.h>
#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "encoder/protocol.h"
#include "encoder/service/bt709.h"
#include "encoder/service/digest.h"
#include "encoder/service/picture.h"

static const double LIMIT = 0.51; /* of one step: rounding, no more */

static void luma_chroma(const double rgb[3], double ret_yuv[3])
{
    double r = rgb[0] / 255, g = rgb[1] / 255, b = rgb[2] / 255;
    double y = 0.2126 * r + 0.7152 * g + 0.0722 * b;
    ret_yuv[0] = 16 + 219 * y;
    ret_yuv[1] = 128 + 224 * (b - y) / (2 * (1 - 0.0722));
    ret_yuv[2] = 128 + 224 * (r - y) / (2 * (1 - 0.2126));
}

static void rgb_at(const guint8 *pixels, guint32 format, guint32 stride, guint32 x, guint32 y,
                   double ret_rgb[3])
{
    const guint8 *p = pixels + (gsize)y * stride + x * 4;
    gboolean bgr = format == HXFR_FORMAT_AR24 || format == HXFR_FORMAT_XR24;
    ret_rgb[0] = p[bgr ? 2 : 0];
    ret_rgb[1] = p[1];
    ret_rgb[2] = p[bgr ? 0 : 2];
}

static void check(guint32 format, guint32 width, guint32 height, guint32 stride)
{
    HxPicture picture = {0};
    gsize size = hxfr_pixels_size(format, width, height, stride);
    g_autofree guint8 *pixels = g_malloc(size); /* exactly: reading beyond shows with ASan */
    for (gsize i = 0; i < size; i++)
        pixels[i] = (guint8)g_test_rand_int();
    g_assert_cmpint(hx_picture_convert(&picture, format, pixels, width, height, stride), ==, 0);
    g_assert_cmpuint(picture.width, ==, (width + 1) / 2 * 2);
    g_assert_cmpuint(picture.height, ==, (height + 1) / 2 * 2);
    for (guint32 y = 0; y < picture.height; y += 2) {
        for (guint32 x = 0; x < picture.width; x += 2) {
            double sum[3] = {0}, yuv[3];
            for (int i = 0; i < 4; i++) {
                guint32 column = MIN(x + i % 2, width - 1), line = MIN(y + i / 2, height - 1);
                double rgb[3];
                rgb_at(pixels, format, stride, column, line, rgb);
                luma_chroma(rgb, yuv);
                guint8 got = picture.y[(gsize)(y + i / 2) * picture.stride + x + i % 2];
                g_assert_cmpfloat(fabs(got - yuv[0]), <, LIMIT);
                for (int channel = 0; channel < 3; channel++)
                    sum[channel] += rgb[channel] / 4;
            }
            luma_chroma(sum, yuv);
            const guint8 *uv = picture.uv + (gsize)(y / 2) * picture.stride + x;
            g_assert_cmpfloat(fabs(uv[0] - yuv[1]), <, LIMIT);
            g_assert_cmpfloat(fabs(uv[1] - yuv[2]), <, LIMIT);
        }
    }
    hx_picture_clear(&picture);
}

static void test_rgb(void)
{
    static const guint32 formats[] = {HXFR_FORMAT_AR24, HXFR_FORMAT_XR24, HXFR_FORMAT_AB24,
                                      HXFR_FORMAT_XB24};
    for (size_t i = 0; i < G_N_ELEMENTS(formats); i++) {
        check(formats[i], 64, 32, 256);
        check(formats[i], 71, 33, 71 * 4);
        check(formats[i], 70, 31, 70 * 4 + 3); /* a stride that aligns nothing */
        check(formats[i], 1, 1, 4);
        check(formats[i], 2, 1, 8);
        check(formats[i], 1, 2, 4);
    }
}

/* Ends of the range, and grey without colour. */
static void test_extremes(void)
{
    HxPicture picture = {0};
    for (guint value = 0; value < 256; value++) {
        guint8 pixels[16];
        memset(pixels, (int)value, sizeof pixels);
        g_assert_cmpint(hx_picture_convert(&picture, HXFR_FORMAT_XR24, pixels, 2, 2, 8), ==, 0);
        g_assert_cmpuint(picture.uv[0], ==, 128);
        g_assert_cmpuint(picture.uv[1], ==, 128);
        if (value == 0)
            g_assert_cmpuint(picture.y[0], ==, 16);
        if (value == 255)
            g_assert_cmpuint(picture.y[0], ==, 235);
    }
    hx_picture_clear(&picture);
}

static void test_nv12(void)
{
    const guint32 width = 7, height = 5, stride = 11;
    gsize size = hxfr_pixels_size(HXFR_FORMAT_NV12, width, height, stride);
    g_autofree guint8 *pixels = g_malloc(size);
    for (gsize i = 0; i < size; i++)
        pixels[i] = (guint8)i;
    HxPicture picture = {0};
    g_assert_cmpint(hx_picture_convert(&picture, HXFR_FORMAT_NV12, pixels, width, height, stride),
                    ==, 0);
    for (guint32 y = 0; y < 6; y++) {
        for (guint32 x = 0; x < 8; x++)
            g_assert_cmpuint(picture.y[y * picture.stride + x], ==,
                             pixels[MIN(y, 4) * stride + MIN(x, 6)]);
    }
    for (guint32 y = 0; y < 3; y++)
        g_assert_cmpmem(picture.uv + y * picture.stride, 8, pixels + (6 + y) * stride, 8);
    g_assert_cmpint(hx_picture_convert(&picture, 0x30303030, pixels, 2, 2, 8), ==, -EINVAL);
    hx_picture_clear(&picture);
}

/* A picture that is made again and again has what a new one has, whichever lines changed. */
static void test_again(void)
{
    static const guint32 formats[] = {HXFR_FORMAT_XR24, HXFR_FORMAT_AB24, HXFR_FORMAT_NV12};
    for (guint i = 0; i < 300; i++) {
        static HxPicture kept;
        const guint32 width = 30 + i / 100, height = 17 + i / 150, stride = 140;
        guint32 format = formats[i / 25 % G_N_ELEMENTS(formats)];
        gsize size = hxfr_pixels_size(format, width, height, stride);
        static guint8 pixels[140 * 30];
        g_assert_cmpuint(size, <=, sizeof pixels);
        pixels[g_test_rand_int_range(0, (gint)size)]++;
        HxPicture fresh = {0};
        g_assert_cmpint(hx_picture_convert(&kept, format, pixels, width, height, stride), ==, 0);
        g_assert_cmpint(hx_picture_convert(&fresh, format, pixels, width, height, stride), ==, 0);
        g_assert_true(hx_picture_equal(&kept, &fresh));
        for (guint32 y = 0; y < fresh.height; y++)
            g_assert_cmpmem(kept.y + y * kept.stride, kept.width, fresh.y + y * fresh.stride,
                            fresh.width);
        for (guint32 y = 0; y < fresh.height / 2; y++)
            g_assert_cmpmem(kept.uv + y * kept.stride, kept.width, fresh.uv + y * fresh.stride,
                            fresh.width);
        hx_picture_clear(&fresh);
        if (i == 299)
            hx_picture_clear(&kept);
    }
}

static gboolean same_digest(HxDigest a, HxDigest b)
{
    return a.sums[0] == b.sums[0] && a.sums[1] == b.sums[1];
}

/* Every bit of a line counts, and the order of lines. */
static void test_digest(void)
{
    static const gsize sizes[] = {1, 2, 4, 63, 64, 65, 200, 7680};
    for (gsize i = 0; i < G_N_ELEMENTS(sizes); i++) {
        gsize size = sizes[i];
        g_autofree guint8 *line = g_malloc(size);
        for (gsize j = 0; j < size; j++)
            line[j] = (guint8)g_test_rand_int();
        HxDigest digest = hx_digest_line(line, size);
        g_assert_true(same_digest(digest, hx_digest_line(line, size)));
        for (gsize bit = 0; bit < 8 * size; bit += size > 200 ? 37 : 1) {
            line[bit / 8] ^= (guint8)(1 << bit % 8);
            HxDigest other = hx_digest_line(line, size);
            g_assert_false(same_digest(digest, other));
            g_assert_false(
                same_digest(hx_digest_join(digest, other), hx_digest_join(other, digest)));
            line[bit / 8] ^= (guint8)(1 << bit % 8);
        }
    }
}

/* Pixels against a page that cannot be read, before them or behind: nothing beyond them is. */
static void test_bounds(void)
{
    const gsize page = (gsize)sysconf(_SC_PAGESIZE), room = 4 * page;
    guint8 *all = mmap(NULL, room + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    g_assert_true(all != MAP_FAILED);
    guint8 *begin = all + page, *end = begin + room;
    g_assert_cmpint(mprotect(begin, room, PROT_READ | PROT_WRITE), ==, 0);
    for (guint32 width = 1; width <= 130; width++) {
        const guint32 stride = width * 4;
        guint8 y[2][130], uv[130];
        for (gsize size = stride - 3; size <= stride; size++)
            g_assert_true(
                same_digest(hx_digest_line(begin, size), hx_digest_line(end - size, size)));
        for (const HxBt709Way *way = hx_bt709_ways; way->name; way++) {
            if (!way->is_supported())
                continue;
            way->convert(y[0], y[1], uv, begin, begin + stride, width, false);
            way->convert(y[0], y[1], uv, end - 2 * stride, end - stride, width, true);
        }
        HxPicture picture = {0};
        gsize size = hxfr_pixels_size(HXFR_FORMAT_NV12, width, 17, width + 1);
        g_assert_cmpint(
            hx_picture_convert(&picture, HXFR_FORMAT_NV12, end - size, width, 17, width + 1), ==,
            0);
        g_assert_cmpint(hx_picture_convert(&picture, HXFR_FORMAT_NV12, begin, width, 17, width + 1),
                        ==, 0);
        hx_picture_clear(&picture);
    }
    munmap(all, room + 2 * page);
}

/* Each way that this machine has gives what the plain one does, of any width. */
static void test_ways(void)
{
    enum { WIDTH = 200 };
    guint8 pixels[2][WIDTH * 4], expected[3][WIDTH], got[3][WIDTH];
    const HxBt709Way *plain = hx_bt709_ways;
    while (plain[1].name)
        plain++;
    for (guint i = 0; i < sizeof pixels; i++)
        pixels[i / sizeof pixels[0]][i % sizeof pixels[0]] =
            (guint8)(g_test_rand_bit()   ? g_test_rand_int()
                     : g_test_rand_bit() ? 255
                                         : 0);
    for (const HxBt709Way *way = hx_bt709_ways; way < plain; way++) {
        g_test_message("%s: %s", way->name, way->is_supported() ? "compared" : "not here");
        for (guint32 width = 0; width <= WIDTH && way->is_supported(); width++) {
            for (guint red_first = 0; red_first < 2; red_first++) {
                guint32 done =
                    way->convert(got[0], got[1], got[2], pixels[0], pixels[1], width, red_first);
                g_assert_cmpuint(done, <=, width);
                g_assert_cmpuint(done % 2, ==, 0);
                g_assert_cmpuint(width - done, <, 32);
                plain->convert(expected[0], expected[1], expected[2], pixels[0], pixels[1], done,
                               red_first);
                for (guint plane = 0; plane < 3; plane++)
                    g_assert_cmpmem(got[plane], done, expected[plane], done);
            }
        }
    }
}

static void test_equal(void)
{
    guint8 pixels[16 * 16 * 4] = {0};
    HxPicture a = {0}, b = {0};
    g_assert_false(hx_picture_equal(&a, &b));
    hx_picture_convert(&a, HXFR_FORMAT_XR24, pixels, 16, 16, 64);
    g_assert_false(hx_picture_equal(&a, &b));
    hx_picture_convert(&b, HXFR_FORMAT_XR24, pixels, 16, 16, 64);
    g_assert_true(hx_picture_equal(&a, &b));
    pixels[sizeof pixels - 2] = 255;
    hx_picture_convert(&b, HXFR_FORMAT_XR24, pixels, 16, 16, 64);
    g_assert_false(hx_picture_equal(&a, &b));
    hx_picture_convert(&b, HXFR_FORMAT_XR24, pixels, 16, 14, 64);
    g_assert_false(hx_picture_equal(&a, &b));
    hx_picture_clear(&a);
    hx_picture_clear(&b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/picture/rgb", test_rgb);
    g_test_add_func("/picture/extremes", test_extremes);
    g_test_add_func("/picture/nv12", test_nv12);
    g_test_add_func("/picture/again", test_again);
    g_test_add_func("/picture/digest", test_digest);
    g_test_add_func("/picture/bounds", test_bounds);
    g_test_add_func("/picture/ways", test_ways);
    g_test_add_func("/picture/equal", test_equal);
    return g_test_run();
}
