/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "encoder/service/encoder.h"

#include <string.h>

/* The best one first. */
static const HxEncoderClass *const classes[] = {&hx_encoder_x264, &hx_encoder_null};

const HxEncoderClass *hx_encoder_find(const char *name)
{
    if (!name)
        return classes[0];
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
        if (strcmp(classes[i]->name, name) == 0)
            return classes[i];
    }
    return NULL;
}
