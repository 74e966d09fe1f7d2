/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Waiting where no event tells when to look again. */
#pragma once

#include <gio/gio.h>

/* Wait @milliseconds, or until @cancel, which may be NULL, is cancelled.  Any thread. */
void hx_pause(guint milliseconds, GCancellable *cancel);
