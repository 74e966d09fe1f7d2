/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The images that can be fetched by a name: those that come with helixvm (image-catalogue.conf,
 * which explains the format), the host's in /etc/helixvm/images.conf, and the user's in
 * helixvm/images.conf of the configuration directory (XDG_CONFIG_HOME). */
#pragma once

#include <glib.h>

typedef struct {
    char *name;
    char *architecture; /* "x86_64" or "aarch64" */
    char *title;
    char *url;
    char *checksums;  /* URL of a list, or NULL */
    char *checksum;   /* "sha256:HEX", or NULL: one of the two is there */
    const char *kind; /* "built-in", "host" or "user": whose it is */
} HxCatalogueEntry;

/* Add what @text of @length bytes, the file @path, says to @entries, in the place of what is there
 * by the same name and architecture.  HX_ERROR_CONFIG, naming file, group and key.  Pure. */
gboolean hx_catalogue_read(GPtrArray *entries, const char *path, const char *text, gsize length,
                           const char *kind, GError **error);

/* An empty array for hx_catalogue_read(), of HxCatalogueEntry. */
GPtrArray *hx_catalogue_new(void);

/* All entries, by name and architecture, for g_ptr_array_unref. */
GPtrArray *hx_catalogue_load(GError **error);

/* The entry of this name and architecture; not to be freed.  HX_ERROR_NOT_FOUND, with the nearest
 * name or the architectures that there are. */
const HxCatalogueEntry *hx_catalogue_find(const GPtrArray *entries, const char *name,
                                          const char *architecture, GError **error);
