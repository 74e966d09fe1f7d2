/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where helixvm's own parts are: beside the program in a build directory, or below its prefix. */
#pragma once

#include <glib.h>

/* The path of a program or library of helixvm's, "helixvm-vsock", "libhelixvm-export.so",
 * "guest/helixvm-session": DIR/NAME where the running program is DIR/helixvm, else
 * DIR/../libexec/helixvm/NAME.  Free with g_free.  NULL with HX_ERROR_HOST where it is in neither.
 */
char *hx_part_path(const char *name, GError **error);

/* The path of a data file or folder by its place in the source tree, "qemu-profiles",
 * "guest-provision/image": in the nearest folder above the running program that has it, else
 * DIR/../share/helixvm/NAME.  Free with g_free.  NULL with HX_ERROR_HOST where it is in neither. */
char *hx_data_path(const char *name, GError **error);
