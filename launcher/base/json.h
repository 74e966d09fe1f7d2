/* SPDX-License-Identifier: GPL-2.0-or-later */
/* JSON objects: from text, their members; and from a JsonBuilder to text. */
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

/* The member of @object, which owns it; NULL where @object is NULL, has none, or one of another
 * type. */
static inline const char *hx_json_string(JsonObject *object, const char *member)
{
    JsonNode *node = object ? json_object_get_member(object, member) : NULL;
    return node && JSON_NODE_HOLDS_VALUE(node) ? json_node_get_string(node) : NULL;
}

static inline JsonObject *hx_json_object(JsonObject *object, const char *member)
{
    JsonNode *node = object ? json_object_get_member(object, member) : NULL;
    return node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

static inline JsonArray *hx_json_array(JsonObject *object, const char *member)
{
    JsonNode *node = object ? json_object_get_member(object, member) : NULL;
    return node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
}

/* The same; 0 where there is no whole number. */
static inline gint64 hx_json_integer(JsonObject *object, const char *member)
{
    JsonNode *node = object ? json_object_get_member(object, member) : NULL;
    return node && json_node_get_value_type(node) == G_TYPE_INT64 ? json_node_get_int(node) : 0;
}

/* What @builder has built, as text for g_free: in lines for people, or in one. */
static inline char *hx_json_text(JsonBuilder *builder, gboolean in_lines)
{
    g_autoptr(JsonNode) root = json_builder_get_root(builder);
    return json_to_string(root, in_lines);
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
