/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Packet sequences against the connections' states: a driver that keeps the rules of the rings, a
 * guest that keeps or breaks those of the packets, and programs of the host, with a model of each
 * stream.  Byte k of a stream is pattern(stream, k), so that a lost, repeated or reordered byte
 * shows; the credit, the order of the device's packets and the ends are checked too.
 *
 * Input: a byte of features, then steps: what, which connection, a size. */
#include <errno.h>
#include <glib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "launcher/vsock/connection.h"
#include "tests/fuzz/device.h"

#define STEPS_MAX 300
#define CONNECTIONS 3
#define QUEUE 64
#define HEADER sizeof(struct virtio_vsock_hdr)
/* Places for packets, behind the rings: the guest's, then the device's. */
#define SLOT 0x1000
#define TX_SLOTS 16
#define RX_SLOTS 16

/* The guest's ports are 100 + index, the host's 1 + index. */
typedef struct {
    bool open;             /* the guest has asked, and not seen an RST */
    bool answered;         /* RESPONSE has come */
    bool clean;            /* the guest has broken no rule and reset nothing */
    bool guest_shut;       /* the guest has said that it sends no more */
    bool host_shut;        /* the device has said that the host does */
    bool program_shut;     /* it really does */
    int program;           /* of the host, -1 */
    uint32_t sent, read;   /* guest to host: by the guest, by the program */
    uint32_t written, got; /* host to guest: by the program, by the guest */
    uint32_t buffer;       /* the guest's, as it said last */
    uint32_t limit;        /* the most that its credit ever allowed the device to send */
    uint32_t device_forwarded, device_buffer;
} Stream;

static FuzzDevice *device;
static Stream streams[CONNECTIONS];
static uint16_t used[2];
static bool tx_busy[TX_SLOTS];
static bool rx_offered[RX_SLOTS];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t pattern(unsigned stream, uint32_t offset)
{
    return (offset * 31 + (offset >> 8) * 7) ^ stream * 85;
}

static void fill(uint8_t *to, unsigned stream, uint32_t offset, uint32_t size)
{
    for (uint32_t i = 0; i < size; i++)
        to[i] = pattern(stream, offset + i);
}

static void check(const uint8_t *bytes, unsigned stream, uint32_t offset, uint32_t size)
{
    for (uint32_t i = 0; i < size; i++)
        g_assert_cmpuint(bytes[i], ==, pattern(stream, offset + i));
}

/* --- the driver ----------------------------------------------------------------------------------
 */

static uint8_t *slot(unsigned index)
{
    return device->bytes + FUZZ_FREE + index * SLOT;
}

static uint64_t address(const uint8_t *pointer)
{
    return FUZZ_GUEST_BASE + (pointer - device->bytes);
}

static void collect_sent(void)
{
    struct vring *vring = &device->vrings[FUZZ_TX];
    while (vring->used->idx != used[FUZZ_TX]) {
        struct vring_used_elem e = vring->used->ring[used[FUZZ_TX]++ % QUEUE];
        g_assert_cmpuint(e.id % 2, ==, 0);
        g_assert_cmpuint(e.id / 2, <, TX_SLOTS);
        g_assert_true(tx_busy[e.id / 2]);
        tx_busy[e.id / 2] = false;
    }
}

/* Put a packet into the ring, if there is a place: in two pieces, cut at @cut. */
static bool send_packet(const struct virtio_vsock_hdr *hdr, const uint8_t *payload, unsigned cut)
{
    collect_sent();
    unsigned i = 0;
    while (i < TX_SLOTS && tx_busy[i])
        i++;
    if (i == TX_SLOTS)
        return false;
    uint8_t *packet = slot(i);
    uint32_t size = HEADER + (payload ? hdr->len : 0);
    memcpy(packet, hdr, HEADER);
    if (payload)
        memcpy(packet + HEADER, payload, hdr->len);
    cut %= size + 1;
    device->vrings[FUZZ_TX].desc[2 * i] =
        (struct vring_desc){address(packet), cut, VRING_DESC_F_NEXT, 2 * i + 1};
    device->vrings[FUZZ_TX].desc[2 * i + 1] =
        (struct vring_desc){address(packet + cut), size - cut, 0, 0};
    tx_busy[i] = true;
    fuzz_offer(device, FUZZ_TX, 2 * i);
    return true;
}

static struct virtio_vsock_hdr header(unsigned i, unsigned op)
{
    Stream *s = &streams[i];
    s->limit = MAX(s->limit, s->got + s->buffer);
    return (struct virtio_vsock_hdr){
        .src_cid = FUZZ_CID,
        .dst_cid = 2,
        .src_port = 100 + i,
        .dst_port = 1 + i,
        .type = 1,
        .op = op,
        .buf_alloc = s->buffer,
        .fwd_cnt = s->got,
    };
}

static void offer_buffers(unsigned count, unsigned size)
{
    for (unsigned i = 0; i < RX_SLOTS && count > 0; i++) {
        if (rx_offered[i])
            continue;
        rx_offered[i] = true;
        count--;
        device->vrings[FUZZ_RX].desc[i] =
            (struct vring_desc){address(slot(TX_SLOTS + i)),
                                HEADER + 1 + size % (SLOT - HEADER - 1), VRING_DESC_F_WRITE, 0};
        fuzz_offer(device, FUZZ_RX, i);
    }
}

/* --- what the device says ------------------------------------------------------------------------
 */

static void end_stream(Stream *s)
{
    if (s->program >= 0)
        close(s->program);
    *s = (Stream){.program = -1};
}

static void receive_data(unsigned i, const struct virtio_vsock_hdr *hdr, const uint8_t *payload)
{
    Stream *s = &streams[i];
    g_assert_cmpuint(hdr->len, >, 0);
    g_assert_false(s->host_shut);
    check(payload, i, s->got, hdr->len);
    s->got += hdr->len;
    g_assert_cmpuint(s->got, <=, s->written);
    g_assert_cmpuint(s->got, <=, s->limit);
}

static void receive_packet(const struct virtio_vsock_hdr *hdr, const uint8_t *payload)
{
    g_assert_cmpuint(hdr->dst_cid, ==, FUZZ_CID);
    unsigned i = hdr->dst_port - 100;
    if (hdr->op == VIRTIO_VSOCK_OP_RST) {
        if (i < CONNECTIONS && hdr->src_port == 1 + i && hdr->src_cid == 2 && hdr->type == 1) {
            /* The guest's own last packets may be on the way: nothing more is said of them. */
            end_stream(&streams[i]);
        }
        return;
    }
    g_assert_cmpuint(hdr->src_cid, ==, 2);
    g_assert_cmpuint(i, <, CONNECTIONS);
    g_assert_cmpuint(hdr->src_port, ==, 1 + i);
    Stream *s = &streams[i];
    if (!s->open)
        return; /* said before the guest's RST had arrived */
    /* Its account of us: never more than was sent, and never less than before. */
    g_assert_cmpuint(hdr->fwd_cnt, <=, s->sent);
    g_assert_cmpuint(hdr->fwd_cnt, >=, s->device_forwarded);
    s->device_forwarded = hdr->fwd_cnt;
    s->device_buffer = hdr->buf_alloc;
    if (hdr->op == VIRTIO_VSOCK_OP_RESPONSE) {
        g_assert_false(s->answered);
        s->answered = true;
        return;
    }
    g_assert_true(s->answered);
    if (hdr->op == VIRTIO_VSOCK_OP_RW) {
        receive_data(i, hdr, payload);
    } else if (hdr->op == VIRTIO_VSOCK_OP_SHUTDOWN) {
        s->host_shut |= hdr->flags & VIRTIO_VSOCK_SHUTDOWN_SEND;
        g_assert_true(!s->host_shut || s->program_shut || s->program < 0 || !s->clean);
        /* All that a program wrote before it ended has come, unless nobody wanted it. */
        if (s->host_shut && s->clean && !s->guest_shut && s->program_shut && s->program >= 0)
            g_assert_cmpuint(s->got, ==, s->written);
    } else {
        g_assert_cmpuint(hdr->op, ==, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
    }
}

static void receive_packets(void)
{
    struct vring *vring = &device->vrings[FUZZ_RX];
    while (vring->used->idx != used[FUZZ_RX]) {
        struct vring_used_elem e = vring->used->ring[used[FUZZ_RX]++ % QUEUE];
        g_assert_cmpuint(e.id, <, RX_SLOTS);
        g_assert_true(rx_offered[e.id]);
        rx_offered[e.id] = false;
        g_assert_cmpuint(e.len, >=, HEADER);
        g_assert_cmpuint(e.len, <=, vring->desc[e.id].len);
        struct virtio_vsock_hdr hdr;
        memcpy(&hdr, slot(TX_SLOTS + e.id), sizeof hdr);
        g_assert_cmpuint(hdr.len, ==, e.len - HEADER);
        receive_packet(&hdr, slot(TX_SLOTS + e.id) + HEADER);
    }
    /* The rules of the rings were kept, whatever the packets were. */
    g_assert_false(device->queues[FUZZ_RX].broken);
    g_assert_false(device->queues[FUZZ_TX].broken);
}

static void run(void)
{
    fuzz_device_run(device, 8);
    collect_sent();
    receive_packets();
}

/* Until the device has nothing more to say. */
static void drain(void)
{
    uint16_t before;
    do {
        before = used[FUZZ_RX];
        offer_buffers(RX_SLOTS, SLOT);
        run();
    } while (used[FUZZ_RX] != before);
}

/* --- steps: the guest ----------------------------------------------------------------------------
 */

static void guest_connects(unsigned i, unsigned size)
{
    Stream *s = &streams[i];
    if (s->open)
        return;
    drain(); /* what was said of the one before is over */
    end_stream(s);
    for (int fd; (fd = fuzz_accept(device, i)) >= 0;)
        close(fd);
    s->buffer = size * 16;
    struct virtio_vsock_hdr hdr = header(i, VIRTIO_VSOCK_OP_REQUEST);
    s->open = s->clean = send_packet(&hdr, NULL, HEADER);
}

static void guest_sends(unsigned i, unsigned size)
{
    Stream *s = &streams[i];
    uint8_t payload[SLOT - HEADER];
    if (!s->open || !s->answered || s->guest_shut)
        return;
    uint32_t credit = s->device_buffer - (s->sent - s->device_forwarded);
    size = MIN(MIN(size * 16, sizeof payload), credit);
    fill(payload, i, s->sent, size);
    struct virtio_vsock_hdr hdr = header(i, VIRTIO_VSOCK_OP_RW);
    hdr.len = size;
    if (send_packet(&hdr, payload, size * 7))
        s->sent += size;
}

static void guest_says(unsigned i, unsigned op, unsigned flags)
{
    Stream *s = &streams[i];
    struct virtio_vsock_hdr hdr = header(i, op);
    hdr.flags = flags & 3;
    if (!s->open || !send_packet(&hdr, NULL, flags))
        return;
    if (op == VIRTIO_VSOCK_OP_SHUTDOWN && flags & VIRTIO_VSOCK_SHUTDOWN_SEND)
        s->guest_shut = true;
    if (op == VIRTIO_VSOCK_OP_SHUTDOWN && flags & VIRTIO_VSOCK_SHUTDOWN_RCV)
        s->clean = false;
    if (op == VIRTIO_VSOCK_OP_RST) {
        drain();
        end_stream(s);
    }
}

/* Any packet at all: of that connection nothing is expected any more, of the others everything. */
static void guest_breaks_rules(unsigned i, FuzzInput *input)
{
    struct virtio_vsock_hdr hdr = header(i, fuzz_u8(input) % 10);
    hdr.type = fuzz_u8(input) % 3;
    hdr.flags = fuzz_u8(input);
    hdr.len = fuzz_u16(input);
    unsigned cut = fuzz_u8(input);
    send_packet(&hdr, NULL, cut);
    struct virtio_vsock_hdr rst = header(i, VIRTIO_VSOCK_OP_RST);
    drain();
    g_assert_true(send_packet(&rst, NULL, HEADER));
    drain();
    end_stream(&streams[i]);
}

/* --- steps: the host -----------------------------------------------------------------------------
 */

static void program_reads(unsigned i, unsigned size)
{
    Stream *s = &streams[i];
    uint8_t bytes[4096];
    if (s->program < 0)
        return;
    ssize_t n = recv(s->program, bytes, 1 + size * 16 % sizeof bytes, MSG_DONTWAIT);
    if (n > 0) {
        check(bytes, i, s->read, n);
        s->read += n;
        g_assert_cmpuint(s->read, <=, s->sent);
    } else if (n == 0 && s->open) {
        /* The end: the guest has said so, and nothing is missing. */
        g_assert_true(s->guest_shut || !s->clean);
        if (s->clean)
            g_assert_cmpuint(s->read, ==, s->sent);
    }
}

static void program_writes(unsigned i, unsigned size)
{
    Stream *s = &streams[i];
    uint8_t bytes[4096];
    if (s->program < 0 || s->program_shut)
        return;
    size = 1 + size * 16 % sizeof bytes;
    fill(bytes, i, s->written, size);
    ssize_t n = send(s->program, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0)
        s->written += n;
}

static void program_acts(unsigned i, unsigned what)
{
    Stream *s = &streams[i];
    if (s->program < 0) {
        if (s->open)
            s->program = fuzz_accept(device, i);
    } else if (what % 4 == 0) {
        shutdown(s->program, SHUT_WR);
        s->program_shut = true;
    } else if (what % 4 == 1) {
        close(s->program);
        s->program = -1;
        s->program_shut = true;
        s->clean = false;
    }
}

static void take_step(FuzzInput *input)
{
    unsigned what = fuzz_u8(input), i = what / 16 % CONNECTIONS, size = fuzz_u8(input);
    switch (what % 16) {
    case 0:
        guest_connects(i, size);
        break;
    case 1:
    case 2:
        guest_sends(i, size);
        break;
    case 3:
        guest_says(i, VIRTIO_VSOCK_OP_SHUTDOWN, size);
        break;
    case 4:
        guest_says(i, VIRTIO_VSOCK_OP_RST, size);
        break;
    case 5:
        streams[i].buffer = size * 64;
        guest_says(i, VIRTIO_VSOCK_OP_CREDIT_UPDATE, size);
        break;
    case 6:
        guest_says(i, VIRTIO_VSOCK_OP_CREDIT_REQUEST, size);
        break;
    case 7:
        guest_breaks_rules(i, input);
        break;
    case 8:
    case 9:
        program_reads(i, size);
        break;
    case 10:
    case 11:
        program_writes(i, size);
        break;
    case 12:
        program_acts(i, size);
        break;
    case 13:
        offer_buffers(size % 8, size * 16);
        break;
    default:
        run();
    }
}

/* Everybody reads: all that was sent arrives. */
static void finish(unsigned i)
{
    Stream *s = &streams[i];
    drain();
    for (int round = 0; round < 400; round++) {
        if (!s->open || !s->clean || !s->answered || s->program < 0)
            return;
        if (s->read == s->sent && s->got == s->written)
            return;
        s->buffer = 0x10000;
        guest_says(i, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0);
        drain();
        program_reads(i, 255);
    }
    g_assert_cmpuint(s->read, ==, s->sent);
    g_assert_cmpuint(s->got, ==, s->written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!device)
        device = fuzz_device_new();
    FuzzInput input = {data, size};
    unsigned features = fuzz_u8(&input);
    memset(used, 0, sizeof used);
    memset(tx_busy, 0, sizeof tx_busy);
    memset(rx_offered, 0, sizeof rx_offered);
    for (unsigned i = 0; i < CONNECTIONS; i++)
        streams[i] = (Stream){.program = -1};
    fuzz_device_start(device, QUEUE, features & 1, false);
    for (int i = 0; input.size > 0 && i < STEPS_MAX; i++)
        take_step(&input);
    for (unsigned i = 0; i < CONNECTIONS; i++)
        finish(i);
    for (unsigned i = 0; i < CONNECTIONS; i++)
        end_stream(&streams[i]);
    fuzz_device_stop(device);
    return 0;
}
