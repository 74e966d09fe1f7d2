/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random traffic against a model: packets of the guest's, reads, writes and ends of the host's
 * programs, in any order, on connections of both types that open and close meanwhile.
 *
 * The model is this: what either side sends is a fixed sequence of bytes, and of message lengths,
 * that belongs to the connection.  What arrives must be its continuation, byte for byte, and at the
 * end must be all of it.
 *
 * SEED repeats a run, ROUNDS sets its length.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "launcher/base/fd.h"
#include "launcher/vsock/connection.h"
#include "tests/fakes/vsock-peer.h"

#define CONNECTIONS 12
#define GUEST_PORT 10000u
#define HOST_PORT 5000u
#define RCV VIRTIO_VSOCK_SHUTDOWN_RCV
#define SEND VIRTIO_VSOCK_SHUTDOWN_SEND
#define MESSAGE_MAX 200000

/* One direction's sequence. */
typedef struct {
    uint32_t salt;
    uint32_t position; /* bytes */
    uint32_t message;  /* index of the message at the position */
    uint32_t offset;   /* bytes of it before the position */
} Sequence;

typedef struct {
    Peer peer;
    enum { CLOSED, OPENING, OPEN } state;
    bool messages;
    Sequence guest_sent, host_read, host_sent, guest_read;
    uint32_t unread; /* in the guest, not told as forwarded */
    bool guest_sends_no_more, guest_takes_no_more;
    bool host_sends_no_more, host_closed, host_takes_no_more; /* the last: as the guest knows it */
} Connection;

typedef struct {
    Frontend *f;
    GRand *random;
    Connection connections[CONNECTIONS];
    int listeners[CONNECTIONS][2]; /* streams, messages */
    unsigned opened;
    uint64_t to_host, to_guest; /* bytes that arrived */
} Model;

static uint32_t hash(uint32_t a, uint32_t b)
{
    uint32_t h = a * 2654435761u ^ b * 2246822519u;
    h = (h ^ h >> 15) * 3266489917u;
    return h ^ h >> 13;
}

static uint8_t byte_at(const Sequence *s, uint32_t position)
{
    return hash(s->salt, position);
}

/* The length of the message at the position: most are short. */
static uint32_t message_length(const Sequence *s, uint32_t max)
{
    uint32_t h = hash(~s->salt, s->message);
    return 1 + (h >> 8) % (h % 4 ? 300u : max);
}

static void fill(const Sequence *s, uint8_t *data, uint32_t size)
{
    for (uint32_t i = 0; i < size; i++)
        data[i] = byte_at(s, s->position + i);
}

static void check(const Sequence *s, const uint8_t *data, uint32_t size)
{
    for (uint32_t i = 0; i < size; i++)
        if (data[i] != byte_at(s, s->position + i))
            g_error("byte %u of sequence %u is wrong", s->position + i, s->salt);
}

static void advance(Sequence *s, uint32_t size, bool end)
{
    s->position += size;
    s->offset = end ? 0 : s->offset + size;
    s->message += end;
}

/* --- the host's programs -------------------------------------------------------------------------
 */

/* Returns what recv() does. */
static ssize_t host_reads(Model *m, Connection *c, uint32_t size, int flags)
{
    static uint8_t data[MESSAGE_MAX + 1];
    ssize_t n = recv(c->peer.fd, data, c->messages ? sizeof data : size, flags);
    if (n <= 0)
        return n;
    check(&c->host_read, data, n);
    if (c->messages)
        g_assert_cmpuint(n, ==, message_length(&c->host_read, MESSAGE_MAX));
    advance(&c->host_read, n, c->messages);
    m->to_host += n;
    return n;
}

static void host_writes(Connection *c, uint32_t size)
{
    static uint8_t data[PEER_BUFFER];
    if (c->messages)
        size = message_length(&c->host_sent, PEER_BUFFER);
    fill(&c->host_sent, data, size);
    ssize_t n = send(c->peer.fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0)
        advance(&c->host_sent, n, c->messages);
}

/* The guest's end is gone: the rest arrives, and then the end. */
static void host_drains(Model *m, Connection *c)
{
    ssize_t n = 0;
    /* What the host wrote and the guest never took makes the end a reset, said once. */
    bool reset = false;
    while (!c->host_closed &&
           ((n = host_reads(m, c, 10000, 0)) > 0 || (n < 0 && errno == ECONNRESET && !reset)))
        reset |= n < 0;
    g_assert_cmpint(n, ==, 0);
    if (!c->host_closed)
        g_assert_cmpuint(c->host_read.position, ==,
                         c->guest_sent.position - (c->messages ? c->guest_sent.offset : 0));
    hx_close(&c->peer.fd);
    c->state = CLOSED;
}

/* --- the guest -----------------------------------------------------------------------------------
 */

static void guest_sends(Model *m, Connection *c)
{
    static uint8_t data[FRONTEND_PACKET_MAX];
    uint32_t room = HX_CONNECTION_BUFFER - (c->peer.sent - c->peer.host_forwarded);
    uint32_t limit = g_rand_boolean(m->random) ? 200 : FRONTEND_PACKET_MAX;
    uint32_t wish = g_rand_int_range(m->random, 1, limit + 1), size = MIN(room, wish);
    bool end = false;
    if (c->messages) {
        uint32_t left = message_length(&c->guest_sent, MESSAGE_MAX) - c->guest_sent.offset;
        end = left <= size;
        size = MIN(size, left);
    }
    if (size == 0)
        return;
    fill(&c->guest_sent, data, size);
    peer_send(&c->peer, VIRTIO_VSOCK_OP_RW, end ? VIRTIO_VSOCK_SEQ_EOM : 0, data, size);
    advance(&c->guest_sent, size, end);
}

static void guest_tells(Model *m, Connection *c)
{
    c->peer.forwarded += c->unread;
    c->unread = 0;
    if (!c->messages)
        c->peer.shrunk = g_rand_boolean(m->random)
                             ? 0
                             : (uint32_t)g_rand_int_range(m->random, 0, PEER_BUFFER + 1);
    peer_send(&c->peer, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, NULL, 0);
}

static void guest_shuts_down(Connection *c, uint32_t flags)
{
    peer_send(&c->peer, VIRTIO_VSOCK_OP_SHUTDOWN, flags, NULL, 0);
    c->guest_sends_no_more |= !!(flags & SEND);
    c->guest_takes_no_more |= !!(flags & RCV);
}

static void guest_resets(Model *m, Connection *c)
{
    peer_send(&c->peer, VIRTIO_VSOCK_OP_RST, 0, NULL, 0);
    host_drains(m, c);
}

static void receive_data(Model *m, Connection *c, const struct virtio_vsock_hdr *hdr)
{
    bool end = hdr->flags & VIRTIO_VSOCK_SEQ_EOM;
    check(&c->guest_read, peer_data, hdr->len);
    if (c->messages) {
        uint32_t length = message_length(&c->guest_read, PEER_BUFFER);
        g_assert_cmpuint(c->guest_read.offset + hdr->len, <=, length);
        g_assert_cmpint(end, ==, c->guest_read.offset + hdr->len == length);
    } else {
        g_assert_false(end);
    }
    advance(&c->guest_read, hdr->len, end);
    m->to_guest += hdr->len;
    c->unread += hdr->len;
    g_assert_cmpuint(c->unread, <=, PEER_BUFFER);
}

static void receive_shutdown(Model *m, Connection *c, uint32_t flags)
{
    if (flags & SEND) {
        g_assert_true(c->host_sends_no_more);
        if (!c->guest_takes_no_more)
            g_assert_cmpuint(c->guest_read.position, ==, c->host_sent.position);
    }
    if (flags & RCV) {
        g_assert_true(c->host_closed || (c->guest_sends_no_more && c->host_sends_no_more));
        c->host_takes_no_more = true;
    }
    if (flags == (RCV | SEND))
        guest_resets(m, c);
}

/* A packet of an earlier connection may come late; one that was never there may not. */
static Connection *connection_of(Model *m, const struct virtio_vsock_hdr *hdr)
{
    Connection *c = &m->connections[(hdr->dst_port - GUEST_PORT) % CONNECTIONS];
    g_assert_cmpuint(hdr->dst_port, <, GUEST_PORT + CONNECTIONS * (m->opened + 1));
    return c->state != CLOSED && hdr->dst_port == c->peer.guest_port ? c : NULL;
}

static bool guest_receives(Model *m, int timeout)
{
    struct virtio_vsock_hdr hdr;
    if (!frontend_receive(m->f, timeout, &hdr, peer_data))
        return false;
    Connection *c = connection_of(m, &hdr);
    if (!c)
        return true;
    c->peer.host_forwarded = hdr.fwd_cnt;
    switch (hdr.op) {
    case VIRTIO_VSOCK_OP_REQUEST: {
        g_autofree char *answer = g_strdup_printf("OK %u\n", c->peer.guest_port);
        c->peer.host_port = hdr.src_port;
        peer_send(&c->peer, VIRTIO_VSOCK_OP_RESPONSE, 0, NULL, 0);
        expect_text(c->peer.fd, answer);
        c->state = OPEN;
        break;
    }
    case VIRTIO_VSOCK_OP_RESPONSE:
        c->state = OPEN;
        break;
    case VIRTIO_VSOCK_OP_RW:
        receive_data(m, c, &hdr);
        break;
    case VIRTIO_VSOCK_OP_SHUTDOWN:
        receive_shutdown(m, c, hdr.flags);
        break;
    case VIRTIO_VSOCK_OP_RST:
        g_assert_true(c->guest_sends_no_more && c->guest_takes_no_more);
        host_drains(m, c);
        break;
    default:
        g_assert_cmpuint(hdr.op, ==, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
    }
    return true;
}

/* --- the run -------------------------------------------------------------------------------------
 */

static void open_one(Model *m, unsigned i)
{
    Connection *c = &m->connections[i];
    uint32_t number = ++m->opened;
    bool messages = m->f->options.seqpacket && g_rand_boolean(m->random);
    *c = (Connection){
        .peer = {.f = m->f,
                 .type = messages ? VIRTIO_VSOCK_TYPE_SEQPACKET : VIRTIO_VSOCK_TYPE_STREAM,
                 .guest_port = GUEST_PORT + CONNECTIONS * number + i,
                 .fd = -1},
        .state = OPENING,
        .messages = messages,
        .guest_sent.salt = 2 * number,
        .host_read.salt = 2 * number,
        .host_sent.salt = 2 * number + 1,
        .guest_read.salt = 2 * number + 1,
    };
    if (g_rand_boolean(m->random)) {
        g_autofree char *line = g_strdup_printf("CONNECT %u\n", c->peer.guest_port);
        c->peer.fd = messages ? host_client_seqpacket(m->f, line) : host_client(m->f, line);
    } else {
        c->peer.host_port = HOST_PORT + 2 * i + messages;
        peer_send(&c->peer, VIRTIO_VSOCK_OP_REQUEST, 0, NULL, 0);
        c->peer.fd = accept(m->listeners[i][messages], NULL, NULL);
        g_assert_cmpint(c->peer.fd, >=, 0);
    }
}

static void end_somehow(Model *m, Connection *c)
{
    switch (g_rand_int_range(m->random, 0, 6)) {
    case 0:
        guest_shuts_down(c, SEND);
        break;
    case 1:
        guest_shuts_down(c, RCV);
        break;
    case 2:
        guest_shuts_down(c, RCV | SEND);
        break;
    case 3:
        guest_resets(m, c);
        break;
    case 4:
        shutdown(c->peer.fd, SHUT_WR);
        c->host_sends_no_more = true;
        break;
    case 5:
        hx_close(&c->peer.fd);
        c->host_sends_no_more = c->host_closed = true;
        break;
    }
}

static void step(Model *m, Connection *c)
{
    switch (g_rand_int_range(m->random, 0, 5)) {
    case 0:
        if (!c->guest_sends_no_more && !c->host_takes_no_more)
            guest_sends(m, c);
        break;
    case 1:
        if (!c->host_closed)
            host_reads(m, c, g_rand_int_range(m->random, 1, 20000), MSG_DONTWAIT);
        break;
    case 2:
        if (!c->host_sends_no_more)
            host_writes(c, g_rand_int_range(m->random, 1, 20000));
        break;
    case 3:
        guest_tells(m, c);
        break;
    case 4:
        if (g_rand_int_range(m->random, 0, 20) == 0)
            end_somehow(m, c);
        break;
    }
}

static void wait_open(Model *m, Connection *c)
{
    while (c->state == OPENING)
        g_assert_true(guest_receives(m, FRONTEND_TIMEOUT));
}

/* As a VM is paused and goes on. */
static void pause_guest(Model *m)
{
    unsigned base[2];
    for (unsigned i = 0; i < CONNECTIONS; i++) /* would be refused meanwhile */
        wait_open(m, &m->connections[i]);
    frontend_stop(m->f, base);
    frontend_resume(m->f, base);
}

/* To the end: the host sends no more, the guest takes all and ends. */
static void finish(Model *m, Connection *c)
{
    wait_open(m, c);
    if (c->state == OPEN && !c->host_sends_no_more) {
        shutdown(c->peer.fd, SHUT_WR);
        c->host_sends_no_more = true;
    }
    while (c->state == OPEN && !c->guest_takes_no_more &&
           c->guest_read.position < c->host_sent.position) {
        guest_tells(m, c);
        c->peer.shrunk = 0;
        guest_receives(m, 10);
    }
    if (c->state == OPEN)
        guest_shuts_down(c, RCV | SEND);
    while (c->state == OPEN)
        g_assert_true(guest_receives(m, FRONTEND_TIMEOUT));
}

static uint32_t number_of(const char *variable, uint32_t otherwise)
{
    const char *text = g_getenv(variable);
    return text && *text ? strtoul(text, NULL, 10) : otherwise;
}

static void run(Model *m, unsigned rounds)
{
    for (unsigned round = 0; round < rounds; round++) {
        unsigned i = g_rand_int_range(m->random, 0, CONNECTIONS);
        if (m->connections[i].state == CLOSED)
            open_one(m, i);
        else if (m->connections[i].state == OPEN)
            step(m, &m->connections[i]);
        if (g_rand_int_range(m->random, 0, 3) == 0)
            for (int n = g_rand_int_range(m->random, 1, 40); n > 0 && guest_receives(m, 0); n--)
                ;
        if (round % 1000 == 500)
            pause_guest(m);
    }
    for (unsigned i = 0; i < CONNECTIONS; i++)
        finish(m, &m->connections[i]);
}

static void test_random(gconstpointer data)
{
    const FrontendOptions *options = data;
    uint32_t seed = number_of("SEED", g_random_int());
    unsigned rounds = number_of("ROUNDS", 10000);
    g_test_message("SEED=%u ROUNDS=%u", seed, rounds);
    g_autoptr(GRand) random = g_rand_new_with_seed(seed);
    Model m = {.f = frontend_new(*options), .random = random};
    for (unsigned i = 0; i < 2 * CONNECTIONS; i++)
        m.listeners[i / 2][i % 2] =
            host_listens(m.f, i % 2 ? SOCK_SEQPACKET : SOCK_STREAM, HOST_PORT + i);
    run(&m, rounds);
    g_test_message("%u connections, %" G_GUINT64_FORMAT " bytes to the host, %" G_GUINT64_FORMAT
                   " to the guest",
                   m.opened, m.to_host, m.to_guest);
    g_assert_cmpuint(m.opened, >, CONNECTIONS);
    g_assert_cmpuint(m.to_host, >, rounds * 500);
    g_assert_cmpuint(m.to_guest, >, rounds * 20);
    for (unsigned i = 0; i < 2 * CONNECTIONS; i++)
        host_unlistens(m.f, HOST_PORT + i, &m.listeners[i / 2][i % 2]);
    frontend_free(m.f);
}

int main(int argc, char **argv)
{
    /* Every combination of what a driver may take, and buffers of all sizes. */
    static const FrontendOptions
        plain = {.seqpacket = true},
        event_idx = {.event_idx = true, .rx_buffer = 100, .rx_pieces = true},
        indirect = {.indirect = true, .seqpacket = true, .rx_buffer = 1000},
        all = {.event_idx = true, .indirect = true, .seqpacket = true, .rx_buffer = 65536};
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/vsock/random/plain", &plain, test_random);
    g_test_add_data_func("/vsock/random/event-idx", &event_idx, test_random);
    g_test_add_data_func("/vsock/random/indirect", &indirect, test_random);
    g_test_add_data_func("/vsock/random/all", &all, test_random);
    return g_test_run();
}
