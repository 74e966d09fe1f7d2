/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A verb's result as JSON on stdout. */
#pragma once

#include <json-glib/json-glib.h>
#include <stdio.h>

/* Print what @builder has built, in lines that people can read. */
static inline void hx_json_print(JsonBuilder *builder)
{
    g_autoptr(JsonNode) root = json_builder_get_root(builder);
    g_autofree char *text = json_to_string(root, TRUE);
    puts(text);
}
