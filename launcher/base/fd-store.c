/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/base/fd-store.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "launcher/base/fd.h"

/* A process has few things to keep; this many keys are a fault of its. */
#define ENTRIES_MAX 64

typedef union {
    struct cmsghdr align;
    char buffer[CMSG_SPACE(sizeof(int) * HX_FD_STORE_FDS_MAX)];
} Control;

struct HxFdStore {
    GPtrArray *entries; /* HxFdStoreEntry */
};

int hx_fd_store_send(int socket, const HxFdStoreEntry *entry)
{
    Control control = {0};
    struct iovec iov[] = {
        {(void *)&entry->key, sizeof entry->key},
        {(void *)entry->data, entry->size},
    };
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
    if (entry->n_fds > 0) {
        msg.msg_control = &control;
        msg.msg_controllen = CMSG_SPACE(sizeof(int) * entry->n_fds);
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * entry->n_fds);
        memcpy(CMSG_DATA(c), entry->fds, sizeof(int) * entry->n_fds);
    }
    return sendmsg(socket, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

static void take_fds(struct msghdr *msg, HxFdStoreEntry *ret_entry)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        /* The buffer has room for no more than these. */
        ret_entry->n_fds = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(ret_entry->fds, CMSG_DATA(c), ret_entry->n_fds * sizeof(int));
    }
}

int hx_fd_store_receive(int socket, bool wait, HxFdStoreEntry *ret_entry)
{
    Control control;
    *ret_entry = (HxFdStoreEntry){.n_fds = 0};
    struct iovec iov[] = {
        {&ret_entry->key, sizeof ret_entry->key},
        {ret_entry->data, sizeof ret_entry->data},
    };
    struct msghdr msg = {
        .msg_iov = iov,
        .msg_iovlen = 2,
        .msg_control = &control,
        .msg_controllen = sizeof control,
    };
    ssize_t n;
    do
        n = recvmsg(socket, &msg, MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT));
    while (n < 0 && errno == EINTR);
    if (n == 0 || (n < 0 && (errno == EAGAIN || errno == ECONNRESET)))
        return 0;
    if (n < 0)
        return -errno;
    take_fds(&msg, ret_entry);
    if (n < (ssize_t)sizeof ret_entry->key || msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
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
    store->entries = g_ptr_array_new_with_free_func(free_entry);
    return store;
}

void hx_fd_store_free(HxFdStore *store)
{
    if (!store)
        return;
    g_ptr_array_unref(store->entries);
    g_free(store);
}

/* Takes over the descriptors of @entry. */
static int keep(HxFdStore *store, const HxFdStoreEntry *entry)
{
    for (guint i = 0; i < store->entries->len; i++)
        if (((HxFdStoreEntry *)store->entries->pdata[i])->key == entry->key) {
            g_ptr_array_remove_index(store->entries, i);
            break;
        }
    if (entry->size == 0 && entry->n_fds == 0)
        return 0;
    g_ptr_array_add(store->entries, g_memdup2(entry, sizeof *entry));
    if (store->entries->len <= ENTRIES_MAX)
        return 0;
    g_ptr_array_set_size(store->entries, ENTRIES_MAX);
    return -ENOBUFS;
}

int hx_fd_store_collect(HxFdStore *store, int socket)
{
    HxFdStoreEntry entry;
    int r;
    while ((r = hx_fd_store_receive(socket, false, &entry)) > 0)
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
    for (guint i = 0; i < store->entries->len && r == 0; i++)
        r = hx_fd_store_send(socket, store->entries->pdata[i]);
    const HxFdStoreEntry end = {.key = HX_FD_STORE_END};
    return r < 0 ? r : hx_fd_store_send(socket, &end);
}
