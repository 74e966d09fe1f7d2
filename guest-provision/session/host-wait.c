/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest-provision/session/host-wait.h"

#include "guest-provision/vsockenc/frame-client.h"

#include <linux/vm_sockets.h>

/* ms: who is there answers at once. */
enum { ANSWER_TIME = 2000 };

struct SessionHostWait {
    guint interval_ms;
    void (*answers)(void *data);
    void *data;
    guint timer;
    GCancellable *cancellable;
};

static void ask_in_thread(GTask *task, void *source, void *data, GCancellable *cancellable)
{
    const HxFrameAddress address = {.cid = VMADDR_CID_HOST, .port = HXFR_PORT};
    g_autoptr(GError) error = NULL;
    g_autoptr(HxFrameClient) client =
        hx_frame_client_connect(&address, ANSWER_TIME, cancellable, &error);
    if (client && hx_frame_client_ping(client, &error))
        g_task_return_boolean(task, TRUE);
    else
        g_task_return_error(task, g_steal_pointer(&error));
}

static gboolean ask(void *data);

static void asked(GObject *source, GAsyncResult *result, void *data)
{
    SessionHostWait *wait = data;
    g_autoptr(GError) error = NULL;
    gboolean answers = g_task_propagate_boolean(G_TASK(result), &error);
    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        return; /* it has been freed */
    if (answers) {
        wait->answers(wait->data);
        return;
    }
    g_debug("%s", error->message);
    wait->timer = g_timeout_add(wait->interval_ms, ask, wait);
}

static gboolean ask(void *data)
{
    SessionHostWait *wait = data;
    wait->timer = 0;
    g_autoptr(GTask) task = g_task_new(NULL, wait->cancellable, asked, wait);
    g_task_run_in_thread(task, ask_in_thread);
    return G_SOURCE_REMOVE;
}

SessionHostWait *session_host_wait_new(guint interval_ms, void (*answers)(void *data), void *data)
{
    SessionHostWait *wait = g_new0(SessionHostWait, 1);
    wait->interval_ms = interval_ms;
    wait->answers = answers;
    wait->data = data;
    wait->cancellable = g_cancellable_new();
    wait->timer = g_timeout_add(interval_ms, ask, wait);
    return wait;
}

void session_host_wait_free(SessionHostWait *wait)
{
    if (!wait)
        return;
    g_clear_handle_id(&wait->timer, g_source_remove);
    g_cancellable_cancel(wait->cancellable);
    g_object_unref(wait->cancellable);
    g_free(wait);
}
