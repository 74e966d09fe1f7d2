/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The module as QEMU loads it, with the real libvirglrenderer on software GL.  The test starts
 * itself a second time as the stand-in for QEMU. */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "encoder/export-protocol.h"
#include "encoder/protocol.h"
#include "launcher/base/fd.h"
#include "launcher/base/unix-socket.h"
#include "tests/fakes/module-stand-in.h"

#define SLOT_SIZE (1024u * 1024)
#define SLOTS 2

/* --- the encoder's side
 * --------------------------------------------------------------------------- */

typedef struct {
    char *directory;
    char *socket_path;
    GPid pid;
    int to_qemu, from_qemu;
    int module; /* the connection */
    uint8_t *slots;
} Fixture;

static char *self_path;
static char *module_path;

static char order(Fixture *f, char letter)
{
    char answer = 0;
    g_assert_cmpint(write(f->to_qemu, &letter, 1), ==, 1);
    g_assert_cmpint(hx_read_all(f->from_qemu, &answer, 1), ==, 0);
    return answer;
}

static void set_up(Fixture *f, const void *render_server)
{
    f->directory = g_dir_make_tmp("hx-module-XXXXXX", NULL);
    f->socket_path = g_build_filename(f->directory, "export", NULL);
    g_auto(GStrv) env = g_get_environ();
    env = g_environ_setenv(env, "LD_PRELOAD", module_path, TRUE);
    env = g_environ_setenv(env, "HELIXVM_EXPORT_SOCKET", f->socket_path, TRUE);
    env = g_environ_setenv(env, "EGL_PLATFORM", "surfaceless", TRUE);
    env = g_environ_setenv(env, "LIBGL_ALWAYS_SOFTWARE", "1", TRUE);
    if (render_server)
        env = g_environ_setenv(env, "HELIXVM_RENDER_SERVER", render_server, TRUE);
    const char *argv[] = {self_path, "--stand-in", NULL};
    GError *error = NULL;
    g_spawn_async_with_pipes(NULL, (char **)argv, env, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL,
                             &f->pid, &f->to_qemu, &f->from_qemu, NULL, &error);
    g_assert_no_error(error);
    f->module = -1;
    /* By then the constructor has run, and with it the listening socket is there. */
    g_assert_cmpint(order(f, 'e'), ==, 'e');
}

/* With tests/fakes/virglrenderer-old.c in place of the system's. */
static void set_up_old(Fixture *f, const void *data)
{
    g_autofree char *before = g_strdup(g_getenv("LD_LIBRARY_PATH"));
    g_setenv("LD_LIBRARY_PATH", data, TRUE);
    set_up(f, NULL);
    if (before)
        g_setenv("LD_LIBRARY_PATH", before, TRUE);
    else
        g_unsetenv("LD_LIBRARY_PATH");
}

static void tear_down(Fixture *f, const void *data)
{
    hx_close(&f->module);
    hx_close(&f->to_qemu);
    int status;
    g_assert_cmpint(waitpid(f->pid, &status, 0), ==, f->pid);
    g_assert_cmpint(status, ==, 0);
    hx_close(&f->from_qemu);
    if (f->slots)
        munmap(f->slots, SLOTS * SLOT_SIZE);
    unlink(f->socket_path);
    rmdir(f->directory);
    g_free(f->socket_path);
    g_free(f->directory);
}

static int make_memory(uint64_t size, int seals)
{
    int fd = memfd_create("slots", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    g_assert_cmpint(ftruncate(fd, (off_t)size), ==, 0);
    if (seals)
        g_assert_cmpint(fcntl(fd, F_ADD_SEALS, seals), ==, 0);
    return fd;
}

static void connect_to_module(Fixture *f)
{
    f->module = hx_unix_connect(f->socket_path, SOCK_SEQPACKET);
    g_assert_cmpint(f->module, >=, 0);
}

static ssize_t try_hello(int fd, const HxExportHello *hello, int memory)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {(void *)hello, sizeof *hello};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    if (memory >= 0) {
        message.msg_control = &control;
        message.msg_controllen = sizeof control;
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        *c = (struct cmsghdr){CMSG_LEN(sizeof memory), SOL_SOCKET, SCM_RIGHTS};
        memcpy(CMSG_DATA(c), &memory, sizeof memory);
    }
    return sendmsg(fd, &message, MSG_NOSIGNAL);
}

static void send_hello(Fixture *f, const HxExportHello *hello, int memory)
{
    g_assert_cmpint(try_hello(f->module, hello, memory), ==, sizeof *hello);
}

static const HxExportHello good_hello = {
    .magic = HX_EXPORT_MAGIC,
    .type = HX_EXPORT_HELLO,
    .version = HX_EXPORT_VERSION,
    .slot_count = SLOTS,
    .slot_size = SLOT_SIZE,
};
#define GOOD_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static HxExportHelloAnswer greet(Fixture *f)
{
    HxExportHelloAnswer answer = {0};
    hx_autofd int memory = make_memory(SLOTS * SLOT_SIZE, GOOD_SEALS);
    connect_to_module(f);
    send_hello(f, &good_hello, memory);
    g_assert_cmpint(recv(f->module, &answer, sizeof answer, 0), ==, sizeof answer);
    g_assert_cmphex(answer.magic, ==, HX_EXPORT_MAGIC);
    g_assert_cmpuint(answer.type, ==, HX_EXPORT_HELLO_ANSWER);
    f->slots = mmap(NULL, SLOTS * SLOT_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    g_assert_true(f->slots != MAP_FAILED);
    return answer;
}

static HxExportAnswer ask(Fixture *f, HxExportRead request)
{
    static uint32_t request_id = 41;
    HxExportAnswer answer = {0};
    request.magic = HX_EXPORT_MAGIC;
    request.type = HX_EXPORT_READ;
    request.request_id = ++request_id;
    g_assert_cmpint(send(f->module, &request, sizeof request, MSG_NOSIGNAL), ==, sizeof request);
    g_assert_cmpint(recv(f->module, &answer, sizeof answer, 0), ==, sizeof answer);
    g_assert_cmphex(answer.magic, ==, HX_EXPORT_MAGIC);
    g_assert_cmpuint(answer.type, ==, HX_EXPORT_ANSWER);
    g_assert_cmpuint(answer.request_id, ==, request_id);
    return answer;
}

static HxExportAnswer read_resource(Fixture *f, uint32_t resource, uint32_t slot)
{
    return ask(f, (HxExportRead){.resource_id = resource, .slot = slot});
}

static void assert_closed(Fixture *f)
{
    char byte;
    g_assert_cmpint(recv(f->module, &byte, 1, 0), <=, 0);
    hx_close(&f->module);
}

/* --- tests
 * ---------------------------------------------------------------------------------------- */

static void assert_pattern(const uint8_t *slot)
{
    const uint32_t *pixels = (const uint32_t *)slot;
    for (uint32_t i = 0; i < WIDTH * HEIGHT; i++)
        g_assert_cmphex(pixels[i] & 0xffffff, ==, pattern_pixel(i % WIDTH, i / WIDTH) & 0xffffff);
}

static gboolean has_thread(Fixture *f, const char *name)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/task", f->pid);
    g_autoptr(GDir) tasks = g_dir_open(path, 0, NULL);
    gboolean found = FALSE;
    for (const char *task; (task = g_dir_read_name(tasks));) {
        g_autofree char *file = g_build_filename(path, task, "comm", NULL);
        g_autofree char *comm = NULL;
        if (g_file_get_contents(file, &comm, NULL, NULL))
            found |= g_str_equal(g_strchomp(comm), name);
    }
    return found;
}

/* @initialise: 'i', where virglrenderer makes its contexts itself and the main thread reads, or
 * 'g'. */
static void test_pixels(Fixture *f, const void *initialise)
{
    g_assert_cmpuint(greet(f).renderer_ready, ==, 0);
    g_assert_cmpint(read_resource(f, RES_BGRA, 0).status, ==, HX_EXPORT_NOT_FOUND);
    g_assert_cmpint(order(f, *(char *)initialise), ==, *(char *)initialise);
    g_assert_cmpint(order(f, 'r'), ==, 'r');

    static const uint32_t fourcc[] = {0,
                                      HXFR_FORMAT_AR24,
                                      HXFR_FORMAT_XR24,
                                      HXFR_FORMAT_AB24,
                                      HXFR_FORMAT_XB24,
                                      HXFR_FORMAT_AR24,
                                      HXFR_FORMAT_XR24,
                                      HXFR_FORMAT_AB24};
    for (uint32_t id = RES_BGRA; id <= RES_RGBA_SRGB; id++) {
        uint32_t slot = id % SLOTS;
        HxExportAnswer answer = read_resource(f, id, slot);
        g_assert_cmpint(answer.status, ==, HX_EXPORT_OK);
        g_assert_cmpuint(answer.width, ==, WIDTH);
        g_assert_cmpuint(answer.height, ==, HEIGHT);
        g_assert_cmpuint(answer.stride, ==, WIDTH * 4);
        g_assert_cmpuint(answer.size, ==, WIDTH * 4 * HEIGHT);
        g_assert_cmphex(answer.fourcc, ==, fourcc[id]);
        g_assert_cmpuint(answer.virgl_format, ==, stand_in_resources[id].format);
        g_assert_cmpuint(answer.held_ns, >, 0);
        assert_pattern(f->slots + slot * SLOT_SIZE);
    }
    g_assert_cmpint(has_thread(f, "helixvm-read"), ==, *(char *)initialise == 'g');
    g_assert_cmpint(read_resource(f, RES_R8, 0).status, ==, HX_EXPORT_UNREADABLE);
    g_assert_cmpint(read_resource(f, RES_BUFFER, 0).status, ==, HX_EXPORT_UNREADABLE);
    g_assert_cmpint(read_resource(f, RES_LARGE, 0).status, ==, HX_EXPORT_TOO_LARGE);
    g_assert_cmpint(read_resource(f, RES_NONE, 0).status, ==, HX_EXPORT_NOT_FOUND);
    g_assert_cmpint(read_resource(f, 0, 0).status, ==, HX_EXPORT_NOT_FOUND);
    g_assert_cmpint(read_resource(f, 0xffffffff, 0).status, ==, HX_EXPORT_NOT_FOUND);

    g_assert_cmpint(order(f, 'u'), ==, 'u');
    g_assert_cmpint(read_resource(f, RES_BGRA, 0).status, ==, HX_EXPORT_NOT_FOUND);
    g_assert_cmpint(order(f, 'z'), ==, 'z');
    g_assert_cmpint(read_resource(f, RES_BGRX, 0).status, ==, HX_EXPORT_NOT_FOUND);
    g_assert_cmpint(order(f, 'c'), ==, 'c');
    g_assert_cmpint(read_resource(f, RES_RGBA, 0).status, ==, HX_EXPORT_NOT_FOUND);
}

static void send_read(Fixture *f, uint32_t resource, uint32_t slot)
{
    const HxExportRead read = {
        .magic = HX_EXPORT_MAGIC, .type = HX_EXPORT_READ, .resource_id = resource, .slot = slot};
    g_assert_cmpint(send(f->module, &read, sizeof read, MSG_NOSIGNAL), ==, sizeof read);
}

/* While the thread reads a texture its guest destroys it, its client goes, and the renderer is
 * reset. */
static void test_vanishing(Fixture *f, const void *data)
{
    enum { ROUNDS = 500 };
    guint there = 0, gone = 0;
    greet(f);
    g_assert_cmpint(order(f, 'g'), ==, 'g');
    g_assert_cmpint(order(f, 'r'), ==, 'r');
    for (guint i = 0; i < ROUNDS; i++) {
        HxExportAnswer answer;
        memset(f->slots, 0, SLOT_SIZE);
        send_read(f, RES_BGRA, 0);
        g_assert_cmpint(order(f, 'u'), ==, 'u');
        g_assert_cmpint(recv(f->module, &answer, sizeof answer, 0), ==, sizeof answer);
        if (answer.status == HX_EXPORT_OK)
            assert_pattern(f->slots);
        else
            g_assert_cmpint(answer.status, ==, HX_EXPORT_NOT_FOUND);
        *(answer.status == HX_EXPORT_OK ? &there : &gone) += 1;
        g_assert_cmpint(order(f, 'n'), ==, 'n');
    }
    g_test_message("%u were read, %u were gone", there, gone);
    for (guint i = 0; i < 50; i++) {
        send_read(f, RES_RGBA, 1);
        hx_close(&f->module);
        munmap(f->slots, SLOTS * SLOT_SIZE);
        greet(f);
    }
    g_assert_cmpint(read_resource(f, RES_RGBA, 0).status, ==, HX_EXPORT_OK);
    assert_pattern(f->slots);
    for (guint i = 0; i < 20; i++) {
        HxExportAnswer answer;
        send_read(f, RES_RGBX, 0);
        g_assert_cmpint(order(f, 'z'), ==, 'z');
        g_assert_cmpint(recv(f->module, &answer, sizeof answer, 0), ==, sizeof answer);
        g_assert_true(answer.status == HX_EXPORT_OK || answer.status == HX_EXPORT_NOT_FOUND);
        g_assert_cmpint(order(f, 'r'), ==, 'r');
    }
    g_assert_cmpint(order(f, 'c'), ==, 'c');
    g_assert_cmpint(read_resource(f, RES_RGBX, 0).status, ==, HX_EXPORT_NOT_FOUND);
}

/* What the client's memory must be; after each refusal the next client is served. */
static void test_hello(Fixture *f, const void *data)
{
    static const struct {
        int seals;
        uint64_t size;
        uint32_t count;
        uint64_t slot_size;
        uint32_t version;
    } bad[] = {
        {0, SLOTS * SLOT_SIZE, SLOTS, SLOT_SIZE, HX_EXPORT_VERSION},
        {F_SEAL_GROW | F_SEAL_SEAL, SLOTS * SLOT_SIZE, SLOTS, SLOT_SIZE, HX_EXPORT_VERSION},
        {F_SEAL_SHRINK | F_SEAL_GROW, SLOTS * SLOT_SIZE, SLOTS, SLOT_SIZE, HX_EXPORT_VERSION},
        {GOOD_SEALS | F_SEAL_WRITE, SLOTS * SLOT_SIZE, SLOTS, SLOT_SIZE, HX_EXPORT_VERSION},
        {GOOD_SEALS, SLOTS * SLOT_SIZE - 1, SLOTS, SLOT_SIZE, HX_EXPORT_VERSION},
        {GOOD_SEALS, SLOTS * SLOT_SIZE, SLOTS + 1, SLOT_SIZE, HX_EXPORT_VERSION},
        {GOOD_SEALS, SLOTS * SLOT_SIZE, 0, SLOT_SIZE, HX_EXPORT_VERSION},
        {GOOD_SEALS, SLOTS * SLOT_SIZE, SLOTS, 0, HX_EXPORT_VERSION},
        {GOOD_SEALS, SLOTS * SLOT_SIZE, SLOTS, SLOT_SIZE - 1, HX_EXPORT_VERSION},
        {GOOD_SEALS, SLOTS * SLOT_SIZE, 2, 1ull << 63, HX_EXPORT_VERSION},
        {GOOD_SEALS, SLOTS * SLOT_SIZE, HX_EXPORT_SLOTS_MAX + 1, 4096, HX_EXPORT_VERSION},
        {GOOD_SEALS, SLOTS * SLOT_SIZE, SLOTS, SLOT_SIZE, HX_EXPORT_VERSION + 1},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        hx_autofd int memory = make_memory(bad[i].size, bad[i].seals);
        HxExportHello hello = good_hello;
        hello.slot_count = bad[i].count;
        hello.slot_size = bad[i].slot_size;
        hello.version = bad[i].version;
        connect_to_module(f);
        send_hello(f, &hello, memory);
        assert_closed(f);
    }
    connect_to_module(f);
    send_hello(f, &good_hello, -1);
    assert_closed(f);
    greet(f);
}

static void test_broken_packets(Fixture *f, const void *data)
{
    connect_to_module(f);
    g_assert_cmpint(send(f->module, "rubbish", 7, MSG_NOSIGNAL), ==, 7);
    assert_closed(f);

    HxExportRead read = {.magic = HX_EXPORT_MAGIC, .type = HX_EXPORT_READ, .resource_id = 1};
    connect_to_module(f); /* before HELLO */
    g_assert_cmpint(send(f->module, &read, sizeof read, MSG_NOSIGNAL), ==, sizeof read);
    assert_closed(f);

    greet(f);
    read.slot = SLOTS;
    g_assert_cmpint(send(f->module, &read, sizeof read, MSG_NOSIGNAL), ==, sizeof read);
    assert_closed(f);
    munmap(f->slots, SLOTS * SLOT_SIZE);

    greet(f);
    static const char oversized[4096];
    g_assert_cmpint(send(f->module, oversized, sizeof oversized, MSG_NOSIGNAL), >, 0);
    assert_closed(f);
    munmap(f->slots, SLOTS * SLOT_SIZE);
    greet(f);
}

static void test_one_client(Fixture *f, const void *data)
{
    greet(f);
    hx_autofd int first = hx_steal_fd(&f->module);
    connect_to_module(f);
    assert_closed(f);
    /* The first is served on, and when it is dead the next is taken, also in the same turn. */
    f->module = hx_steal_fd(&first);
    g_assert_cmpint(read_resource(f, 1, 0).status, ==, HX_EXPORT_NOT_FOUND);
    hx_close(&f->module);
    munmap(f->slots, SLOTS * SLOT_SIZE);
    greet(f);
}

/* A client that asks and never reads is dropped, and the main loop stays free. */
static void test_stalled_client(Fixture *f, const void *data)
{
    greet(f);
    HxExportRead read = {.magic = HX_EXPORT_MAGIC, .type = HX_EXPORT_READ, .resource_id = 1};
    for (int i = 0; i < 10000; i++) {
        if (send(f->module, &read, sizeof read, MSG_NOSIGNAL) < 0)
            break;
        g_assert_cmpint(i, <, 9999);
    }
    g_assert_cmpint(order(f, 'e'), ==, 'e');
    hx_close(&f->module);
    munmap(f->slots, SLOTS * SLOT_SIZE);
    greet(f);
}

/* Another user, whom the files' modes would let in. */
static void test_other_user(Fixture *f, const void *data)
{
    if (geteuid() != 0) {
        g_test_skip("only root can become another user");
        return;
    }
    const uid_t nobody = 65534;
    hx_autofd int memory = make_memory(SLOTS * SLOT_SIZE, GOOD_SEALS);
    g_assert_cmpint(chmod(f->directory, 0755), ==, 0);
    g_assert_cmpint(chmod(f->socket_path, 0666), ==, 0);
    pid_t child = fork();
    if (child == 0) {
        HxExportHelloAnswer answer;
        if (setresgid(nobody, nobody, nobody) < 0 || setresuid(nobody, nobody, nobody) < 0)
            _exit(2);
        int fd = hx_unix_connect(f->socket_path, SOCK_SEQPACKET);
        if (fd < 0)
            _exit(3);
        try_hello(fd, &good_hello, memory); /* it may be shut out before */
        _exit(recv(fd, &answer, sizeof answer, 0) > 0);
    }
    int status = -1;
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, 0);
    greet(f);
}

static void await_stop(pid_t pid)
{
    int status;
    g_assert_cmpint(waitpid(pid, &status, WUNTRACED), ==, pid);
    g_assert_true(WIFSTOPPED(status));
}

static guint count_answers(Fixture *f)
{
    HxExportAnswer answer;
    guint count = 0;
    while (recv(f->module, &answer, sizeof answer, MSG_DONTWAIT) == sizeof answer)
        count++;
    g_assert_cmpint(errno, ==, EAGAIN);
    return count;
}

/* However many requests wait, a turn of the main loop takes one of them: of two orders that wait
 * beside them, each of which takes a turn, the second stops it. */
static void test_turns(Fixture *f, const void *data)
{
    enum { REQUESTS = 20 };
    greet(f);
    g_assert_cmpint(order(f, 'i'), ==, 'i');
    g_assert_cmpint(order(f, 'r'), ==, 'r');
    g_assert_cmpint(kill(f->pid, SIGSTOP), ==, 0);
    await_stop(f->pid);
    const HxExportRead read = {
        .magic = HX_EXPORT_MAGIC, .type = HX_EXPORT_READ, .resource_id = RES_BGRA};
    for (guint i = 0; i < REQUESTS; i++)
        g_assert_cmpint(send(f->module, &read, sizeof read, MSG_NOSIGNAL), ==, sizeof read);
    g_assert_cmpint(write(f->to_qemu, "es", 2), ==, 2);
    g_assert_cmpint(kill(f->pid, SIGCONT), ==, 0);
    await_stop(f->pid);
    guint taken = count_answers(f);
    g_assert_cmpuint(taken, <=, 2);
    g_assert_cmpint(kill(f->pid, SIGCONT), ==, 0);
    char answers[2];
    g_assert_cmpint(hx_read_all(f->from_qemu, answers, sizeof answers), ==, 0);
    g_assert_cmpmem(answers, 2, "es", 2);
    for (HxExportAnswer answer; taken < REQUESTS; taken++)
        g_assert_cmpint(recv(f->module, &answer, sizeof answer, 0), ==, sizeof answer);
}

/* Its guest has what stock QEMU would have given it, and frames go as pixels. */
static void test_old(Fixture *f, const void *data)
{
    g_assert_cmpuint(greet(f).renderer_ready, ==, 0);
    g_assert_cmpint(read_resource(f, RES_BGRA, 0).status, ==, HX_EXPORT_NOT_FOUND);
    g_assert_cmpint(order(f, 'i'), ==, 'i');
    g_assert_cmpint(read_resource(f, RES_BGRA, 0).status, ==, HX_EXPORT_UNREADABLE);
    g_assert_cmpint(order(f, 'c'), ==, 'c');
    g_assert_cmpint(read_resource(f, RES_BGRA, 0).status, ==, HX_EXPORT_NOT_FOUND);
}

/* The environment has the real server, and a Vulkan driver in software. */
static void test_venus(Fixture *f, const void *data)
{
    greet(f);
    g_assert_cmpint(order(f, 'v'), ==, 'v');
    g_assert_cmpint(order(f, 'r'), ==, 'r');
    g_assert_cmpint(read_resource(f, RES_BGRA, 0).status, ==, HX_EXPORT_OK);
    g_autofree char *path = g_strdup_printf("/proc/%d/task/%d/children", f->pid, f->pid);
    g_autofree char *children = NULL;
    g_assert_true(g_file_get_contents(path, &children, NULL, NULL));
    g_auto(GStrv) pids = g_strsplit(g_strchomp(children), " ", -1);
    /* One server only: virglrenderer took ours and started none itself. */
    g_assert_cmpuint(g_strv_length(pids), ==, 1);
    g_autofree char *exe_path = g_strdup_printf("/proc/%s/exe", pids[0]);
    g_autofree char *exe = g_file_read_link(exe_path, NULL);
    g_assert_cmpstr(exe, ==, "/usr/libexec/virgl_render_server");
}

static HxExportRead blob_request(uint32_t id)
{
    return (HxExportRead){.resource_id = id,
                          .slot = id % SLOTS,
                          .width = WIDTH,
                          .height = HEIGHT,
                          .fourcc = HXFR_FORMAT_XB24,
                          .stride = BLOB_STRIDE};
}

static void assert_blob(Fixture *f, uint32_t id)
{
    uint8_t *slot = f->slots + id % SLOTS * SLOT_SIZE;
    HxExportAnswer answer = ask(f, blob_request(id));
    g_assert_cmpint(answer.status, ==, HX_EXPORT_OK);
    g_assert_cmpuint(answer.width, ==, WIDTH);
    g_assert_cmpuint(answer.height, ==, HEIGHT);
    g_assert_cmpuint(answer.stride, ==, BLOB_STRIDE);
    g_assert_cmphex(answer.fourcc, ==, HXFR_FORMAT_XB24);
    g_assert_cmpuint(answer.size, ==, BLOB_STRIDE * (HEIGHT - 1) + WIDTH * 4);
    for (uint32_t y = 0; y < HEIGHT; y++)
        for (uint32_t x = 0; x < WIDTH; x++)
            g_assert_cmphex(((uint32_t *)(slot + (size_t)y * BLOB_STRIDE))[x], ==,
                            pattern_pixel(x, y));
}

static guint count_descriptors(GPid pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/fd", pid);
    g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);
    guint count = 0;
    while (g_dir_read_name(directory))
        count++;
    return count;
}

static void test_blobs(Fixture *f, const void *data)
{
    greet(f);
    g_assert_cmpint(order(f, 'v'), ==, 'v');
    g_assert_cmpint(order(f, 'b'), ==, 'b');
    guint descriptors = count_descriptors(f->pid);
    /* A guest's memory is attached as before: a second time, too. */
    for (int i = 0; i < 2; i++)
        for (uint32_t id = RES_GUEST; id <= RES_HOST_QEMU; id++)
            assert_blob(f, id);
    for (uint32_t id = RES_GUEST; id <= RES_HOST_QEMU; id++) {
        HxExportRead request = blob_request(id);
        request.height = BLOB_SIZE / BLOB_STRIDE + 1;
        g_assert_cmpint(ask(f, request).status, ==, HX_EXPORT_UNREADABLE);
        request = blob_request(id);
        request.stride = 0xfffffffc;
        g_assert_cmpint(ask(f, request).status, ==, HX_EXPORT_UNREADABLE);
        request.stride = WIDTH * 4 - 1;
        g_assert_cmpint(ask(f, request).status, ==, HX_EXPORT_UNREADABLE);
        request = blob_request(id);
        request.fourcc = HXFR_FORMAT_NV12;
        g_assert_cmpint(ask(f, request).status, ==, HX_EXPORT_UNREADABLE);
        request = blob_request(id);
        request.width = request.height = 1024;
        request.stride = 1024 * 4 + 1;
        g_assert_cmpint(ask(f, request).status, ==, HX_EXPORT_TOO_LARGE);
        g_assert_cmpint(read_resource(f, id, 0).status, ==, HX_EXPORT_UNREADABLE);
    }
    g_assert_cmpint(ask(f, blob_request(RES_NONE)).status, ==, HX_EXPORT_NOT_FOUND);
    g_assert_cmpuint(count_descriptors(f->pid), ==, descriptors);
    /* Pages that are not there end nobody. */
    g_assert_cmpint(order(f, 'p'), ==, 'p');
    g_assert_cmpint(ask(f, blob_request(RES_HOST)).status, ==, HX_EXPORT_FAILED);
    /* What QEMU has unmapped is read as before, and what it has destroyed is gone. */
    g_assert_cmpint(order(f, 'm'), ==, 'm');
    assert_blob(f, RES_HOST_QEMU);
    g_assert_cmpint(order(f, 'd'), ==, 'd');
    g_assert_cmpint(ask(f, blob_request(RES_HOST_QEMU)).status, ==, HX_EXPORT_NOT_FOUND);
    g_assert_cmpint(order(f, 'z'), ==, 'z');
    g_assert_cmpint(ask(f, blob_request(RES_HOST)).status, ==, HX_EXPORT_NOT_FOUND);
    g_assert_cmpint(ask(f, blob_request(RES_GUEST)).status, ==, HX_EXPORT_NOT_FOUND);
}

static void test_no_render_server(Fixture *f, const void *data)
{
    greet(f);
    g_assert_cmpint(order(f, 'i'), ==, 'i');
    g_assert_cmpint(order(f, 'r'), ==, 'r');
    g_assert_cmpint(read_resource(f, RES_BGRA, 0).status, ==, HX_EXPORT_OK);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--stand-in") == 0)
        return stand_in();
    g_test_init(&argc, &argv, NULL);
    self_path = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *build = g_canonicalize_filename(g_getenv("BUILD") ?: "build", NULL);
    module_path = g_build_filename(build, "libhelixvm-export.so", NULL);
    g_assert_true(g_file_test(module_path, G_FILE_TEST_EXISTS));
    g_test_add("/module/pixels", Fixture, "i", set_up, test_pixels, tear_down);
    g_test_add("/module/pixels-in-thread", Fixture, "g", set_up, test_pixels, tear_down);
    g_test_add("/module/vanishing", Fixture, NULL, set_up, test_vanishing, tear_down);
    g_test_add("/module/hello", Fixture, NULL, set_up, test_hello, tear_down);
    g_test_add("/module/broken-packets", Fixture, NULL, set_up, test_broken_packets, tear_down);
    g_test_add("/module/one-client", Fixture, NULL, set_up, test_one_client, tear_down);
    g_test_add("/module/stalled-client", Fixture, NULL, set_up, test_stalled_client, tear_down);
    g_test_add("/module/other-user", Fixture, NULL, set_up, test_other_user, tear_down);
    g_test_add("/module/turns", Fixture, NULL, set_up, test_turns, tear_down);
    g_autofree char *old = g_build_filename(build, "tests/virglrenderer-old", NULL);
    g_test_add("/module/old", Fixture, old, set_up_old, test_old, tear_down);
    g_test_add("/module/venus", Fixture, NULL, set_up, test_venus, tear_down);
    g_test_add("/module/blobs", Fixture, NULL, set_up, test_blobs, tear_down);
    g_test_add("/module/no-render-server", Fixture, "/nonexistent", set_up, test_no_render_server,
               tear_down);
    return g_test_run();
}
