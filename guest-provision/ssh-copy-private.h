/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What both directions of a copy share. */
#pragma once

#include <sys/stat.h>

#include "guest-provision/ssh-copy.h"
#include "guest-provision/ssh-private.h"

/* Every server takes 32 KiB (draft-ietf-secsh-filexfer-02, 3); as many are kept on their way as a
 * quick disk behind a slow guest is worth. */
#define HX_COPY_CHUNK (32 * 1024)
#define HX_COPY_IN_FLIGHT 32
/* Deeper trees hold too many descriptors, and are a hostile guest's. */
#define HX_COPY_DEPTH_MAX 100

typedef struct {
    HxSsh *ssh;
    const HxCopyOptions *options;
    HxCopyTotals *totals;
    mode_t umask;
    gint64 told;  /* when the deadline was last set, monotonic µs */
    gint64 shown; /* when progress was last reported */
} HxCopy;

/* A conversation by SFTP begins.  HX_ERROR_GUEST where the guest has none. */
gboolean hx_copy_begin(HxCopy *copy, HxSsh *ssh, const HxCopyOptions *options, HxCopyTotals *totals,
                       GError **error);
void hx_copy_end(HxCopy *copy);

/* Something was answered: FALSE with HX_ERROR_CANCELLED where the user interrupted. */
gboolean hx_copy_goes_on(HxCopy *copy, GError **error);
void hx_copy_report(HxCopy *copy, const char *path, guint64 done, guint64 size);
void hx_copy_skip(HxCopy *copy, const char *path, const char *what);

/* Set @error to why @what ("read", "write") of @path failed in the guest, or on the host (errno).
 * Returns FALSE. */
gboolean hx_copy_guest_failed(HxCopy *copy, const char *what, const char *path, GError **error);
gboolean hx_copy_host_failed(const char *what, const char *path, GError **error);

/* The path in the guest without "~/"; "." for none. */
const char *hx_copy_guest_path(const char *path);
/* The last name of @path, for g_free; NULL where its content is meant ("", ".", "..", "/"). */
char *hx_copy_name(const char *path);
/* @directory/@name, for g_free; @name alone in ".". */
char *hx_copy_join(const char *directory, const char *name);
/* A name for a file in the making, which no other has, for g_free. */
char *hx_copy_temporary(void);
/* Whether @name, from the guest, is the name of a file in a directory. */
gboolean hx_copy_is_name(const char *name);

typedef sftp_attributes HxAttributes;
G_DEFINE_AUTO_CLEANUP_FREE_FUNC(HxAttributes, sftp_attributes_free, NULL)
