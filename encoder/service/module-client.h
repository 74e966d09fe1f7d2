/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The service's side of export-protocol.h: pictures of GPU resources, by way of the module in QEMU.
 */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>
#include <stdint.h>

#include "encoder/protocol.h"

/* One per service; all functions but new and free may be called by any thread. */
typedef struct HxModuleClient HxModuleClient;

/* @path is copied; NULL: there is no module, and never will be.  Connects when it is first needed,
 * and again after a loss.  NULL where the shared memory cannot be made, with errno. */
HxModuleClient *hx_module_client_new(const char *path);

/* Every picture has been released by then.  Takes NULL. */
void hx_module_client_free(HxModuleClient *client);

typedef struct {
    const uint8_t *pixels; /* in shared memory: QEMU, if it breaks its word, may change them */
    uint32_t width;
    uint32_t height;
    uint32_t format; /* DRM fourcc, one of four bytes a pixel */
    uint32_t stride; /* bytes */
    unsigned slot;
} HxModulePicture;

/* Read @request's resource; blocks while others read.  *ret_picture is then to be released, soon:
 * others wait for its memory.  Size, format and stride of the request tell how to read a blob; a
 * texture's own are in *ret_picture.
 * 0; -ENOENT no such resource; -EOPNOTSUPP it is of a kind that cannot be read; -EFBIG it is too
 * large; -EIO reading it failed; -ENOTCONN the module is absent or does not answer. */
int hx_module_client_read(HxModuleClient *client, const HxfrFrameRequest *request,
                          HxModulePicture *ret_picture);

void hx_module_client_release(HxModuleClient *client, const HxModulePicture *picture);

/* Make a read that is waiting return at once, and every later one fail: the service ends. */
void hx_module_client_stop(HxModuleClient *client);

/* Add connected, reason, counts and times to the object that is open in @builder. */
void hx_module_client_describe(HxModuleClient *client, JsonBuilder *builder);
