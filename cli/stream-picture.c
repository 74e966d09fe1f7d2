/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/stream-picture.h"

void hx_stream_picture_clear(HxStreamPicture *picture)
{
    g_clear_pointer(&picture->warned, g_free);
}

static char *find_fault(HxStreamPicture *picture, const HxStreamFrame *frame)
{
    const guint8 *nal;
    gsize size;
    picture->known = FALSE;
    if (!hx_h264_find_nal(frame->data, frame->size, HX_H264_NAL_SPS, &nal, &size))
        return g_strdup(
            "a keyframe has no sequence parameter set: who begins with it sees nothing");
    if (!hx_h264_sps_parse(nal, size, &picture->sps))
        return g_strdup("a keyframe's sequence parameter set cannot be read");
    picture->known = TRUE;
    const HxH264Sps *sps = &picture->sps;
    if (sps->width == frame->width && sps->height == frame->height)
        return NULL;
    return g_strdup_printf("frames are announced as %ux%u, but their sequence parameter set says "
                           "%ux%u",
                           frame->width, frame->height, sps->width, sps->height);
}

const char *hx_stream_picture_look(HxStreamPicture *picture, const HxStreamFrame *frame)
{
    if (!(frame->flags & HX_STREAM_FRAME_KEY))
        return NULL;
    g_autofree char *before = picture->warned;
    picture->warned = find_fault(picture, frame);
    return g_strcmp0(picture->warned, before) == 0 ? NULL : picture->warned;
}
