/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Measures once what `encoder` beside this folder asks for, and prints lines "NAME FIGURE".
 * usage: encoding fps|latency|null|typing|still|memory|sessions WIDTH HEIGHT [COUNT]
 * COUNT: of sessions; for memory, of frames. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/encoding/ways.h"
#include "tests/fakes/encoder-module.h"

#define FRAMES 45
#define LATENCY_FRAMES 450 /* what the service's statistics keep, and no more */
#define RATE 30
#define SECONDS 4
#define STILL 120

typedef struct {
    TestService service;
    FakeModule *module;
} Host;

typedef struct {
    guint32 width, height;
    guint count;
} Task;

static void start_host(Host *host, const char *const *options)
{
    test_service_start(&host->service, options);
    host->module = fake_module_start(host->service.module_path, FAKE_PICTURES);
}

static void show(Host *host, const Sequence *sequence)
{
    FakePictures pictures = {sequence->width, sequence->height, SEQUENCE_PICTURES,
                             sequence->pixels};
    fake_module_show(host->module, &pictures);
}

static void stop_host(Host *host)
{
    test_service_stop(&host->service);
    fake_module_stop(host->module);
}

static void print(const char *name, double figure)
{
    printf("%s %.6g\n", name, figure);
}

static double rate_of(guint frames, gint64 us)
{
    return frames / ((double)us / G_TIME_SPAN_SECOND);
}

/* Every frame differs from the one before: all of them are encoded. */
static const Course ONE = {.flags = HXFR_FLAG_MAY_BE_EMPTY, .in_flight = 1, .repeats = 1};
static const Course TWO = {.flags = HXFR_FLAG_MAY_BE_EMPTY, .in_flight = 2, .repeats = 1};
static const Course PIXELS = {
    .flags = HXFR_FLAG_MAY_BE_EMPTY, .in_flight = 2, .repeats = 1, .as_pixels = TRUE};

/* Frames per second, of each sequence and of all together, and milliseconds of CPU for each frame.
 */
static void measure_fps(const Task *task)
{
    static const char *const names[] = {"bare", "served", "one", "pixels"};
    static const Course *const courses[] = {NULL, &TWO, &ONE, &PIXELS};
    gint64 all_us[G_N_ELEMENTS(names)] = {0};
    double all_cpu[G_N_ELEMENTS(names)] = {0};
    Host host;
    start_host(&host, NULL);
    for (SequenceKind kind = 0; kind < SEQUENCE_COUNT; kind++) {
        Sequence *sequence = sequence_new(kind, task->width, task->height);
        show(&host, sequence);
        for (guint way = 0; way < G_N_ELEMENTS(names); way++) {
            Measured measured = {.steps = FRAMES};
            if (courses[way])
                measure_served(&host.service, sequence, courses[way], &measured);
            else
                measure_bare(sequence, &measured);
            g_autofree char *name = g_strdup_printf("%s_%s", names[way], sequence_name(kind));
            print(name, rate_of(FRAMES, measured.seconds_us));
            all_us[way] += measured.seconds_us;
            all_cpu[way] += measured.cpu;
        }
        sequence_free(sequence);
    }
    for (guint way = 0; way < G_N_ELEMENTS(names); way++) {
        print(names[way], rate_of(FRAMES * SEQUENCE_COUNT, all_us[way]));
        g_autofree char *name = g_strconcat("cpu_", names[way], NULL);
        print(name, 1000 * all_cpu[way] / (FRAMES * SEQUENCE_COUNT));
    }
    stop_host(&host);
}

/* --- latency ------------------------------------------------------------------------------------
 */

static int compare_times(const void *a, const void *b)
{
    gint64 left = *(const gint64 *)a, right = *(const gint64 *)b;
    return (left > right) - (left < right);
}

/* Milliseconds that @percent of @n sorted times in µs do not exceed. */
static double percentile(const gint64 *sorted, guint n, guint percent)
{
    return (double)sorted[MAX((n * percent + 99) / 100, 1) - 1] / 1000;
}

static void print_stages(TestService *service)
{
    g_autoptr(JsonNode) root = test_service_statistics(service);
    JsonArray *sessions = json_object_get_array_member(json_node_get_object(root), "sessions");
    JsonObject *session = json_array_get_object_element(sessions, 0);
    JsonObject *stages = json_object_get_object_member(session, "stage_ms");
    g_autoptr(GList) names = json_object_get_members(stages);
    for (GList *name = names; name; name = name->next) {
        JsonObject *stage = json_object_get_object_member(stages, name->data);
        for (int i = 0; i < 2; i++) {
            const char *which = i ? "p99" : "p50";
            g_autofree char *text = g_strdup_printf("%s_%s", (char *)name->data, which);
            print(text, json_object_get_double_member(stage, which));
        }
    }
}

static void print_times(const char *name, gint64 *us)
{
    qsort(us, LATENCY_FRAMES, sizeof us[0], compare_times);
    for (guint percent = 50; percent <= 99; percent += 49) {
        g_autofree char *text = g_strdup_printf("%s_p%u", name, percent);
        print(text, percentile(us, LATENCY_FRAMES, percent));
    }
}

/* Of each frame: the time until its answer is there, without what x264 alone takes for it right
 * before, so that what else the machine does meets both. */
static void measure_latency(const Task *task)
{
    static gint64 bare_us[LATENCY_FRAMES], us[LATENCY_FRAMES];
    Sequence *sequence = sequence_new(SEQUENCE_SCROLLING, task->width, task->height);
    Host host;
    start_host(&host, NULL);
    show(&host, sequence);
    Measured served = {.steps = LATENCY_FRAMES, .us = us};
    int fd = -1;
    Course course = ONE;
    course.bare_us = bare_us;
    course.ret_fd = &fd;
    measure_served(&host.service, sequence, &course, &served);
    for (guint i = 0; i < LATENCY_FRAMES; i++)
        us[i] = MAX(us[i] - bare_us[i], 0);
    print_times("bare", bare_us);
    print_times("added", us);
    print_stages(&host.service);
    close(fd);
    sequence_free(sequence);
    stop_host(&host);
}

/* What the service costs without x264: milliseconds of its CPU for each frame, and frames per
 * second with one request out at a time. */
static void measure_null(const Task *task)
{
    static const char *const options[] = {"--encoder=null", NULL};
    Host host;
    start_host(&host, options);
    for (SequenceKind kind = 0; kind < SEQUENCE_COUNT; kind++) {
        Sequence *sequence = sequence_new(kind, task->width, task->height);
        show(&host, sequence);
        Measured measured = {.steps = 4 * FRAMES};
        measure_served(&host.service, sequence, &ONE, &measured);
        g_autofree char *cpu = g_strconcat("cpu_", sequence_name(kind), NULL);
        g_autofree char *fps = g_strconcat("fps_", sequence_name(kind), NULL);
        print(cpu, 1000 * measured.cpu / measured.steps);
        print(fps, rate_of(measured.steps, measured.seconds_us));
        sequence_free(sequence);
    }
    stop_host(&host);
}

/* --- what is mostly still -----------------------------------------------------------------------
 */

/* A screen that has been there for a while, and then SECONDS: CPU of the service in percent of a
 * core, and what the viewer sees.  There is no keyframe but the first. */
static void measure_course(const Sequence *sequence, const Course *course, const char *name)
{
    static const char *const options[] = {"--keyframe-interval=100000", NULL};
    const guint steps = course->still + SECONDS * RATE;
    Host host;
    start_host(&host, options);
    show(&host, sequence);
    Measured measured = {.steps = steps, .units = g_new0(GByteArray *, steps)};
    measure_served(&host.service, sequence, course, &measured);
    g_autofree char *cpu = g_strconcat(name, "_cpu", NULL);
    g_autofree char *psnr = g_strconcat(name, "_psnr", NULL);
    print(cpu, 100 * measured.cpu / ((double)measured.seconds_us / G_TIME_SPAN_SECOND));
    print(psnr, shown_psnr(sequence, course, &measured));
    measured_clear(&measured);
    stop_host(&host);
}

/* Every third request finds a letter more. */
static void measure_typing(const Task *task)
{
    Sequence *sequence = sequence_new(SEQUENCE_TYPING, task->width, task->height);
    Course course = {.in_flight = 1, .still = STILL, .repeats = 3, .rate = RATE};
    measure_course(sequence, &course, "every");
    course.flags = HXFR_FLAG_MAY_BE_EMPTY;
    measure_course(sequence, &course, "changed");
    sequence_free(sequence);
}

static void measure_still(const Task *task)
{
    Sequence *sequence = sequence_new(SEQUENCE_TYPING, task->width, task->height);
    Course course = {.flags = HXFR_FLAG_MAY_BE_EMPTY,
                     .in_flight = 1,
                     .still = STILL,
                     .repeats = G_MAXUINT,
                     .rate = RATE};
    measure_course(sequence, &course, "still");
    sequence_free(sequence);
}

/* --- memory -------------------------------------------------------------------------------------
 */

/* MiB that x264 alone takes, in a process of its own. */
static double library_memory(const Sequence *sequence)
{
    int ends[2];
    double grown = 0;
    g_assert_cmpint(pipe(ends), ==, 0);
    fflush(stdout);
    pid_t pid = fork();
    g_assert_cmpint(pid, >=, 0);
    if (pid == 0) {
        double before = process_memory(getpid());
        Measured measured = {.steps = FRAMES};
        measure_bare(sequence, &measured);
        grown = measured.memory - before;
        _exit(write(ends[1], &grown, sizeof grown) != sizeof grown);
    }
    g_assert_cmpint(read(ends[0], &grown, sizeof grown), ==, sizeof grown);
    g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
    close(ends[0]);
    close(ends[1]);
    return grown;
}

static void measure_memory(const Task *task)
{
    Sequence *sequence = sequence_new(SEQUENCE_DRAG, task->width, task->height);
    double library = library_memory(sequence);
    Host host;
    start_host(&host, NULL);
    show(&host, sequence);
    double idle = process_memory(host.service.pid);
    int fd = -1;
    Course course = TWO;
    course.ret_fd = &fd;
    Measured measured = {.steps = MAX(task->count / 10, FRAMES)};
    measure_served(&host.service, sequence, &course, &measured);
    double early = process_memory(host.service.pid);
    course.fd = fd;
    measured.steps = task->count;
    measure_served(&host.service, sequence, &course, &measured);
    print("session", early - idle - library);
    print("library", library);
    print("growth", process_memory(host.service.pid) - early);
    close(fd);
    sequence_free(sequence);
    stop_host(&host);
}

/* --- several sessions ---------------------------------------------------------------------------
 */

typedef struct {
    Host *host; /* NULL: by @measure */
    void (*measure)(const Sequence *sequence, Measured *measured);
    const Sequence *sequence;
    Measured measured;
    GThread *thread;
} Runner;

static void *run(void *data)
{
    Runner *runner = data;
    if (runner->host)
        measure_served(&runner->host->service, runner->sequence, &TWO, &runner->measured);
    else
        runner->measure(runner->sequence, &runner->measured);
    return NULL;
}

/* Seconds of CPU that are used up here and in the service. */
static double all_cpu(const Host *host)
{
    return process_cpu(getpid()) + process_cpu(host->service.pid);
}

/* Together, for long enough that how they begin does not count: prints, as @name, frames per second
 * of all, and as cpu_NAME milliseconds of CPU for each frame, of all that it takes, the client and
 * the stand-in for the module, too; returns the slowest one's rate as a part of their mean. */
static double measure_runners(const Runner *kind, guint count, const Host *host, const char *name)
{
    g_autofree Runner *runners = g_new0(Runner, count);
    double cpu = all_cpu(host);
    gint64 begun = g_get_monotonic_time();
    for (guint i = 0; i < count; i++) {
        runners[i] = *kind;
        runners[i].measured.steps = 16 * FRAMES / MIN(count, 4);
        runners[i].thread = g_thread_new("session", run, &runners[i]);
    }
    double sum = 0, worst = G_MAXDOUBLE;
    for (guint i = 0; i < count; i++) {
        g_thread_join(runners[i].thread);
        double fps = rate_of(runners[i].measured.steps, runners[i].measured.seconds_us);
        sum += fps;
        worst = MIN(worst, fps);
    }
    guint frames = count * runners[0].measured.steps;
    g_autofree char *cpu_name = g_strconcat("cpu_", name, NULL);
    print(name, rate_of(frames, g_get_monotonic_time() - begun));
    print(cpu_name, 1000 * (all_cpu(host) - cpu) / frames);
    return worst / (sum / count);
}

static void measure_sessions(const Task *task)
{
    Sequence *sequence = sequence_new(SEQUENCE_SCROLLING, task->width, task->height);
    Host host;
    start_host(&host, NULL);
    show(&host, sequence);
    const Runner bare = {.measure = measure_bare, .sequence = sequence};
    const Runner floor = {.measure = measure_floor, .sequence = sequence};
    const Runner served = {.host = &host, .sequence = sequence};
    measure_runners(&bare, task->count, &host, "bare");
    measure_runners(&floor, task->count, &host, "floor");
    print("fairness", measure_runners(&served, task->count, &host, "served"));
    sequence_free(sequence);
    stop_host(&host);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*measure)(const Task *task);
    } tasks[] = {
        {"fps", measure_fps},           {"latency", measure_latency}, {"null", measure_null},
        {"typing", measure_typing},     {"still", measure_still},     {"memory", measure_memory},
        {"sessions", measure_sessions},
    };
    Task task = {.count = 1};
    if (argc > 3) {
        task.width = (guint32)atoi(argv[2]);
        task.height = (guint32)atoi(argv[3]);
        task.count = argc > 4 ? (guint)atoi(argv[4]) : 1;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(tasks); i++) {
        if (task.width && task.height && task.count && strcmp(tasks[i].name, argv[1]) == 0) {
            tasks[i].measure(&task);
            return 0;
        }
    }
    fprintf(stderr,
            "usage: encoding fps|latency|null|typing|still|memory|sessions WIDTH HEIGHT [COUNT]\n");
    return 2;
}
