/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The encoder's side of encoder/export-protocol.h, with a module in QEMU that may say anything.
 *
 * Input: for each packet that the module is sent, a byte that says what to put right in the answer,
 * its size in a byte, and the answer; 0 as the size, or the input's end, closes the connection. */
#include "encoder/service/module-client.h"

#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "encoder/export-protocol.h"
#include "encoder/protocol.h"
#include "launcher/base/fd.h"
#include "launcher/base/unix-socket.h"
#include "tests/fuzz/input.h"

#define READS 4

enum { RIGHT_TYPE = 1, RIGHT_ID = 2, RIGHT_SIZE = 4 };

static char *directory, *path;
static int listener = -1;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void tear_down(void)
{
    g_unlink(path);
    g_rmdir(directory);
    g_free(path);
    g_free(directory);
}

static void set_up(void)
{
    directory = g_dir_make_tmp("fuzz-XXXXXX", NULL);
    path = g_build_filename(directory, "module", NULL);
    atexit(tear_down);
}

typedef union {
    HxExportHelloAnswer hello;
    HxExportAnswer read;
    uint8_t bytes[256];
} Answer;

/* The size of the answer to @request, 0 for none. */
static size_t make_answer(FuzzInput *input, const HxExportRead *request, Answer *answer)
{
    unsigned right = fuzz_u8(input);
    size_t size = fuzz_u8(input), expected;
    if (size == 0)
        return 0;
    memset(answer, 0, sizeof *answer);
    const uint8_t *bytes = fuzz_bytes(input, &size);
    memcpy(answer->bytes, bytes, size);
    if (request->type == HX_EXPORT_HELLO) {
        expected = sizeof answer->hello;
        answer->hello.version = right & RIGHT_TYPE ? HX_EXPORT_VERSION : answer->hello.version;
    } else {
        expected = sizeof answer->read;
    }
    if (right & RIGHT_TYPE) {
        answer->read.magic = HX_EXPORT_MAGIC;
        answer->read.type =
            request->type == HX_EXPORT_HELLO ? HX_EXPORT_HELLO_ANSWER : HX_EXPORT_ANSWER;
    }
    if (right & RIGHT_ID && request->type == HX_EXPORT_READ)
        answer->read.request_id = request->request_id;
    return right & RIGHT_SIZE ? expected : MAX(size, 1);
}

static void serve(FuzzInput *input, int fd)
{
    HxExportRead request;
    Answer answer;
    size_t size = 1;
    while (size > 0 && recv(fd, &request, sizeof request, 0) > 0) {
        size = make_answer(input, &request, &answer);
        if (size > 0)
            send(fd, &answer, size, MSG_NOSIGNAL);
    }
}

/* One connection after the other, as the client comes again, until there is no listener. */
static void *run_module(void *data)
{
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        serve(data, fd);
        close(fd);
    }
    return NULL;
}

/* What it says of a picture is true of the memory that it has. */
static void look_at(const HxModulePicture *picture)
{
    size_t size =
        hxfr_pixels_size(picture->format, picture->width, picture->height, picture->stride);
    g_assert_cmpuint(size, >, 0);
    g_assert_cmpuint(size, <=, HX_EXPORT_SLOT_SIZE_MAX);
    volatile uint8_t last = picture->pixels[0];
    last = picture->pixels[size - 1];
    (void)last;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput input = {data, size};
    if (!path)
        set_up();
    listener = hx_unix_listen(path, SOCK_SEQPACKET, 0600);
    g_assert_cmpint(listener, >=, 0);
    GThread *module = g_thread_new("module", run_module, &input);
    HxModuleClient *client = hx_module_client_new(path);
    g_assert_nonnull(client);
    for (uint32_t id = 1; id <= READS; id++) {
        HxModulePicture picture;
        const HxfrFrameRequest request = {.resource_id = id};
        if (hx_module_client_read(client, &request, &picture) < 0)
            continue;
        look_at(&picture);
        hx_module_client_release(client, &picture);
    }
    hx_module_client_free(client);
    shutdown(listener, SHUT_RDWR);
    g_thread_join(module);
    hx_close(&listener);
    return 0;
}
