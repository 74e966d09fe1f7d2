/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The private protocol between helixvm-encoder, the client, and the module in QEMU, the server. */
#pragma once

#include <stdint.h>

/* A SOCK_SEQPACKET Unix socket; one message is one packet, in the host's byte order, both sides
 * being of one build on one machine.  The client first sends HELLO with a memfd attached, sealed
 * with F_SEAL_SHRINK, F_SEAL_GROW and F_SEAL_SEAL, of at least slot_count × slot_size bytes: the
 * slots. The module answers HELLO_ANSWER.  Each READ then has one ANSWER, in order; where its
 * status is 0, the picture's lines lie at the beginning of the slot, top line first, without gaps
 * but those that the stride tells, and are the client's until it names the slot again.  A packet of
 * any other size or content ends the connection. */

#define HX_EXPORT_MAGIC 0x50585848u /* "HXXP" */
#define HX_EXPORT_VERSION 2

#define HX_EXPORT_SLOTS_MAX 16
/* The largest picture, in bytes: what HXFR allows as raw pixels. */
#define HX_EXPORT_SLOT_SIZE_MAX (64u * 1024 * 1024)
#define HX_EXPORT_DIMENSION_MAX 8192

typedef enum {
    HX_EXPORT_HELLO = 1,
    HX_EXPORT_HELLO_ANSWER = 2,
    HX_EXPORT_READ = 3,
    HX_EXPORT_ANSWER = 4,
} HxExportType;

typedef enum {
    HX_EXPORT_OK = 0,
    HX_EXPORT_NOT_FOUND = -2, /* no such resource, or the GPU is not in use yet */
    /* neither a two-dimensional texture of a format that is known nor memory that has the bytes
     * which the layout tells; or a virglrenderer that reads none */
    HX_EXPORT_UNREADABLE = -3,
    HX_EXPORT_TOO_LARGE = -4, /* larger than a slot */
    HX_EXPORT_FAILED = -5,    /* virglrenderer could not read it, or a page is not there */
} HxExportStatus;

typedef struct {
    uint32_t magic;
    uint32_t type; /* HX_EXPORT_HELLO */
    uint32_t version;
    uint32_t slot_count; /* 1 to HX_EXPORT_SLOTS_MAX */
    uint64_t slot_size;  /* bytes, a multiple of 4096, at most HX_EXPORT_SLOT_SIZE_MAX */
} HxExportHello;

typedef struct {
    uint32_t magic;
    uint32_t type; /* HX_EXPORT_HELLO_ANSWER */
    uint32_t version;
    uint32_t renderer_ready; /* virglrenderer is initialised at this moment */
} HxExportHelloAnswer;

typedef struct {
    uint32_t magic;
    uint32_t type; /* HX_EXPORT_READ */
    uint32_t request_id;
    uint32_t resource_id;
    uint32_t slot;
    /* The layout of a blob's bytes, from its first one; a texture has its own.  All 0: unknown. */
    uint32_t width;
    uint32_t height;
    uint32_t fourcc; /* DRM, of four bytes a pixel */
    uint32_t stride; /* bytes */
    uint32_t reserved;
} HxExportRead;

typedef struct {
    uint32_t magic;
    uint32_t type; /* HX_EXPORT_ANSWER */
    uint32_t request_id;
    int32_t status; /* HxExportStatus; what follows but held_ns is 0 where it is not 0 */
    uint32_t width;
    uint32_t height;
    uint32_t fourcc;       /* DRM */
    uint32_t virgl_format; /* enum virgl_formats; also given with HX_EXPORT_UNREADABLE; blob: 0 */
    uint32_t stride;       /* bytes */
    uint32_t reserved;
    uint64_t size;    /* bytes written to the slot */
    uint64_t held_ns; /* how long QEMU's main thread was busy with it */
} HxExportAnswer;
