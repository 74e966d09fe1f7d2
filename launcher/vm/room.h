/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whether this host can give a VM what its profile asks for: memory, disk, ports, folders. */
#pragma once

#include "launcher/profile/profile.h"
#include "launcher/vm/vm.h"

/* Refuse, before anything is made for @vm, what the host cannot give: HX_ERROR_HOST with what is
 * asked for and what is there, for memory, room on the file system of the VM's disks, or ports;
 * HX_ERROR_CONFIG for a folder that cannot be shared or a disk that would have to shrink;
 * HX_ERROR_NOT_FOUND where the base image is missing.  The VM is down. */
gboolean hx_room_check(HxVm *vm, const HxProfile *profile, GError **error);

/* Refuse disks for which there is no room, or that would have to shrink, as above. */
gboolean hx_room_check_disks(HxVm *vm, const HxProfile *profile, GError **error);

/* Refuse folders that cannot be shared, as above. */
gboolean hx_room_check_shares(HxVm *vm, const HxProfile *profile, GError **error);

/* Refuse a VM of @wanted_mib MiB where the host has @available bytes of memory left. */
gboolean hx_room_check_memory(gint64 wanted_mib, guint64 available, GError **error);

/* Refuse disks that may grow by @growth bytes yet on the file system of @directory, which has
 * @available bytes left: it must have 1 GiB and half of that growth, or all of it where that is
 * less.  Disks take room only as the guest writes, and few fill theirs. */
gboolean hx_room_check_disk(guint64 growth, guint64 available, const char *directory,
                            GError **error);

/* The bytes that @meminfo, a text like /proc/meminfo (proc_meminfo(5)), says could be used without
 * swapping; 0 where it does not say. */
guint64 hx_room_available_memory(const char *meminfo);
