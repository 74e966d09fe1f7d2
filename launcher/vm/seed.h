/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The seed of a guest that takes no credentials: a read-only disk from which cloud-init learns who
 * may log in, and what the guest does to be like one that takes them (cloud-init's "NoCloud"). */
#pragma once

#include <glib.h>
#include <sys/types.h>

#include "launcher/image/image.h"
#include "launcher/profile/profile.h"

/* The seed disk's serial number. */
#define HX_SEED_SERIAL "helixvm-seed"

/* Borrowed strings. */
typedef struct {
    const char *name;       /* of the VM: the guest's host name */
    const char *uuid;       /* of the VM: the instance, of which cloud-init sees the first boot */
    const char *public_key; /* that the guest's root admits, as in authorized_keys */
    const char *files;      /* the directory guest-provision/seed */
    guint32 notify_port;    /* the host's vsock port that takes the guest's READY=1 */
} HxSeed;

/* Whether a VM of @profile on @image has a seed: boot.seed, where "auto" gives one to images that
 * were downloaded. */
gboolean hx_seed_is_wanted(const HxProfile *profile, const HxImage *image);

/* The contents of the seed's files, for g_free: JSON, which is also the YAML that cloud-init reads.
 * The user-data has the files of guest-provision/seed in it; an error where they are missing.
 */
char *hx_seed_meta_data(const HxSeed *seed);
gboolean hx_seed_user_data(const HxSeed *seed, char **ret_user_data, GError **error);
char *hx_seed_boot_data(const HxSeed *seed, const HxProfile *profile);

/* Write the seed to @path, in place of what is there: an ISO 9660 image called CIDATA of mode 0600
 * that is @owner's.  HX_ERROR_HOST. */
gboolean hx_seed_write(const HxSeed *seed, const HxProfile *profile, const char *path, uid_t owner,
                       GError **error);
