/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The client's side of a monitor's control socket and of its start descriptor:
 * launcher/monitor/monitor.h has the events and requests. */
#pragma once

#include <gio/gio.h>
#include <json-glib/json-glib.h>

typedef struct HxControl HxControl;

/* Speak over @fd, a connected stream socket; takes it. */
HxControl *hx_control_new(int fd);
void hx_control_free(HxControl *control);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HxControl, hx_control_free)

/* Send the request @request, a JSON object's text without a newline. */
gboolean hx_control_send(HxControl *control, const char *request, GError **error);

/* From now on hx_control_next waits for a line, whole, for @milliseconds at most: then
 * HX_ERROR_TIMEOUT. */
void hx_control_set_timeout(HxControl *control, guint milliseconds);

/* The next line, a JSON object, for json_object_unref.  Blocks until it is there or @cancel is
 * cancelled (HX_ERROR_CANCELLED).  NULL without @error where the monitor has closed the connection.
 * HX_ERROR_PROTOCOL for anything else than a JSON object on a line of at most 64 KiB. */
JsonObject *hx_control_next(HxControl *control, GCancellable *cancel, GError **error);
