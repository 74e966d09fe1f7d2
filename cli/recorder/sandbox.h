/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <glib.h>

/* Give up all but the descriptors that are open, for good.  HX_ERROR_HOST. */
gboolean recorder_enter_sandbox(GError **error);
