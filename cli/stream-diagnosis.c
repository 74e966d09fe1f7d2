/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/stream-diagnosis.h"

#include <string.h>

#include "launcher/base/json.h"
#include "launcher/base/printable.h"

/* In the order of a frame's way. */
static char *broken_stage(JsonObject *session, JsonObject *encoder)
{
    const char *source = hx_json_string(session, "source");
    gint64 encoded = hx_json_integer(session, "frames");
    if (!session)
        return g_strdup("session: its program does not answer");
    if (hx_json_integer(session, "frames_drawn") <= 0)
        return g_strdup("guest render: its compositor has drawn nothing");
    if (encoded <= 0 && !encoder)
        return g_strdup("encode: helixvm-encoder does not answer, and the guest has encoded "
                        "nothing either");
    if (encoded <= 0)
        return g_strdup("encode: its compositor draws, and no frame was encoded");
    if (!encoder && g_strcmp0(source, "guest") != 0)
        return g_strdup("encode: helixvm-encoder does not answer");
    return g_strdup_printf(
        "transport: it has encoded %" G_GINT64_FORMAT " frames, and none came through", encoded);
}

char *hx_stream_diagnose(JsonObject *session, JsonObject *encoder)
{
    g_autofree char *stage = broken_stage(session, encoder);
    g_autoptr(GString) text = g_string_new(stage);
    const char *renderer = hx_json_string(session, "gl_renderer");
    JsonObject *module = hx_json_object(encoder, "module");
    JsonNode *connected = module ? json_object_get_member(module, "connected") : NULL;
    if (renderer && strstr(renderer, "llvmpipe") && !strstr(renderer, "virgl")) {
        g_autofree char *printable = hx_printable(renderer);
        g_string_append_printf(text, "; the guest renders in software: %s", printable);
    }
    if (connected && JSON_NODE_HOLDS_VALUE(connected) && !json_node_get_boolean(connected)) {
        const char *reason = hx_json_string(module, "reason");
        g_autofree char *printable = hx_printable(reason ? reason : "no reason is known");
        g_string_append_printf(text, "; the host cannot read the guest's GPU: %s", printable);
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}
