/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of an image's build share. */
#pragma once

#include <stdio.h>

#include "launcher/base/architecture.h"
#include "launcher/image/build.h"

/* The phases of a build, in order. */
enum {
    HX_BUILD_DOWNLOAD,
    HX_BUILD_UNPACK,
    HX_BUILD_SET_UP,
    HX_BUILD_CUSTOMIZE,
    HX_BUILD_DISK,
    HX_BUILD_PHASES,
};

typedef enum { HX_PHASE_STARTED, HX_PHASE_GOING_ON, HX_PHASE_FINISHED } HxPhaseState;

typedef struct {
    const char *name;
    const HxImageRecipe *wanted;
    const HxArchitecture *architecture;
    gboolean firmware; /* with a boot loader */
    char *path;        /* of the finished image */
    char *building;    /* the directory of the build */
    char *log_path;
    char *complaint; /* the first error that the command tells of */
    FILE *log;
    char *init; /* the parts */
    char *data_directory;
    char *session_packages;
    char *recipe; /* a checksum of them and of what is wanted */
    GCancellable *cancellable;
    gboolean force;
    HxImageOutcome outcome;

    HxImageProgressFunc *progress;
    void *progress_data;
    int phase;
    double fraction; /* of the phase */
    gint64 phase_began, began;
    char *detail;
    guint lists, packages, got, unpacked, set_up; /* counted from the output of apt and dpkg */
} HxImageBuild;

/* Debian's release. */
#define HX_BUILD_SUITE "trixie"
/* The size of the disk. */
#define HX_BUILD_DISK_GIB 16
/* The root file system where there is a boot loader; else it has the whole disk. */
#define HX_BUILD_PARTITION "/dev/vda2"

/* --- image-build-progress.c --- */

/* Tell of the current phase. */
void hx_build_tell(HxImageBuild *build, HxPhaseState state);
/* Begin @phase, where it is not already past. */
void hx_build_enter_phase(HxImageBuild *build, int phase);
/* Learn from a line of mmdebstrap, apt or dpkg how far the build is. */
void hx_build_follow(HxImageBuild *build, const char *line);

/* --- image-build-run.c --- */

/* Run @argv to its end, its output going to the log and to hx_build_follow(); @called is its name
 * in errors.  With @in_namespace it is the init of a PID namespace: killing it ends all of it. */
gboolean hx_build_run(HxImageBuild *build, const char *const *argv, const char *called,
                      gboolean in_namespace, GError **error);

/* --- image-recipe.c --- */

/* Find the files that the image is made of, and their checksum. */
gboolean hx_build_find_parts(HxImageBuild *build, GError **error);
/* The packages that the image is to have, "NAME,NAME", for g_free. */
char *hx_build_packages(const HxImageBuild *build, GError **error);
/* Whether the guest's architecture is another than the host's. */
gboolean hx_build_is_foreign(const HxImageBuild *build);

/* --- image-disk.c --- */

/* Make disk.qcow2, kernel and initrd in the directory of the build, from the root directory or tar
 * archive @root. */
gboolean hx_build_make_disk(HxImageBuild *build, const char *root, GError **error);
