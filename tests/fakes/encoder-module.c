/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/fakes/encoder-module.h"

#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "encoder/export-protocol.h"
#include "encoder/protocol.h"
#include "launcher/base/fd.h"
#include "launcher/base/unix-socket.h"
#include "tests/fakes/encoder-client.h"

struct FakeModule {
    int listening;
    int client;
    int quit;
    gint behaviour;
    guint8 *slots;
    gsize size;
    gsize slot_size;
    FakePictures pictures;
    GThread *thread;
};

static void drop_client(FakeModule *module)
{
    hx_close(&module->client);
    if (module->slots)
        munmap(module->slots, module->size);
    module->slots = NULL;
}

static void greet(FakeModule *module, const HxExportHello *hello, int memory, FakeBehaviour how)
{
    g_assert_cmphex(hello->magic, ==, HX_EXPORT_MAGIC);
    g_assert_cmpint(memory, >=, 0);
    module->slot_size = hello->slot_size;
    module->size = hello->slot_count * hello->slot_size;
    module->slots = mmap(NULL, module->size, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    g_assert_true(module->slots != MAP_FAILED);
    HxExportHelloAnswer answer = {
        .magic = HX_EXPORT_MAGIC,
        .type = HX_EXPORT_HELLO_ANSWER,
        .version = how == FAKE_OLD ? HX_EXPORT_VERSION + 1 : HX_EXPORT_VERSION,
        .renderer_ready = 1,
    };
    if (how != FAKE_NO_GREETING)
        send(module->client, &answer, sizeof answer, MSG_NOSIGNAL);
}

static void read_picture(FakeModule *module, const HxExportRead *request, HxExportAnswer *answer)
{
    const FakePictures *pictures = &module->pictures;
    gint64 begun = g_get_monotonic_time();
    g_assert_cmpuint(request->resource_id - 1, <, pictures->count);
    answer->fourcc = HXFR_FORMAT_XR24;
    answer->width = pictures->width;
    answer->height = pictures->height;
    answer->stride = pictures->width * 4;
    answer->size = (guint64)answer->stride * answer->height;
    memcpy(module->slots + request->slot * module->slot_size,
           pictures->pixels[request->resource_id - 1], answer->size);
    answer->held_ns = (guint64)(g_get_monotonic_time() - begun) * 1000;
}

static void answer_read(FakeModule *module, const HxExportRead *request, FakeBehaviour how)
{
    HxExportAnswer answer = {
        .magic = HX_EXPORT_MAGIC,
        .type = HX_EXPORT_ANSWER,
        .request_id = request->request_id,
        .width = FAKE_WIDTH,
        .height = FAKE_HEIGHT,
        .fourcc = HXFR_FORMAT_XB24,
        .stride = FAKE_WIDTH * 4,
        .size = FAKE_WIDTH * FAKE_HEIGHT * 4,
        .held_ns = 1500000,
    };
    static const int statuses[] = {
        [FAKE_NOT_FOUND] = HX_EXPORT_NOT_FOUND,
        [FAKE_UNREADABLE] = HX_EXPORT_UNREADABLE,
        [FAKE_TOO_LARGE] = HX_EXPORT_TOO_LARGE,
        [FAKE_FAILED] = HX_EXPORT_FAILED,
    };
    size_t size = sizeof answer;
    if (how < G_N_ELEMENTS(statuses) && statuses[how])
        answer.status = statuses[how];
    switch (how) {
    case FAKE_SILENT:
        return;
    case FAKE_CLOSES:
        drop_client(module);
        return;
    case FAKE_WRONG_ID:
        answer.request_id++;
        break;
    case FAKE_SHORT:
        size /= 2;
        break;
    case FAKE_BAD_STRIDE:
        answer.stride = FAKE_WIDTH;
        break;
    case FAKE_BAD_SIZE:
        answer.height = 8192;
        answer.width = 8192;
        answer.stride = 8192 * 4;
        break;
    case FAKE_BAD_FORMAT:
        answer.fourcc = 0x11111111;
        break;
    case FAKE_NV12:
        answer.fourcc = HXFR_FORMAT_NV12;
        break;
    case FAKE_PICTURES:
        read_picture(module, request, &answer);
        break;
    default: {
        gsize n;
        g_autofree guint8 *pixels = test_pattern_pixels(HXFR_FORMAT_XB24, FAKE_WIDTH, FAKE_HEIGHT,
                                                        FAKE_WIDTH * 4, request->resource_id, &n);
        memcpy(module->slots + request->slot * module->slot_size, pixels, n);
    }
    }
    send(module->client, &answer, size, MSG_NOSIGNAL);
}

static void take_packet(FakeModule *module)
{
    union {
        HxExportHello hello;
        HxExportRead read;
    } packet;
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec iov = {&packet, sizeof packet};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    hx_autofd int memory = -1;
    FakeBehaviour how = g_atomic_int_get(&module->behaviour);
    if (recvmsg(module->client, &message, MSG_CMSG_CLOEXEC) <= 0) {
        drop_client(module);
        return;
    }
    if (CMSG_FIRSTHDR(&message))
        memcpy(&memory, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof memory);
    if (packet.hello.type == HX_EXPORT_HELLO)
        greet(module, &packet.hello, memory, how);
    else
        answer_read(module, &packet.read, how);
}

static void *run(void *data)
{
    FakeModule *module = data;
    for (;;) {
        struct pollfd fds[] = {
            {.fd = module->quit, .events = POLLIN},
            {.fd = module->client, .events = POLLIN},
            {.fd = module->client < 0 ? module->listening : -1, .events = POLLIN},
        };
        poll(fds, G_N_ELEMENTS(fds), -1);
        if (fds[0].revents)
            break;
        if (fds[1].revents)
            take_packet(module);
        if (fds[2].revents)
            module->client = accept4(module->listening, NULL, NULL, SOCK_CLOEXEC);
    }
    drop_client(module);
    return NULL;
}

FakeModule *fake_module_start(const char *path, FakeBehaviour behaviour)
{
    FakeModule *module = g_new0(FakeModule, 1);
    module->listening = hx_unix_listen(path, SOCK_SEQPACKET, 0600);
    g_assert_cmpint(module->listening, >=, 0);
    module->client = -1;
    module->quit = eventfd(0, EFD_CLOEXEC);
    module->behaviour = behaviour;
    module->thread = g_thread_new("module", run, module);
    return module;
}

void fake_module_set(FakeModule *module, FakeBehaviour behaviour)
{
    g_atomic_int_set(&module->behaviour, (gint)behaviour);
}

void fake_module_show(FakeModule *module, const FakePictures *pictures)
{
    module->pictures = *pictures;
}

void fake_module_stop(FakeModule *module)
{
    g_assert_cmpint(eventfd_write(module->quit, 1), ==, 0);
    g_thread_join(module->thread);
    hx_close(&module->listening);
    hx_close(&module->quit);
    g_free(module);
}
