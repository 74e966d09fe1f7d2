/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is remembered of accelerators that could not run a guest, so that not every start tries them
 * in vain.  Kept in the runtime directory: forgotten when the host boots anew. */
#pragma once

#include <glib.h>

/* How long an accelerator is not tried again, s. */
#define HX_ACCELERATOR_MEMORY_S 3600

/* What @accelerator depends on, in a word that changes when it does: @qemu_version, the host's
 * boot, the device's permissions.  For g_free. */
char *hx_accelerator_conditions(const char *accelerator, unsigned long qemu_version);

/* Why @accelerator was left less than HX_ACCELERATOR_MEMORY_S before @now (Unix time, s) under the
 * same @conditions, for g_free, and *@ret_age, the seconds since; NULL where nothing is known. */
char *hx_accelerator_recall(const char *accelerator, const char *conditions, gint64 now,
                            gint64 *ret_age);

/* Remember that @accelerator was left for @reason, and another one ran the guest.  What cannot be
 * written is not remembered. */
void hx_accelerator_remember(const char *accelerator, const char *conditions, gint64 now,
                             const char *reason);
