/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Build a base image from Debian's packages. */
#pragma once

#include "launcher/image/store.h"

/* What a build is doing.  Told when a phase begins and ends, and in between when there is news, at
 * least every second. */
typedef struct {
    const char *phase;    /* "downloading packages"; a constant */
    const char *detail;   /* the latest line of output that says something, or NULL */
    double fraction;      /* of the whole build, 0 to 1, by what builds take on two cores */
    double phase_seconds; /* since the phase began */
    double seconds;       /* since the build began */
    gboolean started;     /* the phase has just begun */
    gboolean finished;    /* the phase is over */
} HxImageProgress;

typedef void HxImageProgressFunc(const HxImageProgress *progress, void *data);

/* What an image is to be; all zero for the default one.  Borrowed strings. */
typedef struct {
    const char *architecture; /* NULL: the host's */
    gboolean minimal;         /* no desktop, no GPU: a kernel for clouds, systemd, SSH */
    gboolean firmware; /* with a boot loader for firmware; images for aarch64 have it anyway */
    char **packages;   /* more packages of Debian's; NULL: none */
} HxImageRecipe;

/* See that image @name is there and made as this helixvm makes @recipe: Debian 13 with the
 * packages, units and modules that the files of guest-provision/image and
 * guest-provision/session/packages say.  @force builds it anew in any case.  A second builder waits
 * for the first, then finds it there.  The image appears whole or not at all; when cancelled or
 * failed nothing is left but, where it failed, a log that the message names.  A running build ends
 * with the process that called it.  Errors: HX_ERROR_HOST (missing program, space or rights),
 * HX_ERROR_FAILED (a step failed), HX_ERROR_USAGE (no such architecture), HX_ERROR_FAILED (@force,
 * but the disks of VMs lie on it). Call it from the main thread. */
gboolean hx_image_build(const char *name, const HxImageRecipe *recipe, gboolean force,
                        HxImageProgressFunc *progress, void *data, HxImageOutcome *ret_outcome,
                        GCancellable *cancellable, GError **error);
