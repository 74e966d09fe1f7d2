/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/base/deadline.h"

gint64 hx_time_left(gint64 deadline)
{
    gint64 left = deadline - g_get_monotonic_time();
    return MAX(left, 0);
}
