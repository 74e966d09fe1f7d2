/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The state machine of one connection, packet by packet, and what it is made of. */
#include "launcher/vsock/connection.h"

#include <glib.h>
#include <string.h>

#include "launcher/vsock/held-data.h"
#include "launcher/vsock/host-sockets.h"
#include "launcher/vsock/iov.h"

#define CID 42
#define RCV VIRTIO_VSOCK_SHUTDOWN_RCV
#define SEND VIRTIO_VSOCK_SHUTDOWN_SEND

static struct virtio_vsock_hdr packet(unsigned op, uint32_t len, uint32_t flags)
{
    return (struct virtio_vsock_hdr){
        .src_cid = CID,
        .dst_cid = 2,
        .src_port = 1000,
        .dst_port = 5000,
        .type = VIRTIO_VSOCK_TYPE_STREAM,
        .op = op,
        .len = len,
        .flags = flags,
        .buf_alloc = 10000,
    };
}

static HxPacketMeaning receive(HxConnection *c, unsigned op, uint32_t len, uint32_t flags)
{
    struct virtio_vsock_hdr p = packet(op, len, flags);
    return hx_connection_receive(c, &p);
}

static struct virtio_vsock_hdr control(HxConnection *c)
{
    struct virtio_vsock_hdr p;
    g_assert_true(hx_connection_control_due(c));
    hx_connection_control(c, &p);
    g_assert_cmpuint(p.src_cid, ==, 2);
    g_assert_cmpuint(p.dst_cid, ==, CID);
    g_assert_cmpuint(p.type, ==, VIRTIO_VSOCK_TYPE_STREAM);
    g_assert_cmpuint(p.len, ==, 0);
    g_assert_cmpuint(p.buf_alloc, ==, HX_CONNECTION_BUFFER);
    return p;
}

static HxConnection accepted(void)
{
    HxConnection c;
    struct virtio_vsock_hdr p = packet(VIRTIO_VSOCK_OP_REQUEST, 0, 0);
    hx_connection_accept(&c, CID, &p);
    struct virtio_vsock_hdr answer = control(&c);
    g_assert_cmpuint(answer.op, ==, VIRTIO_VSOCK_OP_RESPONSE);
    g_assert_cmpuint(answer.src_port, ==, 5000);
    g_assert_cmpuint(answer.dst_port, ==, 1000);
    g_assert_false(hx_connection_control_due(&c));
    return c;
}

static void test_request(void)
{
    HxConnection c;
    hx_connection_request(&c, VIRTIO_VSOCK_TYPE_STREAM, CID, 22, 1u << 30);
    g_assert_cmpuint(hx_connection_credit(&c), ==, 0);
    /* No answer can come to what was not asked. */
    HxConnection early = c;
    g_assert_cmpint(receive(&early, VIRTIO_VSOCK_OP_RESPONSE, 0, 0), ==, HX_PACKET_VIOLATION);
    g_assert_cmpuint(control(&c).op, ==, VIRTIO_VSOCK_OP_REQUEST);
    g_assert_false(hx_connection_control_due(&c));
    HxConnection refused = c, wrong = c;
    g_assert_cmpint(receive(&refused, VIRTIO_VSOCK_OP_RST, 0, 0), ==, HX_PACKET_RESET);
    g_assert_cmpint(receive(&wrong, VIRTIO_VSOCK_OP_RW, 10, 0), ==, HX_PACKET_VIOLATION);
    g_assert_cmpint(receive(&c, VIRTIO_VSOCK_OP_RESPONSE, 0, 0), ==, HX_PACKET_OPENED);
    g_assert_cmpuint(hx_connection_credit(&c), ==, 10000);
    g_assert_cmpint(receive(&c, VIRTIO_VSOCK_OP_RESPONSE, 0, 0), ==, HX_PACKET_VIOLATION);
}

static void test_credit_of_guest(void)
{
    HxConnection c = accepted();
    struct virtio_vsock_hdr p;
    g_assert_cmpuint(hx_connection_credit(&c), ==, 10000);
    hx_connection_data(&c, 9999, 0, &p);
    g_assert_cmpuint(p.op, ==, VIRTIO_VSOCK_OP_RW);
    g_assert_cmpuint(p.len, ==, 9999);
    g_assert_cmpuint(hx_connection_credit(&c), ==, 1);
    p = packet(VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, 0);
    p.fwd_cnt = 5000;
    g_assert_cmpint(hx_connection_receive(&c, &p), ==, HX_PACKET_NOTHING);
    g_assert_cmpuint(hx_connection_credit(&c), ==, 5001);
    p.buf_alloc = 100; /* less than is under way */
    hx_connection_receive(&c, &p);
    g_assert_cmpuint(hx_connection_credit(&c), ==, 0);
    p.fwd_cnt = 10001; /* more than was ever sent */
    hx_connection_receive(&c, &p);
    g_assert_cmpuint(hx_connection_credit(&c), ==, 0);
}

static void test_credit_wraps(void)
{
    HxConnection c = accepted();
    struct virtio_vsock_hdr p = packet(VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, 0);
    for (uint64_t total = 0; total < 5ull << 30; total += 10000) {
        g_assert_cmpuint(hx_connection_credit(&c), ==, 10000);
        hx_connection_data(&c, 10000, 0, &p);
        g_assert_cmpuint(hx_connection_credit(&c), ==, 0);
        p = packet(VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, 0);
        p.fwd_cnt = (uint32_t)(total + 10000);
        hx_connection_receive(&c, &p);
    }
}

/* More bytes of the guest's than their counters hold. */
static void test_credit_of_host_wraps(void)
{
    HxConnection c = accepted();
    for (uint64_t total = 0; total < 5ull << 30; total += HX_CONNECTION_BUFFER) {
        g_assert_cmpint(receive(&c, VIRTIO_VSOCK_OP_RW, HX_CONNECTION_BUFFER, 0), ==,
                        HX_PACKET_DATA);
        HxConnection over = c;
        g_assert_cmpint(receive(&over, VIRTIO_VSOCK_OP_RW, 1, 0), ==, HX_PACKET_VIOLATION);
        hx_connection_forwarded(&c, HX_CONNECTION_BUFFER);
        g_assert_cmpuint(control(&c).fwd_cnt, ==, (uint32_t)(total + HX_CONNECTION_BUFFER));
    }
}

static void test_credit_of_host(void)
{
    HxConnection c = accepted();
    g_assert_cmpint(receive(&c, VIRTIO_VSOCK_OP_CREDIT_REQUEST, 0, 0), ==, HX_PACKET_NOTHING);
    g_assert_cmpuint(control(&c).op, ==, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
    /* All that the guest may have under way, and not one byte more. */
    g_assert_cmpint(receive(&c, VIRTIO_VSOCK_OP_RW, HX_CONNECTION_BUFFER - 1, 0), ==,
                    HX_PACKET_DATA);
    HxConnection over = c;
    g_assert_cmpint(receive(&over, VIRTIO_VSOCK_OP_RW, 2, 0), ==, HX_PACKET_VIOLATION);
    g_assert_cmpint(receive(&c, VIRTIO_VSOCK_OP_RW, 1, 0), ==, HX_PACKET_DATA);
    g_assert_cmpint(receive(&c, VIRTIO_VSOCK_OP_RW, 0, 0), ==, HX_PACKET_NOTHING);
    hx_connection_forwarded(&c, 1000);
    g_assert_false(hx_connection_control_due(&c));
    hx_connection_forwarded(&c, HX_CONNECTION_BUFFER / 2);
    struct virtio_vsock_hdr p = control(&c);
    g_assert_cmpuint(p.op, ==, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
    g_assert_cmpuint(p.fwd_cnt, ==, 1000 + HX_CONNECTION_BUFFER / 2);
    g_assert_false(hx_connection_control_due(&c));
    /* Data tells it as well. */
    hx_connection_forwarded(&c, HX_CONNECTION_BUFFER / 2 - 1000);
    hx_connection_data(&c, 1, 0, &p);
    g_assert_cmpuint(p.fwd_cnt, ==, HX_CONNECTION_BUFFER);
    g_assert_false(hx_connection_control_due(&c));
}

/* A guest that has no more under way than its own buffer holds, and so would wait for ever. */
static void test_credit_of_small_guest(void)
{
    HxConnection c = accepted(); /* its buffer: 10000 bytes */
    receive(&c, VIRTIO_VSOCK_OP_RW, 10000, 0);
    hx_connection_forwarded(&c, 4999);
    g_assert_false(hx_connection_control_due(&c));
    hx_connection_forwarded(&c, 1);
    g_assert_cmpuint(control(&c).fwd_cnt, ==, 5000);
    /* It makes the buffer smaller when it has been told less than what then is enough. */
    hx_connection_forwarded(&c, 1000);
    g_assert_false(hx_connection_control_due(&c));
    struct virtio_vsock_hdr p = packet(VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, 0);
    p.buf_alloc = 2000;
    hx_connection_receive(&c, &p);
    g_assert_cmpuint(control(&c).fwd_cnt, ==, 6000);
}

static void test_shutdown(void)
{
    static const uint32_t flags[] = {RCV, SEND, RCV | SEND};
    for (unsigned i = 0; i < G_N_ELEMENTS(flags); i++) {
        HxConnection c = accepted();
        g_assert_cmpint(receive(&c, VIRTIO_VSOCK_OP_SHUTDOWN, 0, flags[i] | 0xf0), ==,
                        HX_PACKET_SHUTDOWN);
        g_assert_cmpuint(c.guest_shutdown, ==, flags[i]);
        g_assert_cmpuint(hx_connection_credit(&c), ==, flags[i] & RCV ? 0 : 10000);
        g_assert_cmpint(hx_connection_guest_done(&c), ==, flags[i] == (RCV | SEND));
        g_assert_cmpint(receive(&c, VIRTIO_VSOCK_OP_RW, 1, 0), ==,
                        flags[i] & SEND ? HX_PACKET_VIOLATION : HX_PACKET_DATA);
        /* Flags add up. */
        receive(&c, VIRTIO_VSOCK_OP_SHUTDOWN, 0, RCV | SEND);
        g_assert_true(hx_connection_guest_done(&c));
    }
    HxConnection c = accepted();
    c.host_shutdown = SEND;
    struct virtio_vsock_hdr p = control(&c);
    g_assert_cmpuint(p.op, ==, VIRTIO_VSOCK_OP_SHUTDOWN);
    g_assert_cmpuint(p.flags, ==, SEND);
    g_assert_false(hx_connection_control_due(&c));
    c.host_shutdown |= RCV;
    p = control(&c);
    g_assert_cmpuint(p.flags, ==, RCV | SEND);
}

static void test_unknown_operations(void)
{
    for (unsigned op = 0; op < 0x10000; op++) {
        HxConnection c = accepted();
        HxPacketMeaning meaning = receive(&c, op, 0, 0);
        if (op == VIRTIO_VSOCK_OP_RST)
            g_assert_cmpint(meaning, ==, HX_PACKET_RESET);
        else if (op == VIRTIO_VSOCK_OP_SHUTDOWN)
            g_assert_cmpint(meaning, ==, HX_PACKET_SHUTDOWN);
        else if (op >= VIRTIO_VSOCK_OP_RW && op <= VIRTIO_VSOCK_OP_CREDIT_REQUEST)
            g_assert_cmpint(meaning, ==, HX_PACKET_NOTHING);
        else
            g_assert_cmpint(meaning, ==, HX_PACKET_VIOLATION);
    }
}

static void test_connect_line(void)
{
    uint32_t port = 0;
    g_assert_cmpint(hx_host_parse_connect("CONNECT 22", &port), ==, 0);
    g_assert_cmpuint(port, ==, 22);
    g_assert_cmpint(hx_host_parse_connect("CONNECT 4294967295", &port), ==, 0);
    g_assert_cmpuint(port, ==, UINT32_MAX);
    static const char *const bad[] = {
        "",           "CONNECT",     "CONNECT ",    "connect 22",   "CONNECT 22 ",
        "CONNECT -1", "CONNECT 22x", "CONNECT  22", "CONNECT 0",    "CONNECT 4294967296",
        "CONNECT +5", "CONNECT 0x1", "GET / HTTP",  "CONNECT 22\r", "CONNECT 99999999999",
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_cmpint(hx_host_parse_connect(bad[i], &port), <, 0);
}

/* Against a plain queue of bytes. */
static void test_held_data(void)
{
    HxHeldData held = {0};
    g_autoptr(GByteArray) model = g_byte_array_new();
    uint32_t state = g_test_rand_int();
    for (int i = 0; i < 5000; i++) {
        if (g_test_rand_bit()) {
            uint8_t bytes[3000];
            for (unsigned j = 0; j < sizeof bytes; j++)
                bytes[j] = (state = state * 1664525 + 1013904223) >> 24;
            struct iovec iov[] = {{bytes, g_test_rand_int_range(0, 1000)},
                                  {bytes + 1000, g_test_rand_int_range(0, 2000)}};
            if (held.length + hx_iov_size(iov, 2) > HX_CONNECTION_BUFFER)
                continue;
            hx_held_append(&held, iov, 2);
            for (int j = 0; j < 2; j++)
                g_byte_array_append(model, iov[j].iov_base, iov[j].iov_len);
        } else if (held.length > 0) {
            struct iovec iov[2];
            unsigned n = hx_held_peek(&held, iov);
            g_assert_cmpuint(hx_iov_size(iov, n), ==, model->len);
            g_autofree uint8_t *all = g_malloc(model->len);
            hx_iov_read(iov, n, all, model->len);
            g_assert_cmpmem(all, model->len, model->data, model->len);
            unsigned drop = g_test_rand_int_range(0, MIN(held.length, 4000) + 1);
            hx_held_drop(&held, drop);
            g_byte_array_remove_range(model, 0, drop);
        }
        g_assert_cmpuint(held.length, ==, model->len);
    }
    hx_held_drop(&held, held.length);
    g_assert_null(held.data);
}

/* Against a queue of lengths: at any place of the ring, across its end, full and empty. */
static void test_held_messages(void)
{
    HxHeldData held = {.messages = true};
    g_autoptr(GArray) model = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    g_autofree uint8_t *bytes = g_malloc0(HX_CONNECTION_BUFFER);
    struct iovec part[2];
    uint32_t whole = 0, unfinished = 0;
    for (int i = 0; i < 20000; i++) {
        uint32_t room = HX_CONNECTION_BUFFER - held.length;
        uint32_t wish =
            g_test_rand_int_range(0, 50) ? (uint32_t)g_test_rand_int_range(1, 200) : room;
        unsigned count = hx_held_peek(&held, part);
        g_assert_cmpuint(hx_iov_size(part, count), ==,
                         model->len > 0 ? g_array_index(model, uint32_t, 0) : 0);
        switch (g_test_rand_int_range(0, 4)) {
        case 0:
        case 1:
            if (room > 0)
                hx_held_append(&held, &(struct iovec){bytes, MIN(wish, room)}, 1);
            unfinished += MIN(wish, room);
            break;
        case 2:
            if (unfinished > 0) {
                hx_held_end_message(&held);
                g_array_append_val(model, unfinished);
                whole += unfinished;
                unfinished = 0;
            }
            break;
        case 3:
            if (i % 50 == 0) {
                g_assert_cmpuint(hx_held_drop_unfinished(&held), ==, unfinished);
                unfinished = 0;
            } else if (model->len > 0) {
                uint32_t size = g_array_index(model, uint32_t, 0);
                hx_held_drop(&held, size);
                whole -= size;
                g_array_remove_index(model, 0);
            }
            break;
        }
        g_assert_cmpuint(held.length, ==, whole + unfinished);
        g_assert_cmpuint(held.unfinished, ==, unfinished);
    }
    hx_held_clear(&held);
    g_assert_null(held.data);
    g_assert_null(held.ends);
}

static void test_iov(void)
{
    char text[] = "abcdefghij";
    struct iovec iov[] = {{text, 3}, {text + 3, 0}, {text + 3, 4}, {text + 7, 3}}, part[4];
    for (size_t offset = 0; offset <= 11; offset++)
        for (size_t size = 0; size <= 11; size++) {
            char got[16] = "";
            unsigned n = hx_iov_slice(iov, 4, offset, size, part);
            size_t want = offset > 10 ? 0 : MIN(size, 10 - offset);
            g_assert_cmpuint(hx_iov_size(part, n), ==, want);
            g_assert_cmpuint(hx_iov_read(part, n, got, sizeof got), ==, want);
            g_assert_cmpmem(got, want, text + MIN(offset, 10), want);
        }
    char copy[10];
    struct iovec to[] = {{copy, 1}, {copy + 1, 9}};
    g_assert_cmpuint(hx_iov_write(to, 2, text, 10), ==, 10);
    g_assert_cmpmem(copy, 10, text, 10);
    g_assert_cmpuint(hx_iov_write(to, 2, text, 11), ==, 10);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vsock/connection/request", test_request);
    g_test_add_func("/vsock/connection/credit-of-guest", test_credit_of_guest);
    g_test_add_func("/vsock/connection/credit-wraps", test_credit_wraps);
    g_test_add_func("/vsock/connection/credit-of-host", test_credit_of_host);
    g_test_add_func("/vsock/connection/credit-of-host-wraps", test_credit_of_host_wraps);
    g_test_add_func("/vsock/connection/credit-of-small-guest", test_credit_of_small_guest);
    g_test_add_func("/vsock/connection/shutdown", test_shutdown);
    g_test_add_func("/vsock/connection/unknown-operations", test_unknown_operations);
    g_test_add_func("/vsock/host/connect-line", test_connect_line);
    g_test_add_func("/vsock/held-data", test_held_data);
    g_test_add_func("/vsock/held-messages", test_held_messages);
    g_test_add_func("/vsock/iov", test_iov);
    return g_test_run();
}
