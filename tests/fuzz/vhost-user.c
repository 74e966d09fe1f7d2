/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Messages of a front end: any bytes, with any descriptors, in any order.
 *
 * Input: messages of a byte of descriptors (how many, and from which on), a byte that says what is
 * done besides, the request, the flags, the payload's size in two bytes, and the payload. */
#include "launcher/vsock/vhost-user.h"

#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "launcher/base/fd.h"
#include "launcher/base/unix-socket.h"
#include "launcher/vsock/vhost-user-protocol.h"
#include "tests/fuzz/device.h"

#define MESSAGES_MAX 64

enum { SHORTEN = 1, RECONNECT = 2, HEADER_ALONE = 4, KICK = 8, LIE_ABOUT_SIZE = 16 };

static FuzzDevice *device;
static HxVhostUser *vhost;
static char *path;
static int listener, front_end = -1, descriptors[8];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void reset(void *data)
{
    hx_vsock_reset(data);
}

static void tear_down(void)
{
    fuzz_device_own_queues(device);
    hx_vhost_user_free(vhost);
    hx_close(&front_end);
    hx_close(&listener);
    g_unlink(path);
    g_free(path);
}

static void set_up(void)
{
    device = fuzz_device_new();
    path = g_strdup_printf("%s_front-end", device->path);
    listener = hx_unix_listen(path, SOCK_STREAM | SOCK_NONBLOCK, 0600);
    int r, pipe_fds[2];
    vhost = hx_vhost_user_new(&device->events, &device->session, listener, FUZZ_CID, reset,
                              device->vsock, &r);
    g_assert_nonnull(vhost);
    hx_vsock_set_queues(device->vsock, hx_vhost_user_queue(vhost, HX_VSOCK_RX),
                        hx_vhost_user_queue(vhost, HX_VSOCK_TX), hx_vhost_user_features(vhost));
    g_assert_cmpint(pipe2(pipe_fds, O_CLOEXEC), ==, 0);
    descriptors[0] = descriptors[1] = device->memfd;
    for (int i = 2; i < 6; i++)
        descriptors[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    descriptors[6] = pipe_fds[1];
    descriptors[7] = listener;
    atexit(tear_down);
}

static void connect_front_end(void)
{
    hx_close(&front_end);
    fuzz_device_run(device, 3);
    front_end = hx_unix_connect(path, SOCK_STREAM | SOCK_NONBLOCK);
    g_assert_cmpint(front_end, >=, 0);
}

static void send_message(FuzzInput *input)
{
    unsigned with = fuzz_u8(input), besides = fuzz_u8(input);
    HxVhostHeader header = {.request = fuzz_u8(input), .flags = fuzz_u8(input)};
    header.size = fuzz_u16(input) % 512;
    size_t size = besides & HEADER_ALONE ? 0 : header.size;
    const uint8_t *payload = fuzz_bytes(input, &size);
    if (besides & LIE_ABOUT_SIZE)
        header.size = fuzz_u32(input);
    struct iovec iov[] = {{&header, sizeof header}, {(void *)payload, size}};
    char control[CMSG_SPACE(16 * sizeof(int))] = "";
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
    unsigned count = with & 15, from = with >> 4;
    if (count > 0) {
        msg.msg_control = control;
        msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(count * sizeof(int));
        for (unsigned i = 0; i < count; i++)
            memcpy(CMSG_DATA(c) + i * sizeof(int), &descriptors[(from + i) % 8], sizeof(int));
    }
    sendmsg(front_end, &msg, MSG_NOSIGNAL);
    if (besides & KICK)
        eventfd_write(descriptors[2], 1);
    if (besides & SHORTEN)
        g_assert_cmpint(ftruncate(device->memfd, 0), ==, 0);
    fuzz_device_run(device, 3);
    hx_vhost_user_check_memory(vhost);
    if (besides & RECONNECT)
        connect_front_end();
    char replies[1024];
    while (recv(front_end, replies, sizeof replies, MSG_DONTWAIT) > 0)
        ;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!device)
        set_up();
    FuzzInput input = {data, size};
    connect_front_end();
    for (int i = 0; input.size > 0 && i < MESSAGES_MAX; i++)
        send_message(&input);
    hx_close(&front_end);
    fuzz_device_run(device, 3);
    g_assert_cmpint(ftruncate(device->memfd, 0), ==, 0);
    g_assert_cmpint(ftruncate(device->memfd, FUZZ_MEMORY), ==, 0);
    return 0;
}
