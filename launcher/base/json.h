/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Members of the JSON object that a JsonBuilder is in. */
#pragma once

#include <json-glib/json-glib.h>

/* null where @value is NULL. */
static inline void hx_json_add_string(JsonBuilder *builder, const char *name, const char *value)
{
    json_builder_set_member_name(builder, name);
    if (value)
        json_builder_add_string_value(builder, value);
    else
        json_builder_add_null_value(builder);
}

static inline void hx_json_add_integer(JsonBuilder *builder, const char *name, gint64 value)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_int_value(builder, value);
}

static inline void hx_json_add_boolean(JsonBuilder *builder, const char *name, gboolean value)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_boolean_value(builder, value);
}
