/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the steps of hx_provision share: one run, as far as it has come. */
#pragma once

#include "guest-provision/distribution.h"
#include "guest-provision/facts.h"
#include "guest-provision/provision.h"

#define HX_STEP_SCRIPT_SECONDS 120

/* A container in the guest. */
typedef struct {
    const char *engine; /* "podman" or "docker"; NULL: the run is about the guest itself */
    char *id;
    char *name, *image, *user; /* as the engine tells them */
    char *within;              /* what a command is run by in it as root; HxScript */
    HxFacts *facts;            /* of container.sh */
} HxContainer;

/* Files that are put into the guest. */
enum { HX_PROVISION_FILES = 4 };

typedef struct {
    const HxGuest *guest;
    const HxProvisionScope *scope;
    HxStepReport report;
    void *data;       /* of report */
    const char *step; /* the one that runs */
    HxSsh *ssh;
    guint reconnected;
    char *place; /* for messages: VM "NAME", or a container in it */
    HxContainer container;
    HxFacts *facts; /* of detect.sh */
    HxDistribution distribution;
    char **distributions; /* whose packages are known */
    HxBuild build;        /* HX_BUILD_AUTO until it is decided */
    char *build_reason;
    GBytes *source; /* of the parts, and its checksum */
    char *source_sum;
    gboolean source_there;
    HxFacts *verified; /* of verify.sh, now or earlier */
    GBytes *contents[HX_PROVISION_FILES];
    char *sums[HX_PROVISION_FILES]; /* NULL: of a part that the guest has yet to build */
    char *paths[HX_PROVISION_FILES];
    GString *manifest; /* what is installed once the run is through */
    gboolean directories_made;
    gboolean files_changed;
    gboolean changed;
    gboolean needed; /* it only checks, and something is to be changed */
} HxProvisionRun;

/* A step: look, and change what is not as it should be, unless run->scope->check.  @index is its
 * own in the table of steps.  *ret_state is HX_STEP_ALREADY and *ret_detail, for g_free, NULL
 * before.  One that the connection broke under is run again from its begin. */
typedef gboolean HxStep(HxProvisionRun *run, size_t index, HxStepState *ret_state,
                        char **ret_detail, GError **error);

/* --- provision-packages.c --- */

HxStep hx_step_packages;
/* Install what the facts have as @key; *ret_names is its names, for g_free, NULL where nothing is
 * missing.  HX_ERROR_GUEST with what is missing where packages have other names there. */
gboolean hx_provision_install(HxProvisionRun *run, const char *key, char **ret_names,
                              GError **error);

/* --- provision-fit.c --- */

/* Decides run->build, and whether sessions can run: HX_ERROR_GUEST where not, or where the host's
 * build was asked for and does not fit. */
HxStep hx_step_build;

/* Why the host's build does not fit where the run is about, for g_free; *ret_misfit is NULL where
 * it does. */
gboolean hx_provision_find_misfit(const HxProvisionRun *run, char **ret_misfit, GError **error);

/* "auto", "host" or "guest". */
const char *hx_provision_build_name(HxBuild build);

/* --- provision-build.c --- */

/* Read the source. */
gboolean hx_provision_read_source(HxProvisionRun *run, GError **error);
/* Build @part in the guest and install it at @path, whose directory is there, with the permissions
 * @mode.  *ret_sum is its checksum, *ret_detail what was done; for g_free. */
gboolean hx_provision_build(HxProvisionRun *run, const char *part, const char *path, guint mode,
                            char **ret_sum, char **ret_detail, GError **error);

/* --- provision-files.c --- */

/* The paths of what is put into the guest, with %m for its machine and %p for GStreamer's plugins;
 * NULL-terminated, for g_free alone. */
const char **hx_provision_file_paths(void);
/* Whether the host's build is for @machine, as uname -m has it. */
gboolean hx_provision_parts_are_for(const HxProvisionRun *run, const char *machine);
/* Whether the guest has yet to build a part: of this source it has not, or it is not remembered. */
gboolean hx_provision_is_to_be_built(const HxProvisionRun *run);
/* The parts are built in the guest: what is known of them is what was built there of this source.
 */
void hx_provision_forget_parts(HxProvisionRun *run);
/* Read all that is to be installed before anything is changed: a part that is missing shows first.
 */
gboolean hx_provision_read_files(HxProvisionRun *run, GError **error);
/* Where the files go, now that the machine is known: HX_ERROR_GUEST where it is none of ours. */
gboolean hx_provision_settle_paths(HxProvisionRun *run, GError **error);
/* The parts, which are verified, for a checksum of them. */
void hx_provision_sum_parts(const HxProvisionRun *run, GChecksum *sum);
/* File @index is left alone, and stays remembered as it was. */
void hx_provision_skip_file(HxProvisionRun *run, size_t index);
HxStep hx_step_file;   /* puts file @index there */
HxStep hx_step_settle; /* after new files */

/* --- provision-container.c --- */

/* Whether @text is "NAME" or "ENGINE:NAME". */
gboolean hx_container_check_name(const char *text, GError **error);
void hx_container_clear(HxContainer *container);
HxStep hx_step_container;        /* finds it: run->container */
HxStep hx_step_container_build;  /* whether the host's build fits */
HxStep hx_step_container_verify; /* as its own user */
/* Put @content at @path in the container, with the permissions @mode. */
gboolean hx_container_put(HxProvisionRun *run, GBytes *content, const char *path, guint mode,
                          GError **error);

/* --- provision-verify.c --- */

/* A name for what is verified and how, by the script @name; for g_free. */
char *hx_provision_verification_key(HxProvisionRun *run, const char *name, GError **error);
/* Take what was verified earlier, as @facts have it under @name, into run->verified.  Returns
 * whether to verify now: something is changed, or that was not what @key names. */
gboolean hx_provision_verification_due(HxProvisionRun *run, const HxFacts *facts, const char *name,
                                       const char *key);

HxStep hx_step_verify;
