/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "encoder/service/encoder.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "launcher/base/log.h"

const HxEncoderClass *const hx_encoder_classes[] = {&hx_encoder_x264, &hx_encoder_null, NULL};

const HxEncoderClass *hx_encoder_find(const char *name)
{
    for (size_t i = 0; hx_encoder_classes[i]; i++) {
        if (strcmp(hx_encoder_classes[i]->name, name) == 0)
            return hx_encoder_classes[i];
    }
    return NULL;
}

/* A guest may ask for what cannot be as often as it likes: the log hears of it once.  @said,
 * atomic: bit N for hx_encoder_classes[N]. */
static void log_once(guint *said, const HxEncoderClass *class, const char *reason,
                     const HxEncoderClass *next)
{
    guint bit = 0;
    for (size_t i = 0; hx_encoder_classes[i]; i++) {
        if (hx_encoder_classes[i] == class)
            bit = 1u << i;
    }
    if (g_atomic_int_or(said, bit) & bit)
        return;
    hx_log_warning("%s: %s", reason,
                   next ? next->name : "there is no other encoder (encoder.encoders)");
}

void hx_encoder_tell_failure(const HxEncoderClass *const *class, int error,
                             char reason[HX_ENCODER_REASON_SIZE])
{
    static guint said;
    g_snprintf(reason, HX_ENCODER_REASON_SIZE, "%s failed: %s", class[0]->name, g_strerror(-error));
    log_once(&said, class[0], reason, class[1]);
}

int hx_encoder_open(const HxEncoderClass *const *classes, const HxEncoderSettings *settings,
                    const HxEncoderClass **ret_class, HxEncoder **ret_encoder,
                    char reason[HX_ENCODER_REASON_SIZE])
{
    static guint said;
    int r = -ENODEV;
    reason[0] = '\0';
    for (size_t i = 0; classes[i]; i++) {
        r = classes[i]->open(settings, ret_encoder);
        if (r == 0) {
            *ret_class = classes[i];
            return 0;
        }
        char why[HX_ENCODER_REASON_SIZE];
        if (r == -EINVAL)
            g_snprintf(why, sizeof why, "%s takes no frames of %ux%u", classes[i]->name,
                       settings->width, settings->height);
        else
            g_snprintf(why, sizeof why, "%s cannot be had: %s", classes[i]->name, g_strerror(-r));
        log_once(&said, classes[i], why, classes[i + 1]);
        if (i == 0)
            g_strlcpy(reason, why, HX_ENCODER_REASON_SIZE);
    }
    return r;
}
