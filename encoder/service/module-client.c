/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Theory of operation.  The memory that QEMU reads pictures into is made once and outlives every
 * connection: SLOTS places of the largest size allowed, of which only what was written takes
 * memory. A reader takes the lowest free slot, so that few sessions touch little; then, under the
 * lock that serialises the connection, it connects where needed, sends READ and waits for the
 * ANSWER.  QEMU's main thread does one at a time anyway.  A fault of any kind closes the
 * connection; the next attempt to connect is made no sooner than RETRY_US later, so that an absent
 * module costs nothing. */
#include "encoder/service/module-client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "encoder/export-protocol.h"
#include "encoder/service/statistics.h"
#include "launcher/base/deadline.h"
#include "launcher/base/fd-passing.h"
#include "launcher/base/fd.h"
#include "launcher/base/log.h"
#include "launcher/base/unix-socket.h"

#define SLOTS 4
#define ANSWER_TIMEOUT_MS 2000
#define RETRY_US (200 * G_TIME_SPAN_MILLISECOND)

struct HxModuleClient {
    char *path;
    int memory;
    const uint8_t *slots;

    GMutex slots_lock;
    GCond slot_free;
    unsigned free_slots; /* bit N: slot N is free */

    GMutex connection_lock; /* held during a whole exchange; covers fd, request_id and retry_at */
    int fd;
    uint32_t request_id;
    gint64 retry_at;

    GMutex
        state_lock; /* what describe() tells, and stop() needs, without waiting for an exchange */
    int shared_fd;  /* fd, while it is open */
    gboolean stopped;
    gboolean connected;
    gboolean said; /* the reason is in the log */
    char reason[160];
    guint64 reads;
    guint64 failures;
    HxSamples held;
};

HxModuleClient *hx_module_client_new(const char *path)
{
    const size_t size = (size_t)SLOTS * HX_EXPORT_SLOT_SIZE_MAX;
    hx_autofd int memory = memfd_create("helixvm-frames", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (memory < 0 || ftruncate(memory, (off_t)size) < 0 ||
        fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        return NULL;
    void *slots = mmap(NULL, size, PROT_READ, MAP_SHARED, memory, 0);
    if (slots == MAP_FAILED)
        return NULL;
    HxModuleClient *client = g_new0(HxModuleClient, 1);
    client->path = g_strdup(path);
    client->memory = hx_steal_fd(&memory);
    client->slots = slots;
    client->free_slots = (1u << SLOTS) - 1;
    client->fd = client->shared_fd = -1;
    g_mutex_init(&client->slots_lock);
    g_cond_init(&client->slot_free);
    g_mutex_init(&client->connection_lock);
    g_mutex_init(&client->state_lock);
    g_strlcpy(client->reason, path ? "no frame was asked for yet" : "not configured",
              sizeof client->reason);
    return client;
}

void hx_module_client_free(HxModuleClient *client)
{
    if (!client)
        return;
    hx_close(&client->fd);
    munmap((void *)client->slots, (size_t)SLOTS * HX_EXPORT_SLOT_SIZE_MAX);
    hx_close(&client->memory);
    g_mutex_clear(&client->slots_lock);
    g_cond_clear(&client->slot_free);
    g_mutex_clear(&client->connection_lock);
    g_mutex_clear(&client->state_lock);
    g_free(client->path);
    g_free(client);
}

static void set_state(HxModuleClient *client, gboolean connected, const char *reason)
{
    g_mutex_lock(&client->state_lock);
    gboolean news = connected != client->connected || !client->said;
    client->connected = connected;
    client->said = TRUE;
    client->shared_fd = connected ? client->fd : -1;
    g_strlcpy(client->reason, reason, sizeof client->reason);
    g_mutex_unlock(&client->state_lock);
    if (news && connected)
        hx_log_info("the module in QEMU is connected");
    else if (news)
        hx_log_warning("no frames by resource id: %s", reason);
}

/* --- connection; all with connection_lock held -------------------------------------------------
 */

static void disconnect(HxModuleClient *client, const char *reason)
{
    /* First out of sight of stop(), then closed. */
    set_state(client, FALSE, reason);
    hx_close(&client->fd);
    client->retry_at = g_get_monotonic_time() + RETRY_US;
}

/* One packet of exactly @size bytes.  0, or a negative errno. */
static int receive(HxModuleClient *client, void *packet, size_t size)
{
    struct pollfd p = {.fd = client->fd, .events = POLLIN};
    gint64 deadline = g_get_monotonic_time() + ANSWER_TIMEOUT_MS * G_TIME_SPAN_MILLISECOND;
    int r;
    do {
        gint64 left = hx_time_left(deadline) / G_TIME_SPAN_MILLISECOND;
        r = poll(&p, 1, (int)left);
    } while (r < 0 && errno == EINTR);
    if (r <= 0)
        return r < 0 ? -errno : -ETIMEDOUT;
    ssize_t length = recv(client->fd, packet, size, MSG_TRUNC | MSG_DONTWAIT);
    if (length < 0)
        return -errno;
    if (length == 0)
        return -ECONNRESET;
    return (size_t)length == size ? 0 : -EBADMSG;
}

static int greet(HxModuleClient *client)
{
    HxExportHello hello = {
        .magic = HX_EXPORT_MAGIC,
        .type = HX_EXPORT_HELLO,
        .version = HX_EXPORT_VERSION,
        .slot_count = SLOTS,
        .slot_size = HX_EXPORT_SLOT_SIZE_MAX,
    };
    const struct iovec iov = {&hello, sizeof hello};
    ssize_t n = hx_send_fds(client->fd, &iov, 1, &client->memory, 1, MSG_DONTWAIT);
    if (n < 0)
        return n;
    HxExportHelloAnswer answer;
    int r = receive(client, &answer, sizeof answer);
    if (r < 0)
        return r;
    return answer.magic == HX_EXPORT_MAGIC && answer.type == HX_EXPORT_HELLO_ANSWER &&
                   answer.version == HX_EXPORT_VERSION
               ? 0
               : -EPROTO;
}

/* Nothing is owed now: whatever there is on the socket, it is of no use any more. */
static gboolean is_stale(const HxModuleClient *client)
{
    struct pollfd p = {.fd = client->fd, .events = POLLIN};
    return poll(&p, 1, 0) != 0;
}

static int ensure_connected(HxModuleClient *client)
{
    if (client->fd >= 0) {
        if (!is_stale(client))
            return 0;
        disconnect(client, "the module in QEMU has gone");
        client->retry_at = 0;
    }
    g_mutex_lock(&client->state_lock);
    gboolean stopped = client->stopped;
    g_mutex_unlock(&client->state_lock);
    if (stopped || !client->path || g_get_monotonic_time() < client->retry_at)
        return -ENOTCONN;
    int fd = hx_unix_connect(client->path, SOCK_SEQPACKET | SOCK_NONBLOCK);
    char reason[sizeof client->reason];
    if (fd < 0) {
        g_snprintf(reason, sizeof reason, "cannot connect to the module in QEMU: %s",
                   g_strerror(-fd));
        disconnect(client, reason);
        return -ENOTCONN;
    }
    client->fd = fd;
    int r = greet(client);
    if (r < 0) {
        g_snprintf(reason, sizeof reason, "the module in QEMU refused the connection: %s",
                   g_strerror(-r));
        disconnect(client, reason);
        return -ENOTCONN;
    }
    set_state(client, TRUE, "");
    return 0;
}

/* --- reading -------------------------------------------------------------------------------------
 */

static unsigned take_slot(HxModuleClient *client)
{
    g_mutex_lock(&client->slots_lock);
    while (!client->free_slots)
        g_cond_wait(&client->slot_free, &client->slots_lock);
    unsigned slot = (unsigned)__builtin_ctz(client->free_slots);
    client->free_slots &= ~(1u << slot);
    g_mutex_unlock(&client->slots_lock);
    return slot;
}

static void give_slot(HxModuleClient *client, unsigned slot)
{
    g_mutex_lock(&client->slots_lock);
    client->free_slots |= 1u << slot;
    g_cond_signal(&client->slot_free);
    g_mutex_unlock(&client->slots_lock);
}

static int exchange(HxModuleClient *client, const HxfrFrameRequest *frame, unsigned slot,
                    HxExportAnswer *ret_answer)
{
    int r = ensure_connected(client);
    if (r < 0)
        return r;
    HxExportRead request = {
        .magic = HX_EXPORT_MAGIC,
        .type = HX_EXPORT_READ,
        .request_id = ++client->request_id,
        .resource_id = frame->resource_id,
        .slot = slot,
        .width = frame->width,
        .height = frame->height,
        .fourcc = frame->format,
        .stride = frame->stride,
    };
    if (send(client->fd, &request, sizeof request, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        r = -errno;
    else
        r = receive(client, ret_answer, sizeof *ret_answer);
    if (r == 0 && (ret_answer->magic != HX_EXPORT_MAGIC || ret_answer->type != HX_EXPORT_ANSWER ||
                   ret_answer->request_id != request.request_id))
        r = -EPROTO;
    if (r == 0)
        return 0;
    char reason[sizeof client->reason];
    g_snprintf(reason, sizeof reason, "the module in QEMU is lost: %s", g_strerror(-r));
    disconnect(client, reason);
    return -ENOTCONN;
}

/* What an ANSWER means; QEMU may have been taken over by its guest, so its numbers are checked. */
static int judge(const HxExportAnswer *answer)
{
    switch (answer->status) {
    case HX_EXPORT_OK:
        break;
    case HX_EXPORT_NOT_FOUND:
        return -ENOENT;
    case HX_EXPORT_UNREADABLE:
        return -EOPNOTSUPP;
    case HX_EXPORT_TOO_LARGE:
        return -EFBIG;
    default:
        return -EIO;
    }
    size_t size = hxfr_pixels_size(answer->fourcc, answer->width, answer->height, answer->stride);
    return answer->fourcc == HXFR_FORMAT_NV12 || !size || size > HX_EXPORT_SLOT_SIZE_MAX ? -EIO : 0;
}

int hx_module_client_read(HxModuleClient *client, const HxfrFrameRequest *request,
                          HxModulePicture *ret_picture)
{
    unsigned slot = take_slot(client);
    HxExportAnswer answer = {0};
    g_mutex_lock(&client->connection_lock);
    int r = exchange(client, request, slot, &answer);
    g_mutex_unlock(&client->connection_lock);
    if (r == 0)
        r = judge(&answer);

    g_mutex_lock(&client->state_lock);
    client->reads += r == 0;
    client->failures += r != 0;
    if (r == 0)
        hx_samples_add(&client->held, (gint64)(answer.held_ns / 1000));
    g_mutex_unlock(&client->state_lock);

    if (r < 0) {
        give_slot(client, slot);
        return r;
    }
    *ret_picture = (HxModulePicture){
        .pixels = client->slots + (size_t)slot * HX_EXPORT_SLOT_SIZE_MAX,
        .width = answer.width,
        .height = answer.height,
        .format = answer.fourcc,
        .stride = answer.stride,
        .slot = slot,
    };
    return 0;
}

void hx_module_client_release(HxModuleClient *client, const HxModulePicture *picture)
{
    give_slot(client, picture->slot);
}

void hx_module_client_stop(HxModuleClient *client)
{
    g_mutex_lock(&client->state_lock);
    client->stopped = TRUE;
    if (client->shared_fd >= 0)
        shutdown(client->shared_fd, SHUT_RDWR);
    g_mutex_unlock(&client->state_lock);
}

void hx_module_client_describe(HxModuleClient *client, JsonBuilder *builder)
{
    g_mutex_lock(&client->state_lock);
    json_builder_set_member_name(builder, "connected");
    json_builder_add_boolean_value(builder, client->connected);
    json_builder_set_member_name(builder, "reason");
    if (client->connected)
        json_builder_add_null_value(builder);
    else
        json_builder_add_string_value(builder, client->reason);
    json_builder_set_member_name(builder, "reads");
    json_builder_add_int_value(builder, (gint64)client->reads);
    json_builder_set_member_name(builder, "failures");
    json_builder_add_int_value(builder, (gint64)client->failures);
    hx_samples_describe(&client->held, "main_thread_ms", builder);
    g_mutex_unlock(&client->state_lock);
}
