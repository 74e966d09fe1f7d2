/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fetch a base image from a URL. */
#pragma once

#include "launcher/download/download.h"
#include "launcher/image/store.h"

typedef struct {
    const char *name;          /* of the image */
    const char *url;           /* http, https or file: a disk, packed or not */
    const char *architecture;  /* "x86_64" or "aarch64" */
    const char *system;        /* "Debian 13", for people */
    const char *checksum;      /* "sha256:HEX" of the file at @url, or NULL */
    const char *checksums;     /* https URL of a list that has it, or NULL */
    gboolean without_checksum; /* take an https URL at its word, if there is neither */
    gboolean force;            /* fetch it where it is there, and whatever is there by this name */
    guint64 max_size;          /* bytes, of the file and of what it unpacks to */
    guint timeout;             /* give a server that sends less than 1 KiB/s so long, seconds */
    guint retries;             /* with less than 1 MiB in between */
} HxImageFetch;

/* What happens.  @phase is a constant, "downloading" and the like; @download is there while it
 * downloads. */
typedef void HxImageFetchFunc(const char *phase, const HxDownloadProgress *download, void *data);

/* See that image @what->name is there as its URL has it.  It appears whole or not at all, checked,
 * read-only, and boots by firmware.  A second process that fetches the same name waits for the
 * first and then finds it there.
 *
 * What has arrived stays for the next call where the connection broke for good, the call was
 * cancelled or the process killed (see launcher/download/download.h); any other failure leaves
 * nothing. HX_IMAGE_CURRENT where it is there from the same source (and the publisher's checksum is
 * still the same), HX_IMAGE_KEPT where the publisher has another by now, but VMs use this one.
 *
 * Errors: HX_ERROR_USAGE (a URL that needs a checksum), HX_ERROR_CONFIG (another image has the
 * name, or VMs use it), HX_ERROR_NOT_FOUND, HX_ERROR_HOST (no room), HX_ERROR_TIMEOUT,
 * HX_ERROR_PROTOCOL, HX_ERROR_FAILED (another checksum; a disk that cannot be used). */
gboolean hx_image_fetch(const HxImageFetch *what, HxImageFetchFunc *progress, void *data,
                        HxImageOutcome *ret_outcome, GCancellable *cancellable, GError **error);

/* The name that an image from @url gets where it is given none: that of the file without its
 * endings, in the letters that names have; for g_free, NULL where nothing is left. */
char *hx_image_fetch_name(const char *url);

/* The architecture that the file's name at @url tells ("amd64", "arm64" and the like), or NULL. */
const char *hx_image_fetch_architecture(const char *url);

/* Delete what an interrupted fetch of @name left.  FALSE, without an error, where there is nothing,
 * or somebody is fetching it. */
gboolean hx_image_fetch_discard(const char *name, GError **error);
