/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files and trees between the host and a guest, by SFTP. */
#pragma once

#include "guest-provision/ssh.h"

typedef struct {
    guint64 files, directories, symlinks, bytes;
    guint64 skipped; /* devices, sockets and FIFOs */
} HxCopyTotals;

typedef struct {
    gboolean recursive;
    gboolean preserve;    /* permissions and times of modification */
    GCancellable *cancel; /* NULL: never; the one that hx_ssh_open got */
    /* Called now and then: @done of @size bytes (0: not known) of @path. */
    void (*report)(const char *path, guint64 done, guint64 size, void *data);
    /* @path was left out, because it is @what. */
    void (*skipped)(const char *path, const char *what, void *data);
    void *data;
} HxCopyOptions;

/* Copy the NULL-terminated @sources of the host to @destination in the guest, or those of the guest
 * to @destination on the host, as cp(1) does: into @destination where that is a directory, else
 * under its name.  A relative path in the guest, and one that begins with "~/", is below the user's
 * home.  A source that is "." or ends with "/." gives its content.
 *
 * Symbolic links among the sources are followed, those in a tree are copied as they are; devices,
 * sockets and FIFOs are left out.  Files get the permissions of their source less the umask, those
 * that are there keep theirs.
 *
 * A file appears under its name when it is complete, and then at once (rename(2)): an error, an
 * interrupt or a lost connection leaves what was there before.  The guest is not trusted: names
 * that it lists are refused where they are none ("..", with a "/"), and below @destination no
 * symbolic link on the host is followed, so that nothing is written elsewhere.  Set-user-ID bits
 * are not taken from the guest.
 *
 * Ends at the first error: HX_ERROR_NOT_FOUND (a source), HX_ERROR_USAGE (a directory, and not
 * recursive; many sources and no directory), HX_ERROR_GUEST and HX_ERROR_HOST (what was refused
 * there: rights, a full disk), HX_ERROR_PROTOCOL, HX_ERROR_TIMEOUT (60 s without an answer),
 * HX_ERROR_CANCELLED.  @ret_totals counts what was copied also then. */
gboolean hx_ssh_copy_in(HxSsh *ssh, const char *const *sources, const char *destination,
                        const HxCopyOptions *options, HxCopyTotals *ret_totals, GError **error);
gboolean hx_ssh_copy_out(HxSsh *ssh, const char *const *sources, const char *destination,
                         const HxCopyOptions *options, HxCopyTotals *ret_totals, GError **error);
