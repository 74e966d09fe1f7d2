/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Numbers and layouts of the vhost-user protocol, as QEMU's document "Vhost-user Protocol" has
 * them. Both ends are on one host: native byte order. */
#pragma once

#include <linux/vhost_types.h>
#include <stdint.h>

enum {
    HX_VHOST_GET_FEATURES = 1,
    HX_VHOST_SET_FEATURES = 2,
    HX_VHOST_SET_OWNER = 3,
    HX_VHOST_RESET_OWNER = 4,
    HX_VHOST_SET_MEM_TABLE = 5,
    HX_VHOST_SET_VRING_NUM = 8,
    HX_VHOST_SET_VRING_ADDR = 9,
    HX_VHOST_SET_VRING_BASE = 10,
    HX_VHOST_GET_VRING_BASE = 11,
    HX_VHOST_SET_VRING_KICK = 12,
    HX_VHOST_SET_VRING_CALL = 13,
    HX_VHOST_SET_VRING_ERR = 14,
    HX_VHOST_GET_PROTOCOL_FEATURES = 15,
    HX_VHOST_SET_PROTOCOL_FEATURES = 16,
    HX_VHOST_GET_QUEUE_NUM = 17,
    HX_VHOST_SET_VRING_ENABLE = 18,
    HX_VHOST_GET_CONFIG = 24,
    HX_VHOST_SET_CONFIG = 25,
    HX_VHOST_RESET_DEVICE = 34,
    HX_VHOST_REQUEST_END = 64, /* beyond all that are defined */
};

/* HxVhostHeader.flags */
enum {
    HX_VHOST_VERSION_MASK = 0x3,
    HX_VHOST_VERSION = 0x1,
    HX_VHOST_REPLY = 0x4,
    HX_VHOST_NEED_REPLY = 0x8,
};

/* Among the virtio features: that protocol features can be negotiated. */
#define HX_VHOST_F_PROTOCOL_FEATURES 30

/* Protocol features, by bit. */
enum {
    HX_VHOST_PROTOCOL_F_MQ = 0,
    HX_VHOST_PROTOCOL_F_REPLY_ACK = 3,
    HX_VHOST_PROTOCOL_F_CONFIG = 9,
    HX_VHOST_PROTOCOL_F_RESET_DEVICE = 13,
};

/* In the u64 of SET_VRING_KICK, CALL and ERR: the queue's index, and "no descriptor comes along".
 */
#define HX_VHOST_VRING_INDEX_MASK 0xffu
#define HX_VHOST_VRING_NO_FD 0x100u

/* VHOST_USER_MAX_CONFIG_SIZE and VHOST_MEMORY_BASELINE_NREGIONS */
#define HX_VHOST_CONFIG_MAX 256
#define HX_VHOST_FDS_MAX 8

typedef struct {
    uint32_t request;
    uint32_t flags;
    uint32_t size; /* of the payload, bytes */
} HxVhostHeader;

typedef struct {
    uint64_t guest_address, size, user_address, file_offset;
} HxVhostRegion;

typedef struct {
    uint32_t count, padding;
    HxVhostRegion regions[HX_VHOST_FDS_MAX];
} HxVhostMemory;

typedef struct {
    uint32_t offset, size, flags;
    uint8_t data[HX_VHOST_CONFIG_MAX];
} HxVhostConfig;

typedef union {
    uint64_t u64;
    struct vhost_vring_state state;
    struct vhost_vring_addr address;
    HxVhostMemory memory;
    HxVhostConfig config;
} HxVhostPayload;
