/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The process of a domain's QEMU, for where libvirt cannot be asked to end it. */
#pragma once

#include <glib.h>

/* End the QEMU of the domain with the UUID @uuid, as text: by SIGTERM, on which it writes out what
 * it holds of its disks, and by SIGKILL where that does not end it within 10 s.  Blocks until it
 * has ended, for 15 s at most.  TRUE also where there is none.  FALSE with HX_ERROR_HOST where it
 * may not be signalled, HX_ERROR_TIMEOUT where it does not end.  Any thread. */
gboolean hx_qemu_end(const char *uuid, GError **error);
