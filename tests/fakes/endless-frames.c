/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/fakes/endless-frames.h"

#include <stdio.h>

static GPtrArray *units; /* GBytes: access units, whole groups of them */

void say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
    fflush(stdout);
}

static void keep_unit(const HxStreamFrame *frame, void *data)
{
    g_ptr_array_add(units, g_bytes_new(frame->data, frame->size));
}

void endless_frames_make(guint groups)
{
    units = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    pictures_encode((int)groups * PICTURE_GROUP, keep_unit, NULL);
}

HxStreamFrame endless_frame(guint64 index, guint interval_ms)
{
    gsize size;
    const guint8 *data = g_bytes_get_data(units->pdata[index % units->len], &size);
    return (HxStreamFrame){.codec = HX_STREAM_CODEC_H264,
                           .flags = index % PICTURE_GROUP == 0 ? HX_STREAM_FRAME_KEY : 0,
                           .pts_us = index * interval_ms * 1000,
                           .width = PICTURE_WIDTH,
                           .height = PICTURE_HEIGHT,
                           .data = data,
                           .size = size};
}

void send_binary(SoupWebsocketConnection *connection, GBytes *bytes)
{
    soup_websocket_connection_send_message(connection, SOUP_WEBSOCKET_DATA_BINARY, bytes);
    g_bytes_unref(bytes);
}
