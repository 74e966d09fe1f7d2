/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Base images as people and programs read them. */
#pragma once

#include <json-glib/json-glib.h>

#include "launcher/image/image.h"

/* The JSON object of @image, for json_node_unref. */
JsonNode *hx_image_print_node(const HxImage *image);

/* Print it on stdout. */
void hx_image_print_json(const HxImage *image);

/* Set a member to text, or to null where @value is NULL. */
void hx_image_print_add_text(JsonObject *object, const char *name, const char *value);
