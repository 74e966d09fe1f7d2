/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/base/fd-store.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "launcher/base/fd-passing.h"
#include "launcher/base/fd.h"

/* A process has few things to keep; this many keys are a fault of its. */
#define ENTRIES_MAX 64

struct HxFdStore {
    GHashTable *entries; /* key → HxFdStoreEntry */
};

int hx_fd_store_send(int socket, const HxFdStoreEntry *entry)
{
    const struct iovec iov[] = {
        {(void *)&entry->key, sizeof entry->key},
        {(void *)entry->data, entry->size},
    };
    ssize_t n = hx_send_fds(socket, iov, 2, entry->fds, entry->n_fds, MSG_DONTWAIT);
    return n < 0 ? n : 0;
}

/* Returns 1; 0 where the other end has closed or, without @wait, nothing is there; a negative errno
 * (-EPROTO: no such message). */
static int receive(int socket, bool wait, HxFdStoreEntry *ret_entry)
{
    *ret_entry = (HxFdStoreEntry){.n_fds = HX_FD_STORE_FDS_MAX};
    const struct iovec iov[] = {
        {&ret_entry->key, sizeof ret_entry->key},
        {ret_entry->data, sizeof ret_entry->data},
    };
    ssize_t n =
        hx_receive_fds(socket, iov, 2, ret_entry->fds, &ret_entry->n_fds, wait ? 0 : MSG_DONTWAIT);
    if (n == 0 || n == -EAGAIN || n == -ECONNRESET)
        return 0;
    if (n == -E2BIG || n == -EMSGSIZE)
        return -EPROTO;
    if (n < 0)
        return n;
    if (n < (ssize_t)sizeof ret_entry->key) {
        hx_fd_store_entry_clear(ret_entry);
        return -EPROTO;
    }
    ret_entry->size = n - sizeof ret_entry->key;
    return 1;
}

void hx_fd_store_entry_clear(HxFdStoreEntry *entry)
{
    for (unsigned i = 0; i < entry->n_fds; i++)
        hx_close(&entry->fds[i]);
    entry->n_fds = 0;
}

static void free_entry(void *data)
{
    hx_fd_store_entry_clear(data);
    g_free(data);
}

HxFdStore *hx_fd_store_new(void)
{
    HxFdStore *store = g_new0(HxFdStore, 1);
    store->entries = g_hash_table_new_full(NULL, NULL, NULL, free_entry);
    return store;
}

void hx_fd_store_free(HxFdStore *store)
{
    if (!store)
        return;
    g_hash_table_unref(store->entries);
    g_free(store);
}

/* Takes over the descriptors of @entry. */
static int keep(HxFdStore *store, HxFdStoreEntry *entry)
{
    void *key = GUINT_TO_POINTER(entry->key);
    if (entry->size == 0 && entry->n_fds == 0) {
        g_hash_table_remove(store->entries, key);
        return 0;
    }
    if (g_hash_table_size(store->entries) == ENTRIES_MAX &&
        !g_hash_table_contains(store->entries, key)) {
        hx_fd_store_entry_clear(entry);
        return -ENOBUFS;
    }
    g_hash_table_replace(store->entries, key, g_memdup2(entry, sizeof *entry));
    return 0;
}

int hx_fd_store_collect(HxFdStore *store, int socket)
{
    HxFdStoreEntry entry;
    int r;
    while ((r = receive(socket, false, &entry)) > 0)
        if ((r = keep(store, &entry)) < 0)
            return r;
    if (r < 0)
        return r;
    /* Neither is a message: nothing now, or never again. */
    char byte;
    return recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

int hx_fd_store_hand_over(const HxFdStore *store, int socket)
{
    int r = 0;
    GHashTableIter iter;
    void *entry;
    g_hash_table_iter_init(&iter, store->entries);
    while (r == 0 && g_hash_table_iter_next(&iter, NULL, &entry))
        r = hx_fd_store_send(socket, entry);
    const HxFdStoreEntry end = {.key = HX_FD_STORE_END};
    return r < 0 ? r : hx_fd_store_send(socket, &end);
}

int hx_fd_store_take_over(HxFdStore *store, int socket)
{
    HxFdStoreEntry entry;
    int r;
    while ((r = receive(socket, true, &entry)) > 0) {
        if (entry.key == HX_FD_STORE_END) {
            hx_fd_store_entry_clear(&entry);
            return 0;
        }
        if ((r = keep(store, &entry)) < 0)
            return r;
    }
    return r < 0 ? r : -EPIPE;
}

HxFdStoreEntry *hx_fd_store_lookup(const HxFdStore *store, uint32_t key)
{
    return g_hash_table_lookup(store->entries, GUINT_TO_POINTER(key));
}

void hx_fd_store_forget(HxFdStore *store)
{
    g_hash_table_remove_all(store->entries);
}
