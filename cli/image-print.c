/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/image-print.h"

#include <stdio.h>

void hx_image_print_add_text(JsonObject *object, const char *name, const char *value)
{
    if (value)
        json_object_set_string_member(object, name, value);
    else
        json_object_set_null_member(object, name);
}

JsonNode *hx_image_print_node(const HxImage *image)
{
    JsonObject *object = json_object_new();
    const struct {
        const char *member, *value;
    } texts[] = {
        {"name", hx_image_name(image)},
        {"architecture", hx_image_architecture(image)},
        {"system", hx_image_system(image)},
        {"boot", hx_image_kernel(image) ? "direct" : "firmware"},
        {"built_at", hx_image_built_at(image)},
        {"debian_version", hx_image_debian_version(image)},
        {"kernel_version", hx_image_kernel_version(image)},
        {"recipe", hx_image_recipe(image)},
        {"fetched_at", hx_image_fetched_at(image)},
        {"source", hx_image_source(image)},
        {"checksum", hx_image_checksum(image)},
        {"disk", hx_image_disk(image)},
        {"kernel", hx_image_kernel(image)},
        {"initrd", hx_image_initrd(image)},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
        hx_image_print_add_text(object, texts[i].member, texts[i].value);
    json_object_set_int_member(object, "bytes", hx_image_size(image));
    json_object_set_int_member(object, "virtual_bytes", hx_image_virtual_size(image));
    JsonArray *users = json_array_new();
    g_auto(GStrv) names = hx_image_users(hx_image_name(image), NULL);
    for (char **name = names; name && *name; name++)
        json_array_add_string_element(users, *name);
    json_object_set_array_member(object, "used_by", users);
    JsonNode *node = json_node_new(JSON_NODE_OBJECT);
    json_node_take_object(node, object);
    return node;
}

void hx_image_print_json(const HxImage *image)
{
    g_autoptr(JsonNode) node = hx_image_print_node(image);
    g_autofree char *text = json_to_string(node, TRUE);
    puts(text);
}
