/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Ring contents: a guest that writes anything anywhere in its memory, also between two rounds of
 * the device, while programs of the host come and go.
 *
 * Input: a byte of features and queue size, then steps: a byte that says what, and its operands. */
#include <glib.h>
#include <linux/virtio_vsock.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "launcher/base/unix-socket.h"
#include "tests/fuzz/device.h"

#define STEPS_MAX 400
#define PROGRAMS 4

static FuzzDevice *device;
static int programs[PROGRAMS]; /* of the host */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Mostly within memory; with its top bit set anywhere near the borders of what can be written down.
 */
static uint64_t read_address(FuzzInput *input)
{
    uint32_t value = fuzz_u32(input);
    if (value >> 31)
        return (uint64_t)(int64_t)(int32_t)value;
    return FUZZ_GUEST_BASE + value % (FUZZ_MEMORY + 64);
}

static void write_bytes(FuzzInput *input)
{
    uint32_t offset = fuzz_u32(input) % FUZZ_MEMORY;
    size_t size = fuzz_u8(input);
    const uint8_t *bytes = fuzz_bytes(input, &size);
    memcpy(device->bytes + offset, bytes, MIN(size, FUZZ_MEMORY - offset));
}

static void write_descriptor(FuzzInput *input)
{
    unsigned queue = fuzz_u8(input);
    struct vring_desc descriptor = {.addr = read_address(input)};
    descriptor.len = queue & 2 ? fuzz_u32(input) : fuzz_u16(input);
    descriptor.flags = fuzz_u8(input);
    descriptor.next = fuzz_u8(input);
    if (queue & 4) /* into an indirect table */
        memcpy(device->bytes + FUZZ_FREE + fuzz_u8(input) * sizeof descriptor, &descriptor,
               sizeof descriptor);
    else
        device->vrings[queue & 1].desc[fuzz_u8(input) % device->vrings[0].num] = descriptor;
}

static void write_header(FuzzInput *input)
{
    uint32_t offset = fuzz_u32(input) % (FUZZ_MEMORY - sizeof(struct virtio_vsock_hdr));
    unsigned ports = fuzz_u8(input);
    struct virtio_vsock_hdr hdr = {
        .src_cid = FUZZ_CID,
        .dst_cid = 2,
        .src_port = ports % 4,
        .dst_port = ports / 4 % 8,
        .op = fuzz_u8(input) % 9,
        .type = 1 + (ports >> 7),
        .len = fuzz_u16(input),
        .flags = fuzz_u8(input),
        .buf_alloc = fuzz_u32(input),
        .fwd_cnt = fuzz_u16(input),
    };
    memcpy(device->bytes + offset, &hdr, sizeof hdr);
}

static void act_as_program(FuzzInput *input)
{
    static uint8_t buffer[0x10000];
    unsigned what = fuzz_u8(input);
    int *program = &programs[what % PROGRAMS];
    switch (what / PROGRAMS % 6) {
    case 0:
        if (*program < 0)
            *program = fuzz_accept(device, fuzz_u8(input));
        break;
    case 1:
        if (*program < 0)
            *program = hx_unix_connect(device->path, SOCK_STREAM | SOCK_NONBLOCK);
        if (*program >= 0)
            send(*program, "CONNECT 1\n", 10, MSG_NOSIGNAL);
        break;
    case 2:
        if (*program >= 0)
            send(*program, buffer, fuzz_u16(input), MSG_NOSIGNAL);
        break;
    case 3:
        if (*program >= 0)
            recv(*program, buffer, fuzz_u16(input), MSG_DONTWAIT);
        break;
    case 4:
        if (*program >= 0)
            shutdown(*program, fuzz_u8(input) % 3);
        break;
    default:
        if (*program >= 0)
            close(*program);
        *program = -1;
    }
}

static void take_step(FuzzInput *input)
{
    unsigned what = fuzz_u8(input), index;
    switch (what % 8) {
    case 0:
        write_bytes(input);
        break;
    case 1:
        write_descriptor(input);
        break;
    case 2:
        fuzz_offer(device, what >> 3 & 1, fuzz_u8(input));
        break;
    case 3:
        write_header(input);
        break;
    case 4:
        act_as_program(input);
        break;
    case 5:
        index = what >> 3 & 1;
        device->vrings[index].avail->idx += (int8_t)fuzz_u8(input);
        break;
    case 6: /* the same packets once more */
        index = fuzz_u8(input);
        for (unsigned i = 0; i < index % 32; i++)
            fuzz_offer(device, what >> 3 & 1, i);
        break;
    default:
        fuzz_device_run(device, 6);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!device)
        device = fuzz_device_new();
    FuzzInput input = {data, size};
    unsigned features = fuzz_u8(&input);
    memset(programs, -1, sizeof programs);
    fuzz_device_start(device, 1u << (features >> 2) % 11, features & 1, features & 2);
    for (int i = 0; input.size > 0 && i < STEPS_MAX; i++)
        take_step(&input);
    fuzz_device_run(device, 6);
    for (unsigned i = 0; i < PROGRAMS; i++)
        if (programs[i] >= 0)
            close(programs[i]);
    fuzz_device_stop(device);
    return 0;
}
