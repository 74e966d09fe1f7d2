/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/stream-limit.h"

#include "launcher/base/json.h"

/* Clocks of a guest and a host, and frames at a period's ends, are not exact. */
#define ENOUGH 0.95
#define VIEWER_BUSY 0.5
#define HOST_BUSY 0.9

static const struct {
    const char *name, *key, *help;
} stages[HX_STREAM_N_STAGES] = {
    [HX_STREAM_STAGE_RENDER] =
        {"guest render", "guest_render",
         "a smaller picture, less that moves, or more machine.cpus may help"},
    [HX_STREAM_STAGE_READ] = {"read-back", "read_back", "a smaller picture may help"},
    [HX_STREAM_STAGE_ENCODE] = {"encode", "encode",
                                "a faster encoder.preset, more encoder.threads, or a smaller "
                                "picture may help"},
    [HX_STREAM_STAGE_TRANSPORT] = {"transport", "transport",
                                   "a lower --bitrate, or a host that is less busy, may help"},
    [HX_STREAM_STAGE_VIEWER] =
        {"viewer", "viewer", "a faster disk for --output, or a host that is less busy, may help"},
};

const char *hx_stream_stage_name(HxStreamStage stage)
{
    return stages[stage].name;
}

/* --- the rule -----------------------------------------------------------------------------------
 */

static double interval_ms(double fps)
{
    return fps > 0 ? 1000 / fps : -1;
}

/* Of @in, what comes out; all of it where nothing goes in. */
static double kept(double out, double in)
{
    return in > 0 ? MIN(out / in, 1) : 1;
}

/* x264enc's time is without that of the conversion before it, in which it takes no other. */
static double guest_encode_ms(const HxStreamFigures *f)
{
    return f->taken < ENOUGH * f->passed ? MAX(interval_ms(f->taken), f->answer_ms) : f->answer_ms;
}

/* Of an answer's time, what a frame waits for others: those that are under way at once, by Little's
 * law, are read one after the other, and encoded one after the other. */
static double waited_ms(const HxStreamFigures *f, double answer, double read, double encode)
{
    double under_way = f->taken * answer / 1000;
    return MAX(under_way - 1, 0) * MAX(read, encode);
}

static void find_times(const HxStreamFigures *f, HxStreamLimit *limit)
{
    double *ms = limit->ms;
    double answer = MAX(f->answer_ms, 0), read = MAX(f->read_ms, 0), encode = MAX(f->encode_ms, 0);
    gboolean known = f->answer_ms >= 0 && f->read_ms >= 0 && f->encode_ms >= 0;
    /* With more than one frame under way, answers overlap. */
    ms[HX_STREAM_STAGE_RENDER] = f->taken > 0 && f->answer_ms >= 0 && !f->by_guest
                                     ? MAX(interval_ms(f->taken) - answer, 0)
                                     : -1;
    ms[HX_STREAM_STAGE_READ] = f->by_guest ? -1 : f->read_ms;
    ms[HX_STREAM_STAGE_ENCODE] = f->by_guest ? guest_encode_ms(f) : f->encode_ms;
    double waited = waited_ms(f, answer, read, encode);
    ms[HX_STREAM_STAGE_TRANSPORT] =
        f->by_guest || !known ? -1 : MAX(answer - read - encode - waited, 0);
    ms[HX_STREAM_STAGE_VIEWER] = f->received > 0 ? f->viewer_busy * interval_ms(f->received) : -1;
}

static void find_rates(const HxStreamFigures *f, HxStreamLimit *limit)
{
    limit->fps[HX_STREAM_STAGE_RENDER] = f->drawn;
    limit->fps[HX_STREAM_STAGE_READ] = f->by_guest ? -1 : f->taken;
    limit->fps[HX_STREAM_STAGE_ENCODE] = f->encoded;
    limit->fps[HX_STREAM_STAGE_TRANSPORT] = -1;
    limit->fps[HX_STREAM_STAGE_VIEWER] = f->received;
}

/* That which takes longest, from @first to @last. */
static HxStreamStage longest(const HxStreamLimit *limit, HxStreamStage first, HxStreamStage last)
{
    HxStreamStage found = first;
    for (HxStreamStage stage = first; stage <= last; stage++)
        if (limit->ms[stage] > limit->ms[found])
            found = stage;
    return found;
}

HxStreamLimit hx_stream_limit_find(const HxStreamFigures *f)
{
    HxStreamLimit limit = {.reached = f->received >= ENOUGH * f->wanted};
    find_times(f, &limit);
    find_rates(f, &limit);
    if (limit.reached) {
        /* What the guest needs to draw is not among the times: it waits for the next one to be
         * due. */
        limit.stage = longest(&limit, HX_STREAM_STAGE_READ, HX_STREAM_STAGE_VIEWER);
        return limit;
    }
    double drawn = kept(f->drawn, f->wanted), taken = kept(f->taken, f->passed),
           changed = kept(f->encoded, f->taken), received = kept(f->received, f->encoded);
    double least = MIN(MIN(drawn, taken), MIN(changed, received));
    if (least == drawn || least == changed)
        limit.stage = HX_STREAM_STAGE_RENDER;
    else if (least == received)
        limit.stage =
            f->viewer_busy >= VIEWER_BUSY ? HX_STREAM_STAGE_VIEWER : HX_STREAM_STAGE_TRANSPORT;
    else
        limit.stage = longest(&limit, HX_STREAM_STAGE_RENDER, HX_STREAM_STAGE_TRANSPORT);
    return limit;
}

/* --- what is said of it -------------------------------------------------------------------------
 */

static char *why(const HxStreamFigures *f, const HxStreamLimit *limit)
{
    double ms = limit->ms[limit->stage];
    switch (limit->stage) {
    case HX_STREAM_STAGE_RENDER:
        if (f->drawn < ENOUGH * f->wanted)
            return g_strdup_printf("the compositor draws %.1f frames a second", f->drawn);
        if (kept(f->encoded, f->taken) < ENOUGH)
            return g_strdup_printf("of %.1f pictures a second %.1f differ from the one before",
                                   f->taken, f->encoded);
        return g_strdup_printf("the guest lets %.1f ms pass from frame to frame", ms);
    case HX_STREAM_STAGE_VIEWER:
        return g_strdup_printf("it receives %.1f of %.1f frames a second and is busy for %.0f %% "
                               "of the time",
                               f->received, f->encoded, f->viewer_busy * 100);
    case HX_STREAM_STAGE_TRANSPORT:
        if (kept(f->received, f->encoded) < kept(f->taken, f->passed))
            return g_strdup_printf("%.1f of %.1f frames a second reach the viewer", f->received,
                                   f->encoded);
        break;
    default:
        break;
    }
    return g_strdup_printf("it takes %.1f ms of a frame, and %.1f of %.1f frames a second are "
                           "encoded",
                           ms, f->encoded, f->passed);
}

char *hx_stream_limit_sentence(const HxStreamFigures *f, const HxStreamLimit *limit)
{
    const char *name = stages[limit->stage].name;
    double ms = limit->ms[limit->stage];
    if (!limit->reached) {
        g_autofree char *reason = why(f, limit);
        g_autofree char *host = f->host_busy >= HOST_BUSY
                                    ? g_strdup_printf("; the host's CPUs were busy for %.0f %% of "
                                                      "the time",
                                                      f->host_busy * 100)
                                    : g_strdup("");
        return g_strdup_printf("%s limits: %s%s; %s", name, reason, host,
                               stages[limit->stage].help);
    }
    if (ms < 0)
        return g_strdup("no stage told its times");
    return g_strdup_printf("%s takes longest, %.1f ms of a frame's %.1f", name, ms,
                           interval_ms(f->wanted));
}

/* @value with its @unit, or "-" where it is not known, right in @width columns. */
static void append_figure(GString *text, int width, double value, const char *unit)
{
    g_autofree char *figure = value >= 0 ? g_strdup_printf("%.1f%s", value, unit) : g_strdup("-");
    g_string_append_printf(text, "%*s", width, figure);
}

char *hx_stream_limit_table(const HxStreamFigures *f, const HxStreamLimit *limit)
{
    g_autoptr(GString) text = g_string_new("\nstage           frames a second   time of a frame\n");
    for (HxStreamStage stage = 0; stage < HX_STREAM_N_STAGES; stage++) {
        g_string_append_printf(text, "%-16s", stages[stage].name);
        append_figure(text, 15, limit->fps[stage], "");
        append_figure(text, 18, limit->ms[stage], " ms");
        g_string_append(text, "\n");
    }
    g_autofree char *sentence = hx_stream_limit_sentence(f, limit);
    g_string_append_printf(text, "verdict         %.1f of %g fps, %s: %s\n", f->received, f->wanted,
                           limit->reached ? "reached" : "not reached", sentence);
    return g_string_free(g_steal_pointer(&text), FALSE);
}

/* null where it is not known. */
static void add_number(JsonBuilder *builder, const char *name, double value)
{
    json_builder_set_member_name(builder, name);
    if (value >= 0)
        json_builder_add_double_value(builder, value);
    else
        json_builder_add_null_value(builder);
}

void hx_stream_limit_build(const HxStreamFigures *f, const HxStreamLimit *limit,
                           JsonBuilder *builder)
{
    g_autofree char *sentence = hx_stream_limit_sentence(f, limit);
    json_builder_set_member_name(builder, "benchmark");
    json_builder_begin_object(builder);
    add_number(builder, "wanted_fps", f->wanted);
    add_number(builder, "fps", f->received);
    hx_json_add_boolean(builder, "reached", limit->reached);
    hx_json_add_string(builder, "limit", limit->reached ? NULL : stages[limit->stage].key);
    hx_json_add_string(builder, "verdict", sentence);
    add_number(builder, "viewer_busy", f->viewer_busy);
    add_number(builder, "host_busy", f->host_busy);
    json_builder_set_member_name(builder, "stages");
    json_builder_begin_object(builder);
    for (HxStreamStage stage = 0; stage < HX_STREAM_N_STAGES; stage++) {
        json_builder_set_member_name(builder, stages[stage].key);
        json_builder_begin_object(builder);
        add_number(builder, "fps", limit->fps[stage]);
        add_number(builder, "ms", limit->ms[stage]);
        json_builder_end_object(builder);
    }
    json_builder_end_object(builder);
    json_builder_end_object(builder);
}
