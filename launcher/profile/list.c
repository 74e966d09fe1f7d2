/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/profile/list.h"

char **hx_list_split(const char *value)
{
    char **items = g_strsplit(value, ";", -1);
    guint n = g_strv_length(items);
    if (n > 0 && *items[n - 1] == '\0')
        g_clear_pointer(&items[n - 1], g_free);
    return items;
}
