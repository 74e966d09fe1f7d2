/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A verb's result as JSON on stdout. */
#pragma once

#include <stdio.h>

#include "launcher/base/json.h"

/* Print what @builder has built, in lines that people can read. */
static inline void hx_json_print(JsonBuilder *builder)
{
    g_autofree char *text = hx_json_text(builder, TRUE);
    puts(text);
}
