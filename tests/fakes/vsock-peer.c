/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/fakes/vsock-peer.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "launcher/base/fd.h"
#include "launcher/base/unix-socket.h"
#include "launcher/vsock/connection.h"
#include "launcher/vsock/host-sockets.h"

uint8_t peer_data[FRONTEND_PACKET_MAX];

static uint16_t type_of(const Peer *p)
{
    return p->type ? p->type : VIRTIO_VSOCK_TYPE_STREAM;
}

void peer_send(Peer *p, unsigned op, uint32_t flags, const void *data, uint32_t size)
{
    struct virtio_vsock_hdr hdr = {
        .src_cid = FRONTEND_CID,
        .dst_cid = HX_VSOCK_HOST_CID,
        .src_port = p->guest_port,
        .dst_port = p->host_port,
        .len = size,
        .type = type_of(p),
        .op = op,
        .flags = flags,
        .buf_alloc = PEER_BUFFER - p->shrunk,
        .fwd_cnt = p->forwarded,
    };
    frontend_send(p->f, &hdr, data);
    p->sent += size;
}

struct virtio_vsock_hdr peer_next(Peer *p, void *data)
{
    struct virtio_vsock_hdr hdr;
    g_assert_true(frontend_receive(p->f, FRONTEND_TIMEOUT, &hdr, data));
    g_assert_cmpuint(hdr.src_cid, ==, HX_VSOCK_HOST_CID);
    g_assert_cmpuint(hdr.dst_cid, ==, FRONTEND_CID);
    g_assert_cmpuint(hdr.src_port, ==, p->host_port);
    g_assert_cmpuint(hdr.dst_port, ==, p->guest_port);
    g_assert_cmpuint(hdr.type, ==, type_of(p));
    p->host_buffer = hdr.buf_alloc;
    p->host_forwarded = hdr.fwd_cnt;
    return hdr;
}

struct virtio_vsock_hdr peer_expect(Peer *p, unsigned op)
{
    struct virtio_vsock_hdr hdr = peer_next(p, peer_data);
    g_assert_cmpuint(hdr.op, ==, op);
    return hdr;
}

void frontend_expect_silence(Frontend *f)
{
    struct virtio_vsock_hdr hdr;
    g_assert_false(frontend_receive(f, 50, &hdr, NULL));
}

int host_listens(Frontend *f, int type, uint32_t port)
{
    g_autofree char *path = g_strdup_printf("%s_%u", f->host_path, port);
    int fd = hx_unix_listen(path, type, 0600);
    g_assert_cmpint(fd, >=, 0);
    return fd;
}

void host_unlistens(Frontend *f, uint32_t port, int *fd)
{
    g_autofree char *path = g_strdup_printf("%s_%u", f->host_path, port);
    hx_close(fd);
    g_assert_cmpint(unlink(path), ==, 0);
}

static Peer connect_from_guest(Frontend *f, uint16_t type, uint32_t guest_port, uint32_t host_port)
{
    bool messages = type == VIRTIO_VSOCK_TYPE_SEQPACKET;
    hx_autofd int listener = host_listens(f, messages ? SOCK_SEQPACKET : SOCK_STREAM, host_port);
    Peer p = {.f = f, .type = type, .guest_port = guest_port, .host_port = host_port};
    peer_send(&p, VIRTIO_VSOCK_OP_REQUEST, 0, NULL, 0);
    p.fd = accept(listener, NULL, NULL);
    g_assert_cmpint(p.fd, >=, 0);
    struct virtio_vsock_hdr hdr = peer_expect(&p, VIRTIO_VSOCK_OP_RESPONSE);
    g_assert_cmpuint(hdr.buf_alloc, ==, HX_CONNECTION_BUFFER);
    host_unlistens(f, host_port, &listener);
    return p;
}

Peer guest_connects(Frontend *f, uint32_t guest_port, uint32_t host_port)
{
    return connect_from_guest(f, VIRTIO_VSOCK_TYPE_STREAM, guest_port, host_port);
}

Peer guest_connects_seqpacket(Frontend *f, uint32_t guest_port, uint32_t host_port)
{
    return connect_from_guest(f, VIRTIO_VSOCK_TYPE_SEQPACKET, guest_port, host_port);
}

int host_client(Frontend *f, const char *text)
{
    int fd = hx_unix_connect(f->host_path, SOCK_STREAM);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(hx_write_all(fd, text, strlen(text)), ==, 0);
    return fd;
}

int host_client_seqpacket(Frontend *f, const char *text)
{
    g_autofree char *path = g_strconcat(f->host_path, HX_HOST_SEQPACKET_SUFFIX, NULL);
    int fd = hx_unix_connect(path, SOCK_SEQPACKET);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(send(fd, text, strlen(text), 0), ==, strlen(text));
    return fd;
}

/* The guest accepts what the client @fd asks for. */
static Peer connect_to_guest(Frontend *f, uint16_t type, uint32_t port, int fd)
{
    g_autofree char *answer = g_strdup_printf("OK %u\n", port);
    Peer p = {.f = f, .type = type, .guest_port = port, .fd = fd};
    struct virtio_vsock_hdr hdr;
    g_assert_true(frontend_receive(f, FRONTEND_TIMEOUT, &hdr, NULL));
    g_assert_cmpuint(hdr.op, ==, VIRTIO_VSOCK_OP_REQUEST);
    g_assert_cmpuint(hdr.type, ==, type);
    g_assert_cmpuint(hdr.dst_port, ==, port);
    p.host_port = hdr.src_port;
    peer_send(&p, VIRTIO_VSOCK_OP_RESPONSE, 0, NULL, 0);
    expect_text(p.fd, answer);
    return p;
}

Peer host_connects(Frontend *f, uint32_t port, const char *more)
{
    g_autofree char *text = g_strdup_printf("CONNECT %u\n%s", port, more);
    return connect_to_guest(f, VIRTIO_VSOCK_TYPE_STREAM, port, host_client(f, text));
}

Peer host_connects_seqpacket(Frontend *f, uint32_t port)
{
    g_autofree char *text = g_strdup_printf("CONNECT %u", port);
    return connect_to_guest(f, VIRTIO_VSOCK_TYPE_SEQPACKET, port, host_client_seqpacket(f, text));
}

void expect_text(int fd, const char *text)
{
    char got[64] = "";
    g_assert_cmpint(hx_read_all(fd, got, strlen(text)), ==, 0);
    g_assert_cmpstr(got, ==, text);
}

void expect_end(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char byte;
    g_assert_cmpint(poll(&p, 1, FRONTEND_TIMEOUT), ==, 1);
    g_assert_cmpint(recv(fd, &byte, 1, MSG_DONTWAIT), ==, 0);
}
