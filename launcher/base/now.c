/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/base/now.h"

char *hx_now_text(void)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    return g_date_time_format(now, "%Y-%m-%dT%H:%M:%SZ");
}
