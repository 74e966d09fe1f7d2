/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What comes of a stream's frames: helixvm-recorder's files, as ffprobe and ffmpeg see them. */
#include "cli/stream-files.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/stream-recorder.h"
#include "launcher/base/error.h"
#include "launcher/base/json.h"
#include "launcher/base/sanitised.h"
#include "tests/fakes/cli-pictures.h"

#define FRAMES 30
#define KEYFRAMES 3 /* FRAMES / PICTURE_GROUP */
#define TINY_FRAMES 700000
#define TINY_FRAMES_KIB (64 * 1024) /* of memory, libraries and all */

static char *directory, *recorder_program;

/* Its answer without the newline; for g_free. */
static char *answer_of(const char *command)
{
    char *out = NULL;
    int status;
    g_autoptr(GError) error = NULL;
    const char *argv[] = {"sh", "-c", command, NULL};
    g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out, NULL, &status,
                 &error);
    g_assert_no_error(error);
    if (status != 0)
        g_error("%s: status %d", command, status);
    return g_strchomp(out);
}

static void assert_answer(const char *expected, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void assert_answer(const char *expected, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *command = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    g_autofree char *answer = answer_of(command);
    g_assert_cmpstr(answer, ==, expected);
}

/* --- frames -------------------------------------------------------------------------------------
 */

static void record(const HxStreamFrame *frame, void *data)
{
    g_autoptr(GError) error = NULL;
    hx_stream_recorder_add(data, frame, &error);
    g_assert_no_error(error);
}

/* As if each were a keyframe, also without its parameter sets. */
static void record_as_key(const HxStreamFrame *frame, void *data)
{
    HxStreamFrame key = *frame;
    key.flags |= HX_STREAM_FRAME_KEY;
    record(&key, data);
}

/* --- recordings ---------------------------------------------------------------------------------
 */

static int open_new(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    g_assert_cmpint(fd, >=, 0);
    return fd;
}

/* Record @count frames into @path, and a snapshot of the last. */
static char *make_recording(const char *format, const char *name, int count, const char *snapshot)
{
    g_autoptr(GError) error = NULL;
    char *path = g_build_filename(directory, name, NULL);
    HxStreamRecorderFiles files = {.program = recorder_program,
                                   .format = format,
                                   .recording_fd = open_new(path),
                                   .snapshot_fd = snapshot ? open_new(snapshot) : -1};
    g_autoptr(HxStreamRecorder) recorder = hx_stream_recorder_start(&files, &error);
    g_assert_no_error(error);
    pictures_encode(count, snapshot ? record_as_key : record, recorder);
    hx_stream_recorder_finish(recorder, &error);
    g_assert_no_error(error);
    close(files.recording_fd);
    if (snapshot)
        close(files.snapshot_fd);
    return path;
}

static void check_recording(const char *path, const char *format)
{
    g_autoptr(JsonObject) root = NULL;
    g_autofree char *command = g_strdup_printf(
        "ffprobe -v error -count_packets -show_streams -show_format -of json %s", path);
    g_autofree char *text = answer_of(command);
    root = hx_json_parse_object(text, -1);
    JsonObject *stream = json_array_get_object_element(hx_json_array(root, "streams"), 0);
    JsonObject *container = hx_json_object(root, "format");
    g_assert_nonnull(strstr(hx_json_string(container, "format_name"), format));
    g_assert_cmpstr(hx_json_string(stream, "codec_name"), ==, "h264");
    g_assert_cmpstr(hx_json_string(stream, "profile"), ==, "High");
    g_assert_cmpstr(hx_json_string(stream, "is_avc"), ==, "true");
    g_assert_cmpint(hx_json_integer(stream, "width"), ==, PICTURE_WIDTH);
    g_assert_cmpint(hx_json_integer(stream, "height"), ==, PICTURE_HEIGHT);
    g_assert_cmpstr(hx_json_string(stream, "nb_read_packets"), ==, G_STRINGIFY(FRAMES));
    double duration = g_ascii_strtod(hx_json_string(container, "duration"), NULL);
    g_assert_cmpfloat(duration, >=, (FRAMES - 1) * 0.04);
    assert_answer(G_STRINGIFY(KEYFRAMES),
                  "ffprobe -v error -show_entries packet=flags -of csv=p=0 %s | grep -c K", path);
    assert_answer("0.000000,0.040000",
                  "ffprobe -v error -show_entries packet=pts_time -of csv=p=0 %s | head -n 2 | "
                  "paste -sd, | sed 's/,,/,/g; s/,$//'",
                  path);
    assert_answer("", "ffmpeg -v warning -i %s -f null - 2>&1", path);
}

static void test_mp4(void)
{
    g_autofree char *path = make_recording("mp4", "a.mp4", FRAMES, NULL);
    check_recording(path, "mp4");
}

static void test_matroska(void)
{
    g_autofree char *path = make_recording("matroska", "a.mkv", FRAMES, NULL);
    check_recording(path, "matroska");
}

/* Frame n is of one grey, by which the last one is known. */
static void test_snapshot(void)
{
    g_autofree char *png = g_build_filename(directory, "last.png", NULL);
    g_autofree char *path = make_recording("mp4", "b.mp4", FRAMES - 3, png);
    assert_answer("png,322,182",
                  "ffprobe -v error -show_entries stream=codec_name,width,height "
                  "-of csv=p=0 %s",
                  png);
    g_autofree char *command =
        g_strdup_printf("ffmpeg -v error -i %s -f rawvideo -pix_fmt gray - | od -An -tu1 -N1", png);
    g_autofree char *grey = answer_of(command);
    /* 16 to 235 of the codec's are 0 to 255 of the picture's. */
    double expected = (PICTURE_GREY(FRAMES - 4) - 16) * 255 / 219.0;
    g_assert_cmpfloat_with_epsilon(g_ascii_strtod(grey, NULL), expected, 3);
}

/* Whoever hands the frames over may be killed at any time, amid one: the file is complete. */
static void test_cut(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_build_filename(directory, "cut.mp4", NULL);
    HxStreamRecorderFiles files = {.program = recorder_program,
                                   .format = "mp4",
                                   .recording_fd = open_new(path),
                                   .snapshot_fd = -1};
    pid_t pid = fork();
    if (pid == 0) {
        HxStreamRecorder *recorder = hx_stream_recorder_start(&files, &error);
        g_assert_no_error(error);
        pictures_encode(FRAMES, record, recorder);
        kill(getpid(), SIGKILL);
    }
    g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
    /* Its recorder is nobody's child now. */
    gint64 end = g_get_monotonic_time() + 30 * G_USEC_PER_SEC;
    g_autofree char *command = g_strdup_printf("ffprobe -v quiet %s || echo incomplete", path);
    for (;;) {
        g_autofree char *said = answer_of(command);
        if (!*said)
            break;
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(20000);
    }
    check_recording(path, "mp4");
    close(files.recording_fd);
}

/* --- the session's clock ------------------------------------------------------------------------
 */

typedef struct {
    HxStreamRecorder *recorder;
    const guint64 *clock; /* of the next frame, µs */
} Clocked;

static void record_clocked(const HxStreamFrame *frame, void *data)
{
    Clocked *clocked = data;
    HxStreamFrame moved = *frame;
    moved.pts_us = *clocked->clock++;
    record(&moved, clocked->recorder);
}

/* When each of @count frames is shown, µs, where the session's clock says @clock; for g_free. */
static gint64 *times_of(const char *format, const guint64 *clock, int count)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_build_filename(directory, "clocked", NULL);
    HxStreamRecorderFiles files = {.program = recorder_program,
                                   .format = format,
                                   .recording_fd = open_new(path),
                                   .snapshot_fd = -1};
    g_autoptr(HxStreamRecorder) recorder = hx_stream_recorder_start(&files, &error);
    g_assert_no_error(error);
    Clocked clocked = {.recorder = recorder, .clock = clock};
    pictures_encode(count, record_clocked, &clocked);
    hx_stream_recorder_finish(recorder, &error);
    g_assert_no_error(error);
    close(files.recording_fd);
    g_autofree char *command = g_strdup_printf(
        "ffprobe -v error -show_entries frame=pts_time -of default=nk=1:nw=1 %s", path);
    g_autofree char *text = answer_of(command);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_assert_cmpuint(g_strv_length(lines), ==, count);
    gint64 *times = g_new(gint64, count);
    for (int i = 0; i < count; i++)
        times[i] = (gint64)(g_ascii_strtod(lines[i], NULL) * 1e6 + 0.5);
    return times;
}

/* A session that starts anew sets its clock back, and goes on from there. */
static void test_clock_anew(const void *format)
{
    static const guint64 clock[] = {5000000, 5040000, 5080000, 0,     40000,
                                    80000,   80000,   80000,   120000};
    gint64 start = g_get_monotonic_time();
    g_autofree gint64 *times = times_of(format, clock, G_N_ELEMENTS(clock));
    gint64 took = g_get_monotonic_time() - start;
    g_assert_cmpint(times[0], ==, 0);
    for (size_t i = 1; i < G_N_ELEMENTS(clock); i++) {
        gint64 gap = times[i] - times[i - 1];
        if (clock[i] > clock[i - 1]) {
            g_assert_cmpint(gap, >=, 38000);
            g_assert_cmpint(gap, <=, 42000);
        } else {
            g_assert_cmpint(gap, >=, 900);
            g_assert_cmpint(gap, <=, took + 1000);
        }
    }
}

/* A guest's word: any number of 64 bits.  Most of it is no time at all. */
static void test_clock_extremes(const void *format)
{
    static const guint64 hour = G_TIME_SPAN_HOUR;
    const guint64 clock[] = {G_MAXUINT64, 0,           G_MAXINT64, G_MAXINT64 + 1ULL, G_MAXUINT64,
                             G_MAXINT64,  G_MAXUINT64, 1,          1 + 5 * hour,      2 + 10 * hour,
                             G_MAXUINT64};
    gint64 start = g_get_monotonic_time();
    g_autofree gint64 *times = times_of(format, clock, G_N_ELEMENTS(clock));
    gint64 took = g_get_monotonic_time() - start;
    for (size_t i = 1; i < G_N_ELEMENTS(clock); i++)
        g_assert_cmpint(times[i], >, times[i - 1]);
    /* Each of 1 ms at least. */
    g_assert_cmpint(times[7], <=, took + 10000);
    /* A desktop that is still for so long. */
    for (int i = 8; i < 10; i++) {
        g_assert_cmpint(times[i] - times[i - 1], >=, 5 * hour - 10000);
        g_assert_cmpint(times[i] - times[i - 1], <=, 5 * hour + 10000);
    }
    g_assert_cmpint(times[10] - times[9], <=, took + 1000);
}

/* --- what fails ---------------------------------------------------------------------------------
 */

/* Hand frames over until that fails; the error is the recorder's. */
static char *failure_of(int recording_fd, const guint8 *data, gsize size)
{
    g_autoptr(GError) error = NULL;
    HxStreamRecorderFiles files = {.program = recorder_program,
                                   .format = "mp4",
                                   .recording_fd = recording_fd,
                                   .snapshot_fd = -1};
    g_autoptr(HxStreamRecorder) recorder = hx_stream_recorder_start(&files, &error);
    g_assert_no_error(error);
    HxStreamFrame frame = {
        .codec = HX_STREAM_CODEC_H264, .flags = HX_STREAM_FRAME_KEY, .data = data, .size = size};
    if (hx_stream_recorder_add(recorder, &frame, &error))
        hx_stream_recorder_finish(recorder, &error);
    g_assert_error(error, HX_ERROR, HX_ERROR_HOST);
    return g_strdup(error->message);
}

static void test_failures(void)
{
    g_autofree char *path = g_build_filename(directory, "bad.mp4", NULL);
    int fd = open_new(path);
    g_autofree char *bare = failure_of(fd, (const guint8 *)"\0\0\0\1\x65\x88", 6);
    g_assert_nonnull(strstr(bare, "no parameter sets"));
    close(fd);
    g_autoptr(GError) error = NULL;
    HxStreamRecorderFiles none = {
        .program = "/nonexistent/recorder", .format = "mp4", .recording_fd = -1, .snapshot_fd = -1};
    g_assert_null(hx_stream_recorder_start(&none, &error));
    g_assert_error(error, HX_ERROR, HX_ERROR_HOST);
}

/* A guest whose frames hold nothing: they are not kept until there is no memory. */
static void test_tiny(void)
{
    g_autofree char *path = g_build_filename(directory, "tiny.png", NULL);
    HxStreamRecorderFiles files = {
        .program = recorder_program, .recording_fd = -1, .snapshot_fd = open_new(path)};
    g_autoptr(GError) error = NULL;
    g_autoptr(HxStreamRecorder) recorder = hx_stream_recorder_start(&files, &error);
    g_assert_no_error(error);
    HxStreamFrame frame = {
        .codec = HX_STREAM_CODEC_H264, .data = (const guint8 *)"\0\0\0\1\x65", .size = 5};
    for (int i = 0; i < TINY_FRAMES; i++)
        record(&frame, recorder);
    g_assert_false(hx_stream_recorder_finish(recorder, &error));
    g_assert_nonnull(strstr(error->message, "cannot be decoded"));
    struct rusage usage;
    getrusage(RUSAGE_CHILDREN, &usage);
    g_test_message("%ld KiB", usage.ru_maxrss);
    if (!HX_SANITISED)
        g_assert_cmpint(usage.ru_maxrss, <=, TINY_FRAMES_KIB);
    close(files.snapshot_fd);
}

static void test_full(void)
{
    HxStreamRecorderFiles files = {.program = recorder_program,
                                   .format = "matroska",
                                   .recording_fd = open("/dev/full", O_RDWR | O_CLOEXEC),
                                   .snapshot_fd = -1};
    g_autoptr(GError) error = NULL;
    g_assert_cmpint(files.recording_fd, >=, 0);
    g_autoptr(HxStreamRecorder) recorder = hx_stream_recorder_start(&files, &error);
    g_assert_no_error(error);
    pictures_encode(1, record, recorder);
    g_assert_false(hx_stream_recorder_finish(recorder, &error));
    g_assert_nonnull(strstr(error->message, "No space left on device"));
    close(files.recording_fd);
}

static void test_names(void)
{
    static const char *const good[] = {"a.h264", "b.264", "/x/c.mp4", "d.MKV"};
    static const char *const bad[] = {"a.avi", "mp4", ".mp4", "a.mp4.txt", "", "a"};
    for (size_t i = 0; i < G_N_ELEMENTS(good); i++)
        g_assert_true(hx_stream_files_check(good[i], "x.png", NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_false(hx_stream_files_check(bad[i], NULL, &error));
        g_assert_error(error, HX_ERROR, HX_ERROR_USAGE);
        g_assert_nonnull(strstr(error->message, ".h264"));
        g_assert_nonnull(strstr(error->message, ".mp4 or .mkv"));
    }
    g_assert_false(hx_stream_files_check(NULL, "a.jpg", NULL));
}

static void keep(const HxStreamFrame *frame, void *data)
{
    g_autoptr(GError) error = NULL;
    hx_stream_files_add(data, frame, &error);
    g_assert_no_error(error);
}

/* The byte stream needs no recorder; without a frame nothing is left. */
static void test_byte_stream(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_build_filename(directory, "a.h264", NULL);
    g_autoptr(HxStreamFiles) files = hx_stream_files_new(path, NULL, &error);
    g_assert_no_error(error);
    pictures_encode(FRAMES, keep, files);
    g_assert_true(hx_stream_files_finish(files, &error));
    assert_answer(G_STRINGIFY(FRAMES),
                  "ffprobe -v error -count_packets -show_entries "
                  "stream=nb_read_packets -of csv=p=0 %s",
                  path);
    HxStreamFiles *empty = hx_stream_files_new(path, NULL, &error);
    g_assert_no_error(error);
    g_assert_true(hx_stream_files_finish(empty, &error));
    hx_stream_files_free(empty);
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
}

/* Where there is no stream nothing is left; what cannot be opened stays. */
static void test_no_stream(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_build_filename(directory, "none.h264", NULL);
    g_autofree char *folder = g_build_filename(directory, "folder.png", NULL);
    g_assert_cmpint(g_mkdir(folder, 0700), ==, 0);
    g_assert_null(hx_stream_files_new(path, folder, &error));
    g_assert_error(error, HX_ERROR, HX_ERROR_HOST);
    g_assert_nonnull(strstr(error->message, folder));
    g_clear_error(&error);
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
    g_assert_true(g_file_test(folder, G_FILE_TEST_IS_DIR));
    HxStreamFiles *files = hx_stream_files_new(path, NULL, &error);
    g_assert_no_error(error);
    g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
    hx_stream_files_free(files);
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN);
    const char *build = g_getenv("BUILD");
    recorder_program = g_build_filename(build ? build : "build", "helixvm-recorder", NULL);
    directory = g_dir_make_tmp("helixvm-recorder-XXXXXX", NULL);
    /* The first: it looks at the largest of the children so far. */
    g_test_add_func("/stream-files/tiny", test_tiny);
    g_test_add_func("/stream-files/mp4", test_mp4);
    g_test_add_func("/stream-files/matroska", test_matroska);
    g_test_add_data_func("/stream-files/clock-anew/mp4", "mp4", test_clock_anew);
    g_test_add_data_func("/stream-files/clock-anew/matroska", "matroska", test_clock_anew);
    g_test_add_data_func("/stream-files/clock-extremes/mp4", "mp4", test_clock_extremes);
    g_test_add_data_func("/stream-files/clock-extremes/matroska", "matroska", test_clock_extremes);
    g_test_add_func("/stream-files/snapshot", test_snapshot);
    g_test_add_func("/stream-files/cut", test_cut);
    g_test_add_func("/stream-files/failures", test_failures);
    g_test_add_func("/stream-files/full", test_full);
    g_test_add_func("/stream-files/names", test_names);
    g_test_add_func("/stream-files/byte-stream", test_byte_stream);
    g_test_add_func("/stream-files/no-stream", test_no_stream);
    int result = g_test_run();
    g_autofree char *command = g_strdup_printf("rm -r %s", directory);
    g_free(answer_of(command));
    g_free(directory);
    g_free(recorder_program);
    return result;
}
