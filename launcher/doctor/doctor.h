/* SPDX-License-Identifier: GPL-2.0-or-later */
/* All checks of the host, at once and bounded in time. */
#pragma once

#include "launcher/doctor/host-check.h"

typedef struct {
    const char *name;
    HxHostFinding finding;
} HxHostReport;

/* Check the host for @vm (NULL where its directories cannot be had) of @profile.  Returns one
 * report for each check, in the table's order, for g_array_unref.  Takes 20 s at most: a check that
 * has not answered by then is reported as broken, and its thread is left behind.  NULL with
 * HX_ERROR_CANCELLED where @cancel is cancelled first.  What is left behind may use @vm and
 * @profile: do not free them. */
GArray *hx_doctor_check(HxVm *vm, const HxProfile *profile, GCancellable *cancel, GError **error);
