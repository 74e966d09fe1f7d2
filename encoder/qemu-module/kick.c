/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Theory of operation.  A guest tells its GPU once of the commands that it has put into the queue.
 * With emulated CPUs that word is lost at times (seen with QEMU 10.0.13): the commands stay where
 * they are, the guest tells no more of others behind them, and waits for ever, in its kernel.  So
 * the device looks into its queue by itself, a few times a second: QEMU's own functions, which its
 * main program has for its modules, are called from its main loop, with its lock held. */
#include <dlfcn.h>
#include <stdbool.h>

#include "encoder/qemu-module/module.h"
#include "launcher/base/log.h"

#define INTERVAL_MS 100
#define CONTROL_QUEUE 0

static struct {
    void *(*resolve)(const char *path, const char *type, bool *ambiguous);
    void *(*get_queue)(void *device, int queue);
    int (*is_empty)(void *queue);
    void (*notify)(void *device, int queue);
} qemu;

static gboolean look(void *data)
{
    static gboolean said;
    void *device = qemu.resolve("", "virtio-gpu-gl-device", NULL);
    if (!device || qemu.is_empty(qemu.get_queue(device, CONTROL_QUEUE)))
        return G_SOURCE_CONTINUE;
    if (!said)
        hx_log_info("the GPU had commands in its queue that it was not told of, or is about to be");
    said = TRUE;
    qemu.notify(device, CONTROL_QUEUE);
    return G_SOURCE_CONTINUE;
}

void hx_kick_start(void)
{
    const bool *is_emulated = dlsym(RTLD_DEFAULT, "tcg_allowed");
    qemu.resolve = dlsym(RTLD_DEFAULT, "object_resolve_path_type");
    qemu.get_queue = dlsym(RTLD_DEFAULT, "virtio_get_queue");
    qemu.is_empty = dlsym(RTLD_DEFAULT, "virtio_queue_empty");
    qemu.notify = dlsym(RTLD_DEFAULT, "virtio_queue_notify");
    static gboolean started;
    if (!started && is_emulated && *is_emulated && qemu.resolve && qemu.get_queue &&
        qemu.is_empty && qemu.notify)
        started = g_timeout_add(INTERVAL_MS, look, NULL) > 0;
}
