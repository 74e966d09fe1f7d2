/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Folders of the host that the guest sees through virtiofs, as the key share.folders lists them. */
#pragma once

#include <glib.h>

/* As many as find a slot on the machine's PCI bus together with all else. */
#define HX_SHARES_MAX 8

typedef struct {
    char *tag; /* by which the guest mounts it */
    char *path;
    gboolean read_only;
} HxShare;

void hx_share_free(HxShare *share);

/* The folders that @value, "TAG:/PATH;TAG:/PATH:ro", lists, as HxShare, for g_ptr_array_unref; none
 * where it is empty.  NULL where it is wrong: @ret_objection, for g_free, says what it must be. */
GPtrArray *hx_shares_parse(const char *value, char **ret_objection);

/* See that each of @shares is a folder that may be given away, and put what its path leads to in
 * the path's place: a link that is changed later then leads to nothing else.  HX_ERROR_CONFIG where
 * it is no folder, or has helixvm's own files in it or above it (the directory @state),
 * HX_ERROR_HOST where the host has no virtiofsd. */
gboolean hx_shares_resolve(GPtrArray *shares, const char *state, GError **error);

/* Where virtiofsd is, for g_free; NULL with HX_ERROR_HOST. */
char *hx_virtiofsd(GError **error);

/* The options with which a guest mounts @share, as in fstab(5); a constant. */
const char *hx_share_mount_options(const HxShare *share);

/* The lines of a fstab(5) by which a guest mounts @shares at /mnt/TAG, for g_free. */
char *hx_shares_fstab(const GPtrArray *shares);
