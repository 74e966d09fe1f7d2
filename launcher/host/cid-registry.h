/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which vsock CIDs the guests of vhost-user devices have.  The kernel arbitrates its own vsock's; a
 * vhost-user device may claim any, and two guests with the same one would be told apart by nobody.
 */
#pragma once

#include <glib.h>

/* The first CID that is given out: far above those that libvirt picks for the kernel's vsock. */
#define HX_CID_FIRST 65536
/* How many guests there may be at once. */
#define HX_CID_COUNT 4096

/* Take a CID that no other process has, the lowest first: a locked file in the runtime directory
 * (hx_runtime_directory) stands for it.  Returns a descriptor, close-on-exec, that holds it for
 * hx_cid_release, and that lets go of it when the process dies.  -1 with HX_ERROR_HOST.  Any
 * thread, any number of processes. */
int hx_cid_take(guint32 *ret_cid, GError **error);

/* Give @cid back, which @fd holds; closes *@fd.  Does nothing where *@fd is -1. */
void hx_cid_release(guint32 cid, int *fd);
