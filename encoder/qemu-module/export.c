/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Theory of operation.  One listening socket and at most one client, both sources of the main
 * context.  A turn of the main loop takes one packet: a HELLO, which maps the client's memory, or a
 * READ.  Textures are read by a thread; until that has ended, and is answered, the client's next
 * packet stays in its socket, so that nothing is queued here and answers are in order.  What the
 * thread does not read is read and answered at once, and holds the guest up by one read-back at
 * most.  A client that breaks the protocol or does not take its answers is dropped.  A new client
 * is taken where there is none or the old one's end of the socket is closed.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <linux/magic.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>

#include "encoder/qemu-module/module.h"
#include "encoder/qemu-module/read-thread.h"
#include "launcher/base/fd-passing.h"
#include "launcher/base/fd.h"
#include "launcher/base/log.h"
#include "launcher/base/unix-socket.h"

static struct {
    int fd;         /* -1: no client */
    guint source;   /* 0 while the thread reads */
    uint8_t *slots; /* NULL before HELLO */
    int memory;     /* the same as a file, -1 before HELLO */
    uint32_t slot_count;
    uint64_t slot_size;
    HxExportRead request; /* that the thread reads */
    HxExportAnswer answer;
} client = {.fd = -1, .memory = -1};

static void unmap_slots(void)
{
    if (client.slots)
        munmap(client.slots, client.slot_count * client.slot_size);
    client.slots = NULL;
    hx_close(&client.memory);
}

static void drop_client(const char *reason)
{
    if (client.fd < 0)
        return;
    hx_log_info("the encoder is gone: %s", reason);
    hx_read_thread_cancel();
    g_clear_handle_id(&client.source, g_source_remove);
    hx_close(&client.fd);
    unmap_slots();
}

/* Ordinary shared memory that can neither shrink under us nor be short of @needed bytes: touching
 * it raises no SIGBUS. */
static gboolean memory_is_safe(int fd, uint64_t needed)
{
    const int wanted = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
    int seals = fcntl(fd, F_GET_SEALS);
    struct stat status;
    struct statfs filesystem;
    return seals >= 0 && (seals & wanted) == wanted && fstat(fd, &status) == 0 &&
           S_ISREG(status.st_mode) && (uint64_t)status.st_size >= needed &&
           fstatfs(fd, &filesystem) == 0 && filesystem.f_type == TMPFS_MAGIC;
}

static gboolean send_packet(const void *packet, size_t size)
{
    return send(client.fd, packet, size, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)size;
}

/* NULL, or why the client cannot be kept.  Takes *@memory where it is. */
static const char *handle_hello(const HxExportHello *hello, int *memory)
{
    if (hello->version != HX_EXPORT_VERSION)
        return "it speaks another version";
    if (!hello->slot_count || hello->slot_count > HX_EXPORT_SLOTS_MAX || !hello->slot_size ||
        hello->slot_size > HX_EXPORT_SLOT_SIZE_MAX || hello->slot_size % 4096)
        return "HELLO with bad slots";
    uint64_t size = hello->slot_count * hello->slot_size;
    if (*memory < 0 || !memory_is_safe(*memory, size))
        return "HELLO without sealed memory of that size";
    void *slots = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, *memory, 0);
    if (slots == MAP_FAILED)
        return "its memory cannot be mapped";
    unmap_slots();
    client.slots = slots;
    client.memory = hx_steal_fd(memory);
    client.slot_count = hello->slot_count;
    client.slot_size = hello->slot_size;
    HxExportHelloAnswer answer = {
        .magic = HX_EXPORT_MAGIC,
        .type = HX_EXPORT_HELLO_ANSWER,
        .version = HX_EXPORT_VERSION,
        .renderer_ready = hx_virgl_is_ready(),
    };
    return send_packet(&answer, sizeof answer) ? NULL : "it takes no answers";
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static HxExportSlot slot_of(const HxExportRead *request)
{
    uint64_t begin = request->slot * client.slot_size;
    return (HxExportSlot){
        .bytes = client.slots + begin,
        .size = client.slot_size,
        .memory = client.memory,
        .begin = begin,
    };
}

static const char *answer_read(void)
{
    return send_packet(&client.answer, sizeof client.answer) ? NULL : "it takes no answers";
}

static void watch_client(void);

/* Whether @done will be called; else the answer is complete. */
static gboolean read_resource(HxReadDone done)
{
    const HxExportSlot slot = slot_of(&client.request);
    client.answer = (HxExportAnswer){
        .magic = HX_EXPORT_MAGIC,
        .type = HX_EXPORT_ANSWER,
        .request_id = client.request.request_id,
        .held_ns = client.answer.held_ns,
    };
    uint64_t start = now_ns();
    gboolean begun = hx_virgl_read(&client.request, &slot, done, NULL, &client.answer);
    client.answer.held_ns += now_ns() - start;
    return begun;
}

static void texture_read(gboolean ok, void *data)
{
    if (!ok)
        read_resource(NULL);
    watch_client();
    const char *reason = answer_read();
    if (reason)
        drop_client(reason);
}

/* NULL, or why the client cannot be kept. */
static const char *handle_read(const HxExportRead *request)
{
    if (!client.slots || request->slot >= client.slot_count)
        return "READ into a slot that it does not have";
    client.request = *request;
    client.answer.held_ns = 0;
    if (!read_resource(texture_read))
        return answer_read();
    client.source = 0; /* on_client() says so to its source */
    return NULL;
}

/* NULL, or why the client cannot be kept. */
static const char *take_packet(void)
{
    union {
        struct {
            uint32_t magic;
            uint32_t type;
        } head;
        HxExportHello hello;
        HxExportRead read;
    } packet = {0};
    const struct iovec iov = {&packet, sizeof packet};
    hx_autofd int fd = -1;
    unsigned n_fds = 1;
    ssize_t length = hx_receive_fds(client.fd, &iov, 1, &fd, &n_fds, MSG_DONTWAIT);
    if (length == -EAGAIN)
        return NULL;
    if (length == -E2BIG || length == -EMSGSIZE)
        return "a packet that is none of the protocol";
    if (length < 0)
        return g_strerror(-length);
    if (length == 0)
        return "it closed the connection";
    if (packet.head.magic == HX_EXPORT_MAGIC) {
        if (packet.head.type == HX_EXPORT_HELLO && length == sizeof packet.hello)
            return handle_hello(&packet.hello, &fd);
        if (packet.head.type == HX_EXPORT_READ && length == sizeof packet.read)
            return handle_read(&packet.read);
    }
    return "a packet that is none of the protocol";
}

static gboolean on_client(int fd, GIOCondition condition, void *data)
{
    const char *reason = take_packet();
    if (!reason)
        return client.source ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
    drop_client(reason);
    return G_SOURCE_REMOVE;
}

static void watch_client(void)
{
    client.source = g_unix_fd_add(client.fd, G_IO_IN | G_IO_HUP | G_IO_ERR, on_client, NULL);
}

/* root, who runs helixvm's monitor, or the user that QEMU itself runs as. */
static gboolean peer_is_allowed(int fd)
{
    struct ucred peer;
    socklen_t length = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 &&
           (peer.uid == 0 || peer.uid == geteuid());
}

static gboolean client_is_alive(void)
{
    struct pollfd p = {.fd = client.fd};
    return client.fd >= 0 && poll(&p, 1, 0) >= 0 && !(p.revents & (POLLHUP | POLLERR));
}

static gboolean on_connection(int listening, GIOCondition condition, void *data)
{
    hx_autofd int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return G_SOURCE_CONTINUE;
    if (!peer_is_allowed(fd)) {
        hx_log_warning("refused a connection of another user");
        return G_SOURCE_CONTINUE;
    }
    if (client_is_alive()) {
        hx_log_warning("refused a second encoder while the first is there");
        return G_SOURCE_CONTINUE;
    }
    drop_client("replaced by a new one");
    client.fd = hx_steal_fd(&fd);
    watch_client();
    return G_SOURCE_CONTINUE;
}

void hx_export_listen(const char *path)
{
    /* Also for the group, which is the encoder's where its user is another: the directory's. */
    int fd = hx_unix_listen(path, SOCK_SEQPACKET | SOCK_NONBLOCK, 0660);
    if (fd < 0) {
        hx_log_error("cannot listen at %s: %s: frames go as pixels", path, g_strerror(-fd));
        return;
    }
    g_unix_fd_add(fd, G_IO_IN, on_connection, NULL);
    hx_log_info("listening at %s", path);
}
