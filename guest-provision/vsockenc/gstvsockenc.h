/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The type of the GStreamer element "vsockenc". */
#pragma once

#include <gst/video/gstvideoencoder.h>

#define GST_TYPE_VSOCK_ENC (gst_vsock_enc_get_type())
G_DECLARE_FINAL_TYPE(GstVsockEnc, gst_vsock_enc, GST, VSOCK_ENC, GstVideoEncoder)
