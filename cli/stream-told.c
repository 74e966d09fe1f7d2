/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/stream-told.h"

#include "cli/stream-client.h"
#include "launcher/base/json.h"
#include "launcher/base/pause.h"

#define ANSWER_SECONDS 10

struct HxStreamTold {
    HxStreamConnect connect;
    void *data;
    guint interval_ms;
    GCancellable *cancel;
    GThread *thread;
    GMutex lock;
    char *last; /* under the lock: the text, as an object's references are one thread's */
};

static char *ask(HxStreamConnect connect, void *data, guint seconds, GCancellable *cancel)
{
    int fd = connect(data, cancel);
    return fd >= 0 ? hx_stream_get(fd, "/statistics", seconds, cancel, NULL) : NULL;
}

JsonObject *hx_stream_ask(HxStreamConnect connect, void *data, guint seconds, GCancellable *cancel)
{
    g_autofree char *text = ask(connect, data, seconds, cancel);
    return text ? hx_json_parse_object(text, -1) : NULL;
}

static void *ask_again_and_again(void *data)
{
    HxStreamTold *told = data;
    while (!g_cancellable_is_cancelled(told->cancel)) {
        char *answer = ask(told->connect, told->data, ANSWER_SECONDS, told->cancel);
        if (answer) {
            g_mutex_lock(&told->lock);
            g_free(told->last);
            told->last = answer;
            g_mutex_unlock(&told->lock);
        }
        hx_pause(told->interval_ms, told->cancel);
    }
    return NULL;
}

HxStreamTold *hx_stream_told_new(HxStreamConnect connect, void *data, guint interval_ms)
{
    HxStreamTold *told = g_new0(HxStreamTold, 1);
    told->connect = connect;
    told->data = data;
    told->interval_ms = interval_ms;
    told->cancel = g_cancellable_new();
    g_mutex_init(&told->lock);
    told->thread = g_thread_new("statistics", ask_again_and_again, told);
    return told;
}

JsonObject *hx_stream_told_get(HxStreamTold *told)
{
    g_mutex_lock(&told->lock);
    g_autofree char *last = g_strdup(told->last);
    g_mutex_unlock(&told->lock);
    return last ? hx_json_parse_object(last, -1) : NULL;
}

void hx_stream_told_free(HxStreamTold *told)
{
    if (!told)
        return;
    g_cancellable_cancel(told->cancel);
    g_thread_join(told->thread);
    g_object_unref(told->cancel);
    g_free(told->last);
    g_mutex_clear(&told->lock);
    g_free(told);
}
