/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/bench/encoding/ways.h"

#include <gio/gio.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "encoder/service/encoder.h"
#include "launcher/base/fd.h"

/* As helixvm-encoder's defaults. */
static const HxEncoderSettings SETTINGS = {
    .bitrate = 8000000,
    .fps_num = 30,
    .fps_den = 1,
    .keyframe_interval = 120,
    .preset = "superfast",
    .threads = 1,
};

static HxEncoder *open_encoder(const Sequence *sequence)
{
    HxEncoderSettings settings = SETTINGS;
    settings.width = sequence->converted[0].width;
    settings.height = sequence->converted[0].height;
    HxEncoder *encoder = NULL;
    g_assert_cmpint(hx_encoder_x264.open(&settings, &encoder), ==, 0);
    return encoder;
}

/* Returns the time, in µs. */
static gint64 encode(HxEncoder *encoder, const HxPicture *picture, gsize *ret_size)
{
    gint64 begun = g_get_monotonic_time();
    HxAccessUnit unit;
    g_assert_cmpint(hx_encoder_x264.encode(encoder, picture, false, &unit), ==, 0);
    *ret_size = unit.size;
    return g_get_monotonic_time() - begun;
}

static void measure_alone(const Sequence *sequence, gboolean converts, Measured *measured)
{
    HxEncoder *encoder = open_encoder(sequence);
    g_autofree guint8 *pixels = converts ? g_malloc(sequence->size) : NULL;
    HxPicture converted = {0};
    gsize size;
    double cpu = process_cpu(getpid());
    gint64 begun = g_get_monotonic_time();
    for (guint step = 0; step < measured->steps; step++) {
        guint picture = sequence_at(step);
        if (converts) {
            memcpy(pixels, sequence->pixels[picture], sequence->size);
            g_assert_cmpint(hx_picture_convert(&converted, HXFR_FORMAT_XR24, pixels,
                                               sequence->width, sequence->height, sequence->stride),
                            ==, 0);
        }
        encode(encoder, converts ? &converted : &sequence->converted[picture], &size);
    }
    measured->seconds_us = g_get_monotonic_time() - begun;
    measured->cpu = process_cpu(getpid()) - cpu;
    measured->memory = process_memory(getpid());
    hx_picture_clear(&converted);
    hx_encoder_x264.close(encoder);
}

void measure_bare(const Sequence *sequence, Measured *measured)
{
    measure_alone(sequence, FALSE, measured);
}

void measure_floor(const Sequence *sequence, Measured *measured)
{
    measure_alone(sequence, TRUE, measured);
}

static guint picture_at(const Course *course, guint step)
{
    return step < course->still ? 0 : sequence_at((step - course->still) / course->repeats);
}

static void ask(int fd, const Sequence *sequence, const Course *course, guint step)
{
    guint picture = picture_at(course, step);
    HxfrFrameRequest request = {
        .resource_id = course->as_pixels ? 0 : picture + 1,
        .width = sequence->width,
        .height = sequence->height,
        .format = HXFR_FORMAT_XR24,
        .stride = sequence->stride,
        .pts = step,
    };
    guint8 bytes[HXFR_FRAME_REQUEST_SIZE];
    hxfr_encode_frame_request(bytes, course->session_id,
                              course->flags | (course->as_pixels ? HXFR_FLAG_PIXELS : 0), &request,
                              course->as_pixels ? (uint32_t)sequence->size : 0);
    test_send(fd, bytes, sizeof bytes);
    if (course->as_pixels)
        test_send(fd, sequence->pixels[picture], sequence->size);
}

static void wait_until(gint64 at)
{
    gint64 now = g_get_monotonic_time();
    if (at > now)
        g_usleep((gulong)(at - now));
}

void measure_served(TestService *service, const Sequence *sequence, const Course *course,
                    Measured *measured)
{
    hx_autofd int fd = course->fd ?: test_connect(service);
    gsize size = 0;
    HxEncoder *beside = course->bare_us ? open_encoder(sequence) : NULL;
    g_autofree gint64 *asked_at = g_new0(gint64, measured->steps);
    gint64 begun = g_get_monotonic_time();
    double cpu = process_cpu(service->pid);
    for (guint asked = 0, step = 0; step < measured->steps; step++) {
        if (step && step == course->still) {
            begun = g_get_monotonic_time();
            cpu = process_cpu(service->pid);
        }
        for (; asked < MIN(step + course->in_flight, measured->steps); asked++) {
            if (course->rate && asked >= course->still)
                wait_until(begun + (asked - course->still) * G_TIME_SPAN_SECOND / course->rate);
            if (beside)
                course->bare_us[asked] =
                    encode(beside, &sequence->converted[picture_at(course, asked)], &size);
            asked_at[asked] = g_get_monotonic_time();
            ask(fd, sequence, course, asked);
        }
        g_autoptr(GByteArray) unit = g_byte_array_new();
        HxfrFrameResponse response = test_expect_frame(fd, course->session_id, unit);
        g_assert_cmpint(response.pts, ==, step);
        /* The same settings. */
        if (beside)
            g_assert_cmpuint(unit->len, ==, size);
        if (measured->us)
            measured->us[step] = g_get_monotonic_time() - asked_at[step];
        if (measured->units)
            measured->units[step] = g_steal_pointer(&unit);
    }
    measured->seconds_us = g_get_monotonic_time() - begun;
    measured->cpu = process_cpu(service->pid) - cpu;
    hx_encoder_x264.close(beside);
    if (course->ret_fd)
        *course->ret_fd = hx_steal_fd(&fd);
}

void measured_clear(Measured *measured)
{
    g_clear_pointer(&measured->us, g_free);
    for (guint i = 0; measured->units && i < measured->steps; i++)
        g_byte_array_unref(measured->units[i]);
    g_clear_pointer(&measured->units, g_free);
}

double process_cpu(pid_t pid)
{
    clockid_t clock;
    struct timespec time;
    g_assert_cmpint(clock_getcpuclockid(pid, &clock), ==, 0);
    g_assert_cmpint(clock_gettime(clock, &time), ==, 0);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

double process_memory(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/smaps_rollup", pid);
    g_autofree char *text = NULL;
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    const char *line = strstr(text, "\nRss:");
    g_assert_nonnull(line);
    return (double)g_ascii_strtoll(line + 5, NULL, 10) / 1024;
}

/* --- quality ------------------------------------------------------------------------------------
 */

static double squared_error(const guint8 *decoded, const HxPicture *picture)
{
    guint64 sum = 0;
    for (guint32 y = 0; y < picture->height; y++) {
        const guint8 *left = decoded + (gsize)y * picture->width;
        const guint8 *right = picture->y + (gsize)y * picture->stride;
        for (guint32 x = 0; x < picture->width; x++)
            sum += (guint64)((left[x] - right[x]) * (left[x] - right[x]));
    }
    return (double)sum;
}

static char *write_stream(const Measured *measured)
{
    GError *error = NULL;
    char *path = NULL;
    int fd = g_file_open_tmp("hx-bench-XXXXXX.h264", &path, &error);
    g_assert_no_error(error);
    for (guint i = 0; i < measured->steps; i++)
        g_assert_cmpint(hx_write_all(fd, measured->units[i]->data, measured->units[i]->len), ==, 0);
    close(fd);
    return path;
}

double shown_psnr(const Sequence *sequence, const Course *course, const Measured *measured)
{
    g_autofree char *path = write_stream(measured);
    GError *error = NULL;
    g_autoptr(GSubprocess) ffmpeg = g_subprocess_new(
        G_SUBPROCESS_FLAGS_STDOUT_PIPE, &error, "ffmpeg", "-v", "error", "-xerror", "-f", "h264",
        "-i", path, "-vsync", "passthrough", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-", NULL);
    g_assert_no_error(error);
    GInputStream *pipe = g_subprocess_get_stdout_pipe(ffmpeg);
    const HxPicture *first = &sequence->converted[0];
    gsize size = (gsize)first->width * first->height * 3 / 2, got;
    g_autofree guint8 *decoded = g_malloc0(size);
    double sum = 0;
    for (guint step = 0; step < measured->steps; step++) {
        if (measured->units[step]->len) {
            g_assert_true(g_input_stream_read_all(pipe, decoded, size, &got, NULL, NULL));
            g_assert_cmpuint(got, ==, size);
        }
        if (step >= course->still)
            sum += squared_error(decoded, &sequence->converted[picture_at(course, step)]);
    }
    g_assert_cmpint(g_input_stream_read(pipe, decoded, 1, NULL, NULL), ==, 0);
    g_assert_true(g_subprocess_wait_check(ffmpeg, NULL, &error));
    g_assert_cmpint(unlink(path), ==, 0);
    double mean = sum / ((double)first->width * first->height * (measured->steps - course->still));
    return 10 * log10(255.0 * 255.0 / MAX(mean, 1e-9));
}
