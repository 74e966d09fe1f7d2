/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/vsock/session.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "launcher/base/fd.h"
#include "launcher/base/log.h"

enum { KEY_FRONT_END = 0x10000, KEY_CONNECTIONS = 0x10001 };

static uint32_t key_of(uint32_t request, unsigned queue)
{
    return request << 8 | queue;
}

static void send_entry(HxSession *session, const HxFdStoreEntry *entry)
{
    if (session->socket < 0)
        return;
    int r = hx_fd_store_send(session->socket, entry);
    if (r < 0)
        hx_log_warning("the device could not be restarted now: its state is not kept: %s",
                       g_strerror(-r));
}

/* The last process's table, or a new one. */
static int map_connections(HxSession *session)
{
    size_t size = session->n_connections * sizeof *session->connections;
    HxFdStoreEntry *entry = hx_fd_store_lookup(session->restored, KEY_CONNECTIONS);
    struct stat status;
    hx_autofd int fd = -1;
    if (entry && entry->n_fds == 1 && fstat(entry->fds[0], &status) == 0 &&
        (size_t)status.st_size == size) {
        fd = hx_steal_fd(&entry->fds[0]);
    } else {
        fd = memfd_create("vsock-connections", MFD_CLOEXEC);
        if (fd < 0 || ftruncate(fd, size) < 0)
            return -errno;
        send_entry(session, &(HxFdStoreEntry){.key = KEY_CONNECTIONS, .fds = {fd}, .n_fds = 1});
    }
    void *table = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (table == MAP_FAILED)
        return -errno;
    session->connections = table;
    for (unsigned slot = session->n_connections; slot-- > 0;)
        if (!session->connections[slot].used)
            g_array_append_val(session->free_slots, slot);
    return 0;
}

int hx_session_init(HxSession *session, int socket, unsigned n_connections)
{
    *session = (HxSession){
        .socket = socket,
        .n_connections = n_connections,
        .restored = hx_fd_store_new(),
        .free_slots = g_array_new(FALSE, FALSE, sizeof(unsigned)),
    };
    int r = socket < 0 ? 0 : hx_fd_store_take_over(session->restored, socket);
    if (r == 0)
        r = map_connections(session);
    if (r < 0)
        hx_session_clear(session);
    return r;
}

void hx_session_clear(HxSession *session)
{
    if (session->connections)
        munmap(session->connections, session->n_connections * sizeof *session->connections);
    g_clear_pointer(&session->restored, hx_fd_store_free);
    g_clear_pointer(&session->free_slots, g_array_unref);
    *session = (HxSession){.socket = -1};
}

void hx_session_keep_front_end(HxSession *session, int fd)
{
    send_entry(session, &(HxFdStoreEntry){.key = KEY_FRONT_END, .fds = {fd}, .n_fds = 1});
}

int hx_session_restore_front_end(HxSession *session)
{
    HxFdStoreEntry *entry = hx_fd_store_lookup(session->restored, KEY_FRONT_END);
    return entry && entry->n_fds == 1 ? hx_steal_fd(&entry->fds[0]) : -1;
}

void hx_session_forget_front_end(HxSession *session)
{
    send_entry(session, &(HxFdStoreEntry){.key = KEY_FRONT_END});
}

void hx_session_keep(HxSession *session, uint32_t request, unsigned queue, const void *payload,
                     uint32_t size, const int *fds, unsigned n_fds)
{
    HxFdStoreEntry entry = {.key = key_of(request, queue), .size = size, .n_fds = n_fds};
    g_assert(size <= sizeof entry.data && n_fds <= HX_FD_STORE_FDS_MAX);
    memcpy(entry.data, payload, size);
    if (n_fds > 0)
        memcpy(entry.fds, fds, n_fds * sizeof *fds);
    send_entry(session, &entry);
}

void hx_session_forget(HxSession *session, uint32_t request, unsigned queue)
{
    send_entry(session, &(HxFdStoreEntry){.key = key_of(request, queue)});
}

HxFdStoreEntry *hx_session_restore(HxSession *session, uint32_t request, unsigned queue)
{
    return hx_fd_store_lookup(session->restored, key_of(request, queue));
}

void hx_session_forget_restored(HxSession *session)
{
    hx_fd_store_forget(session->restored);
}

unsigned hx_session_add_connection(HxSession *session, uint32_t guest_port, uint32_t host_port,
                                   uint16_t type)
{
    GArray *slots = session->free_slots;
    g_assert(slots->len > 0);
    unsigned slot = g_array_index(slots, unsigned, slots->len - 1);
    g_array_set_size(slots, slots->len - 1);
    session->connections[slot] = (HxSessionConnection){guest_port, host_port, type, 1};
    return slot;
}

void hx_session_remove_connection(HxSession *session, unsigned slot)
{
    session->connections[slot].used = 0;
    g_array_append_val(session->free_slots, slot);
}

bool hx_session_take_lost(HxSession *session, HxSessionConnection *ret_lost)
{
    for (unsigned slot = 0; slot < session->n_connections; slot++)
        if (session->connections[slot].used) {
            *ret_lost = session->connections[slot];
            hx_session_remove_connection(session, slot);
            return true;
        }
    return false;
}
