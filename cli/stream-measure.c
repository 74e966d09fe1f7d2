/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/stream-measure.h"

#include <math.h>

#include "launcher/base/error.h"
#include "launcher/base/json.h"

void hx_stream_moment_clear(HxStreamMoment *moment)
{
    g_clear_pointer(&moment->session, json_object_unref);
    g_clear_pointer(&moment->encoder, json_object_unref);
}

/* How much @member grew.  A counter that is smaller than before began anew, from 0. */
static double growth(JsonObject *before, JsonObject *after, const char *member)
{
    double first = hx_json_integer(before, member), last = hx_json_integer(after, member);
    return last >= first ? last - first : last;
}

/* The time @name in @object, ms; negative where it has none that can be one. */
static double milliseconds(JsonObject *object, const char *name)
{
    JsonNode *node = object ? json_object_get_member(object, name) : NULL;
    double value = node && JSON_NODE_HOLDS_VALUE(node) ? json_node_get_double(node) : -1;
    return isfinite(value) && value >= 0 ? value : -1;
}

/* --- the encoder's session ----------------------------------------------------------------------
 */

static gboolean is_same(JsonObject *a, JsonObject *b)
{
    return g_strcmp0(hx_json_string(a, "connection"), hx_json_string(b, "connection")) == 0 &&
           hx_json_integer(a, "session_id") == hx_json_integer(b, "session_id");
}

static JsonObject *session_at(JsonArray *sessions, guint i)
{
    JsonNode *node = json_array_get_element(sessions, i);
    return JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

static JsonObject *find_same(JsonArray *sessions, JsonObject *session)
{
    for (guint i = 0; sessions && i < json_array_get_length(sessions); i++)
        if (is_same(session_at(sessions, i), session))
            return session_at(sessions, i);
    return NULL;
}

/* That which encodes for the session: @end's own; NULL where there is none. */
static JsonObject *find_encoding(const HxStreamMoment *begin, const HxStreamMoment *end)
{
    double bytes = growth(begin->session, end->session, "bytes"), nearest = INFINITY;
    JsonArray *before = hx_json_array(begin->encoder, "sessions");
    JsonArray *after = hx_json_array(end->encoder, "sessions");
    JsonObject *found = NULL;
    for (guint i = 0; after && i < json_array_get_length(after); i++) {
        JsonObject *session = session_at(after, i);
        if (hx_json_integer(session, "width") != hx_json_integer(end->session, "width") ||
            hx_json_integer(session, "height") != hx_json_integer(end->session, "height"))
            continue;
        double off = fabs(growth(find_same(before, session), session, "bytes") - bytes);
        if (off < nearest) {
            nearest = off;
            found = session;
        }
    }
    return found;
}

static double stage_ms(JsonObject *encoding, const char *stage)
{
    return milliseconds(hx_json_object(hx_json_object(encoding, "stage_ms"), stage), "p50");
}

/* Those of @encoding, which may be NULL. */
static void add_times(HxStreamFigures *figures, JsonObject *session, JsonObject *encoding)
{
    static const char *const parts[] = {"convert", "queue", "encode"};
    figures->answer_ms = milliseconds(hx_json_object(session, "latency_ms"), "p50");
    figures->by_guest = g_strcmp0(hx_json_string(session, "source"), "guest") == 0;
    figures->read_ms = figures->by_guest ? -1 : stage_ms(encoding, "read");
    figures->encode_ms = -1;
    double sum = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(parts); i++)
        sum += MAX(stage_ms(encoding, parts[i]), 0);
    if (encoding && !figures->by_guest)
        figures->encode_ms = sum;
}

gboolean hx_stream_measure(const HxStreamMoment *begin, const HxStreamMoment *end, double wanted,
                           HxStreamFigures *ret_figures, GError **error)
{
    double viewed = (end->time - begin->time) / 1e6;
    double clock =
        (hx_json_integer(end->session, "clock_us") - hx_json_integer(begin->session, "clock_us")) /
        1e6;
    if (!begin->session || !end->session || clock <= 0 || viewed <= 0) {
        g_set_error(error, HX_ERROR, HX_ERROR_GUEST,
                    "the session did not tell its statistics, without which nothing can be said of "
                    "what limits it; one of another version of helixvm is made new by `helixvm "
                    "provision`, and by a stop and a start");
        return FALSE;
    }
    double waited = (end->waited - begin->waited) / 1e6;
    *ret_figures = (HxStreamFigures){
        .wanted = wanted,
        .drawn = growth(begin->session, end->session, "frames_drawn") / clock,
        .passed = growth(begin->session, end->session, "frames_passed") / clock,
        .taken = growth(begin->session, end->session, "frames_taken") / clock,
        .encoded = growth(begin->session, end->session, "frames") / clock,
        .received = (end->received - begin->received) / viewed,
        .viewer_busy = CLAMP(1 - waited / viewed, 0, 1),
        .host_busy = hx_host_time_busy(&begin->host, &end->host),
    };
    add_times(ret_figures, end->session, find_encoding(begin, end));
    return TRUE;
}
