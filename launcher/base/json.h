/* SPDX-License-Identifier: GPL-2.0-or-later */
/* JSON objects: from text, and their members from a JsonBuilder. */
#pragma once

#include <json-glib/json-glib.h>

/* The object that @text of @length bytes (-1: up to its NUL) is, for json_object_unref; NULL where
 * it is none. */
static inline JsonObject *hx_json_parse_object(const char *text, gssize length)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    if (!json_parser_load_from_data(parser, text, length, NULL))
        return NULL;
    JsonNode *root = json_parser_get_root(parser);
    return root && JSON_NODE_HOLDS_OBJECT(root) ? json_object_ref(json_node_get_object(root))
                                                : NULL;
}

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
