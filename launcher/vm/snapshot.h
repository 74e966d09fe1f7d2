/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Snapshots of a VM that is down: inside its qcow2 disks, all of them or none, and beside them what
 * belongs to that state of the disks: the guest's pinned host key, what it reported, its firmware's
 * variables. */
#pragma once

#include "launcher/vm/vm.h"

typedef struct {
    char *name;
    char *description; /* "" where none was given */
    char *time;        /* ISO 8601, UTC */
    gint64 disk_bytes; /* what the VM's disks took on the host then */
    char **disks;      /* their files' names in the state directory */
} HxSnapshot;

void hx_snapshot_free(HxSnapshot *snapshot);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HxSnapshot, hx_snapshot_free)

/* A snapshot's name has 1 to 40 characters of a-z, A-Z, 0-9, '-', '.' and '_', the first a letter
 * or digit.  HX_ERROR_USAGE for another. */
gboolean hx_snapshot_check_name(const char *name, GError **error);

/* The snapshots of @vm as HxSnapshot, the oldest first; needs no lock.  Free with
 * g_ptr_array_unref. */
GPtrArray *hx_snapshot_list(HxVm *vm);

/* The snapshot @name of @vm.  HX_ERROR_NOT_FOUND, HX_ERROR_USAGE for a bad name. */
HxSnapshot *hx_snapshot_open(HxVm *vm, const char *name, GError **error);

/* The following change the VM's disks: the caller holds the VM's lock, and the VM is down.  Each is
 * done wholly or not at all; one that was killed halfway is undone, or in the case of restore
 * done again, by hx_snapshot_recover.  They block, for a second or so. */

/* HX_ERROR_FAILED where there is one of this name, HX_ERROR_NOT_FOUND where @vm has no disk yet,
 * HX_ERROR_USAGE where @description (may be NULL) is no line of at most 200 characters. */
gboolean hx_snapshot_create(HxVm *vm, const char *name, const char *description, GError **error);

/* Make the disks what they were at @name.  What they hold now is lost.  A disk that the VM did not
 * have then is left as it is. */
gboolean hx_snapshot_restore(HxVm *vm, const char *name, GError **error);

gboolean hx_snapshot_delete(HxVm *vm, const char *name, GError **error);

/* Finish what a killed process has begun; TRUE where there is nothing.  To be called before the
 * disks are used. */
gboolean hx_snapshot_recover(HxVm *vm, GError **error);
