/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Runs the scripts of guest-provision/steps in a guest. */
#pragma once

#include "guest-provision/ssh.h"

/* Run the script @name with the NULL-terminated @arguments (NULL: none) by the guest's sh, with an
 * empty stdin, for at most @seconds.  @ret_output, where not NULL, gets its stdout, for g_free.
 * HX_ERROR_GUEST where it exits with another status than 0, with the cause that its stderr tells;
 * HX_ERROR_HOST where the script is missing here; or hx_ssh_run's errors. */
gboolean hx_script_run(HxSsh *ssh, const char *name, const char *const *arguments, guint seconds,
                       char **ret_output, GError **error);

typedef struct {
    const char *name;
    const char *const *arguments; /* NULL-terminated; NULL: none */
    guint seconds;
    /* Words of the guest's shell that run the command behind them elsewhere, in a container; NULL:
     * it runs in the guest itself. */
    const char *within;
} HxScript;

/* What a script waits for, as it told in a line "note TEXT": @text, printable. */
typedef void (*HxScriptNote)(const char *text, void *data);

/* The same, with @note (NULL: nobody) told what the script notes while it runs. */
gboolean hx_script_run_noted(HxSsh *ssh, const HxScript *script, HxScriptNote note, void *data,
                             char **ret_output, GError **error);

/* The content of the file @path, for g_bytes_unref; NULL with HX_ERROR_HOST. */
GBytes *hx_script_read(const char *path, GError **error);

/* The lines of the data file @name (hx_data_path) that are neither empty nor comments, which begin
 * with "#"; for g_strfreev.  NULL with HX_ERROR_HOST. */
char **hx_list_read(const char *name, GError **error);

/* Why a command failed in @vm's guest, from its stderr: the cause, on what, and what to do where it
 * is one that is known, else the last line; for g_free. */
char *hx_script_explain(const char *stderr_text, const char *vm);
