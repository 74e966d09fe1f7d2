/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The module's side of encoder/export-protocol.h, with an encoder that may say anything.
 *
 * Input: packets of a byte that says which descriptor comes with it, a byte that says what to put
 * right, the size in a byte, and the packet. */
#include "encoder/qemu-module/module.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "encoder/export-protocol.h"
#include "encoder/qemu-module/read-thread.h"
#include "launcher/base/fd.h"
#include "launcher/base/unix-socket.h"
#include "tests/fuzz/input.h"

#define PACKETS_MAX 32
#define MEMORY (64 * 4096)

enum { HELLO = 1, READ = 2, WHOLE = 4 };
enum { NONE, SEALED, UNSEALED, SMALL, OTHER, KINDS };

static char *directory, *path;
static int descriptors[KINDS] = {-1, -1, -1, -1, -1};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* --- in the place of virglrenderer ---------------------------------------------------------------
 */

gboolean hx_virgl_is_ready(void)
{
    return TRUE;
}

/* In the place of the thread: what it reads is there when the next packet has come. */
static struct {
    uint8_t *slot_end; /* its last byte */
    HxReadDone done;   /* NULL: it reads nothing */
    void *data;
    gboolean ok;
} reader;

/* All of the slot is there to be written. */
static void fill(const HxExportSlot *slot, uint8_t byte)
{
    g_assert_cmpuint(slot->size, >, 0);
    ((uint8_t *)slot->bytes)[slot->size - 1] = (uint8_t)~byte;
    g_assert_cmpint(pwrite(slot->memory, &byte, 1, (off_t)(slot->begin + slot->size - 1)), ==, 1);
    g_assert_cmpuint(((uint8_t *)slot->bytes)[slot->size - 1], ==, byte);
}

gboolean hx_virgl_read(const HxExportRead *request, const HxExportSlot *slot, HxReadDone done,
                       void *data, HxExportAnswer *ret_answer)
{
    g_assert_null(reader.done);
    ret_answer->status = HX_EXPORT_OK;
    ret_answer->size = slot->size;
    if (!done || !(request->resource_id & 1)) {
        fill(slot, (uint8_t)request->resource_id);
        return FALSE;
    }
    reader.slot_end = (uint8_t *)slot->bytes + slot->size - 1;
    reader.done = done;
    reader.data = data;
    reader.ok = !(request->resource_id & 2);
    return TRUE;
}

void hx_read_thread_cancel(void)
{
    reader.done = NULL;
}

static void end_reading(void)
{
    HxReadDone done = reader.done;
    reader.done = NULL;
    if (!done)
        return;
    *reader.slot_end = 1;
    done(reader.ok, reader.data);
}

/* --- the encoder ---------------------------------------------------------------------------------
 */

static void tear_down(void)
{
    g_unlink(path);
    g_rmdir(directory);
    g_free(path);
    g_free(directory);
}

static int make_memory(off_t size, int seals)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    g_assert_true(fd >= 0 && ftruncate(fd, size) == 0 && fcntl(fd, F_ADD_SEALS, seals) == 0);
    return fd;
}

static void set_up(void)
{
    const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
    directory = g_dir_make_tmp("fuzz-XXXXXX", NULL);
    path = g_build_filename(directory, "export", NULL);
    hx_export_listen(path);
    descriptors[SEALED] = make_memory(MEMORY, seals);
    descriptors[UNSEALED] = make_memory(MEMORY, F_SEAL_SHRINK);
    descriptors[SMALL] = make_memory(4096, seals);
    descriptors[OTHER] = open("/dev/null", O_RDWR | O_CLOEXEC);
    atexit(tear_down);
}

static void run_module(void)
{
    while (g_main_context_iteration(NULL, FALSE))
        ;
}

/* The packet's size: the one of its kind where @right says so. */
static size_t make_packet(FuzzInput *input, uint8_t packet[256], unsigned right)
{
    const uint32_t words[] = {HX_EXPORT_MAGIC, right & HELLO ? HX_EXPORT_HELLO : HX_EXPORT_READ,
                              HX_EXPORT_VERSION};
    size_t size = fuzz_u8(input);
    const uint8_t *bytes = fuzz_bytes(input, &size);
    memset(packet, 0, 256);
    memcpy(packet, bytes, size);
    if (right & (HELLO | READ))
        memcpy(packet, words, right & HELLO ? 12 : 8);
    if (right & WHOLE)
        return right & HELLO ? sizeof(HxExportHello) : sizeof(HxExportRead);
    return size;
}

static void send_packet(int fd, FuzzInput *input)
{
    uint8_t packet[256];
    int with = descriptors[fuzz_u8(input) % KINDS];
    struct iovec iov = {packet, make_packet(input, packet, fuzz_u8(input))};
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    if (with >= 0) {
        message.msg_control = &control;
        message.msg_controllen = sizeof control;
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &with, sizeof with);
    }
    sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput input = {data, size};
    if (!path)
        set_up();
    hx_autofd int fd = hx_unix_connect(path, SOCK_SEQPACKET | SOCK_NONBLOCK);
    g_assert_cmpint(fd, >=, 0);
    run_module();
    for (int i = 0; input.size > 0 && i < PACKETS_MAX; i++) {
        send_packet(fd, &input);
        end_reading();
        run_module();
        HxExportAnswer answer;
        while (recv(fd, &answer, sizeof answer, MSG_DONTWAIT) > 0)
            ;
    }
    hx_close(&fd);
    run_module();
    return 0;
}
