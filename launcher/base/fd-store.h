/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A file descriptor store: what a process wants to find again when it was killed and started anew
 * is kept by who started it, as systemd's does (FDSTORE in sd_notify(3)), with data beside it.
 *
 * The two share a pair of SOCK_SEQPACKET sockets, made for each start.  The keeper first hands over
 * all that it has, ended by HX_FD_STORE_END; from then on only the process sends.  Each has its
 * store, which one thread uses. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "launcher/base/fd-passing.h"

#define HX_FD_STORE_FDS_MAX HX_FDS_PASSED_MAX
#define HX_FD_STORE_DATA_MAX 512

/* One message.  With neither data nor descriptors it says that there is no such entry any more. */
typedef struct {
    uint32_t key; /* the process's own choice; one entry each, the last that was sent */
    uint32_t size;
    uint64_t data[HX_FD_STORE_DATA_MAX / sizeof(uint64_t)];
    int fds[HX_FD_STORE_FDS_MAX];
    unsigned n_fds;
} HxFdStoreEntry;

/* The key that ends what the keeper hands over. */
#define HX_FD_STORE_END UINT32_MAX

/* Send one entry; its descriptors stay the caller's.  Does not wait.  Returns 0 or a negative errno
 * (-EAGAIN: the other end does not read). */
int hx_fd_store_send(int socket, const HxFdStoreEntry *entry);

/* Close the descriptors of @entry. */
void hx_fd_store_entry_clear(HxFdStoreEntry *entry);

typedef struct HxFdStore HxFdStore;

HxFdStore *hx_fd_store_new(void);

/* Closes all that it keeps.  NULL is fine. */
void hx_fd_store_free(HxFdStore *store);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HxFdStore, hx_fd_store_free)

/* --- the keeper's side ---------------------------------------------------------------------- */

/* Take in all that has arrived at @socket.  Returns 1; 0 where the other end has closed; a negative
 * errno. */
int hx_fd_store_collect(HxFdStore *store, int socket);

/* Hand over all entries, then the end.  Returns 0 or a negative errno. */
int hx_fd_store_hand_over(const HxFdStore *store, int socket);

/* --- the process's side --------------------------------------------------------------------- */

/* Take in all that the keeper hands over; waits for it.  Returns 0 or a negative errno (-EPIPE: it
 * closed before the end). */
int hx_fd_store_take_over(HxFdStore *store, int socket);

/* The entry with @key, or NULL.  Owned by @store; a descriptor that is taken from it is replaced
 * by -1. */
HxFdStoreEntry *hx_fd_store_lookup(const HxFdStore *store, uint32_t key);

/* Close and forget all entries of this side's store; the keeper's stay. */
void hx_fd_store_forget(HxFdStore *store);
