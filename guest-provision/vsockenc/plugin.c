/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What GStreamer finds in libgstvsockenc.so. */
#include "guest-provision/vsockenc/gstvsockenc.h"

#define PACKAGE "helixvm"

static gboolean plugin_init(GstPlugin *plugin)
{
    /* No rank: an encoder that needs a service is chosen by name. */
    return gst_element_register(plugin, "vsockenc", GST_RANK_NONE, GST_TYPE_VSOCK_ENC);
}

GST_PLUGIN_DEFINE(GST_VERSION_MAJOR, GST_VERSION_MINOR, vsockenc,
                  "H.264 encoding on a virtual machine's host", plugin_init, HELIXVM_VERSION, "GPL",
                  "helixvm", "https://gstreamer.freedesktop.org/")
