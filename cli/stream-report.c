/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/stream-report.h"

#include <string.h>

#include "launcher/base/json.h"
#include "launcher/base/printable.h"

#define LATENCY_MAX_MS 1e6

char *hx_stream_report_told(const HxStreamReport *report, const char *name)
{
    const char *told = hx_json_string(report->told, name);
    return told ? hx_printable(told) : NULL;
}

/* Where frames come from now: the session's last message is newer than its statistics. */
static char *source_now(const HxStreamReport *report)
{
    const HxStreamSourceTold *last = hx_stream_sources_last(report->sources);
    return last ? g_strdup(last->source) : hx_stream_report_told(report, "source");
}

static char *encoder_now(const HxStreamReport *report)
{
    const HxStreamSourceTold *last = hx_stream_sources_last(report->sources);
    return last ? g_strdup(last->encoder) : hx_stream_report_told(report, "encoder");
}

/* When that was, in s from the first frame. */
static double seconds_at(const HxStreamReport *report, gint64 at)
{
    return hx_stream_statistics_duration(report->statistics, at);
}

static const struct {
    const char *name;
    double quantile;
} latencies[] = {{"p50", 0.5}, {"p95", 0.95}, {"p99", 0.99}, {"max", 1}};
enum { P50, P95, P99, MOST, N_LATENCIES };

/* One of the encoder's latencies in ms, of the session's own statistics, or, where they have none
 * that can be one, of what it answers to pings; negative where it told none. */
static double told_latency(const HxStreamReport *report, guint which)
{
    JsonObject *latency = hx_json_object(report->told, "latency_ms");
    JsonNode *value = latency ? json_object_get_member(latency, latencies[which].name) : NULL;
    double told = value && JSON_NODE_HOLDS_VALUE(value) ? json_node_get_double(value) : -1;
    return told >= 0 && told <= LATENCY_MAX_MS
               ? told
               : hx_stream_statistics_encoder_ms(report->statistics, latencies[which].quantile);
}

/* "1280x720 H.264 High@3.1". */
static char *picture_text(const HxStreamReport *report)
{
    const HxStreamStatistics *statistics = report->statistics;
    const HxH264Sps *sps = report->sps;
    if (!sps)
        return g_strdup_printf("%ux%u H.264", statistics->width, statistics->height);
    g_autofree char *profile = hx_h264_sps_profile(sps);
    g_autofree char *level = hx_h264_sps_level(sps);
    return g_strdup_printf("%ux%u H.264 %s@%s", sps->width, sps->height, profile, level);
}

static double mean_size(const HxStreamStatistics *statistics)
{
    return (double)statistics->bytes / MAX(statistics->frames, 1);
}

/* --- a line -------------------------------------------------------------------------------------
 */

/* Takes @figure, where there is room for it. */
static void add_figure(GString *line, guint width, char *figure)
{
    gsize gap = line->len ? 2 : 0;
    if (line->len + gap + g_utf8_strlen(figure, -1) <= width)
        g_string_append_printf(line, "%*s%s", (int)gap, "", figure);
    g_free(figure);
}

static char *gaps_figure(const HxStreamReport *report)
{
    const HxStreamStatistics *statistics = report->statistics;
    g_autoptr(GString) text = g_string_new("gaps");
    for (guint i = 0; i < HX_STREAM_N_GAPS; i++)
        g_string_append_printf(text, "%s %" G_GUINT64_FORMAT " over %u", i ? "," : "",
                               hx_stream_statistics_gaps(statistics, i, report->now),
                               hx_stream_gap_ms[i]);
    g_string_append(text, " ms");
    return g_string_free(g_steal_pointer(&text), FALSE);
}

/* Takes nothing: "encode 8.3 ms" where it is known. */
static void add_latency(GString *line, guint width, const char *name, double value)
{
    if (value >= 0)
        add_figure(line, width, g_strdup_printf("%s %.1f ms", name, value));
}

char *hx_stream_report_line(const HxStreamReport *report, guint width)
{
    const HxStreamStatistics *s = report->statistics;
    g_autoptr(GString) line = g_string_new(NULL);
    if (!s->first)
        return g_strndup("no frame yet", width);
    add_figure(line, width,
               g_strdup_printf("%.1f s", hx_stream_statistics_duration(s, report->now)));
    add_figure(line, width,
               g_strdup_printf("%.1f fps (%.1f average)", report->sample.fps,
                               hx_stream_statistics_fps(s, report->now)));
    add_figure(line, width,
               g_strdup_printf("%" G_GUINT64_FORMAT " frames (%" G_GUINT64_FORMAT " key)",
                               s->frames, s->keyframes));
    add_figure(line, width,
               g_strdup_printf("%.2f Mbit/s (%.2f average)", report->sample.bitrate / 1e6,
                               hx_stream_statistics_bitrate(s, report->now) / 1e6));
    add_figure(line, width, gaps_figure(report));
    add_latency(line, width, "round trip", hx_stream_statistics_round_trip_ms(s));
    add_latency(line, width, "encode", told_latency(report, P50));
    g_autofree char *source = source_now(report);
    if (source)
        add_figure(line, width, g_strdup_printf("from %s", source));
    add_figure(line, width,
               g_strdup_printf("frame %.1f kB (%.1f to %.1f)", mean_size(s) / 1e3,
                               s->smallest / 1e3, s->largest / 1e3));
    add_figure(line, width, picture_text(report));
    return g_string_free(g_steal_pointer(&line), FALSE);
}

char *hx_stream_report_change(const HxStreamReport *report, guint index)
{
    const HxStreamSourceTold *change = hx_stream_sources_change(report->sources, index);
    return g_strdup_printf("at %.1f s to %s, encoder %s%s%s", seconds_at(report, change->at),
                           change->source, change->encoder, change->reason ? ": " : "",
                           change->reason ? change->reason : "");
}

/* --- JSON ---------------------------------------------------------------------------------------
 */

/* Three decimals; null where it is negative: not known. */
static void add_number(JsonBuilder *builder, const char *name, double value)
{
    json_builder_set_member_name(builder, name);
    if (value >= 0)
        json_builder_add_double_value(builder, (gint64)(value * 1000 + 0.5) / 1000.0);
    else
        json_builder_add_null_value(builder);
}

static void build_sps(const HxH264Sps *sps, JsonBuilder *builder)
{
    json_builder_set_member_name(builder, "sps");
    if (!sps) {
        json_builder_add_null_value(builder);
        return;
    }
    g_autofree char *profile = hx_h264_sps_profile(sps);
    g_autofree char *level = hx_h264_sps_level(sps);
    json_builder_begin_object(builder);
    hx_json_add_string(builder, "profile", profile);
    hx_json_add_string(builder, "level", level);
    hx_json_add_integer(builder, "width", sps->width);
    hx_json_add_integer(builder, "height", sps->height);
    json_builder_end_object(builder);
}

static void build_sizes(const HxStreamStatistics *statistics, JsonBuilder *builder)
{
    json_builder_set_member_name(builder, "frame_bytes");
    json_builder_begin_object(builder);
    hx_json_add_integer(builder, "mean", (gint64)(mean_size(statistics) + 0.5));
    hx_json_add_integer(builder, "min", statistics->smallest);
    hx_json_add_integer(builder, "max", statistics->largest);
    json_builder_end_object(builder);
}

static void build_gaps(const HxStreamReport *report, JsonBuilder *builder)
{
    json_builder_set_member_name(builder, "gaps");
    json_builder_begin_object(builder);
    for (guint i = 0; i < HX_STREAM_N_GAPS; i++) {
        g_autofree char *name = g_strdup_printf("over_%u_ms", hx_stream_gap_ms[i]);
        hx_json_add_integer(builder, name,
                            hx_stream_statistics_gaps(report->statistics, i, report->now));
    }
    add_number(builder, "longest_ms",
               hx_stream_statistics_longest_gap_ms(report->statistics, report->now));
    json_builder_end_object(builder);
}

static void build_change(const HxStreamReport *report, guint index, JsonBuilder *builder)
{
    const HxStreamSourceTold *change = hx_stream_sources_change(report->sources, index);
    add_number(builder, "at_s", seconds_at(report, change->at));
    hx_json_add_string(builder, "source", change->source);
    hx_json_add_string(builder, "encoder", change->encoder);
    hx_json_add_string(builder, "reason", change->reason);
}

static void build_changes(const HxStreamReport *report, JsonBuilder *builder)
{
    json_builder_set_member_name(builder, "source_changes");
    json_builder_begin_array(builder);
    for (guint i = 0; i < hx_stream_sources_changes(report->sources); i++) {
        json_builder_begin_object(builder);
        build_change(report, i, builder);
        json_builder_end_object(builder);
    }
    json_builder_end_array(builder);
}

char *hx_stream_report_change_json(const HxStreamReport *report, guint index)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();
    json_builder_begin_object(builder);
    hx_json_add_string(builder, "type", "source");
    build_change(report, index, builder);
    json_builder_end_object(builder);
    return hx_json_text(builder, FALSE);
}

static void build_latencies(const HxStreamReport *report, JsonBuilder *builder)
{
    json_builder_set_member_name(builder, "latency_ms");
    json_builder_begin_object(builder);
    for (guint i = 0; i < N_LATENCIES; i++)
        add_number(builder, latencies[i].name, told_latency(report, i));
    json_builder_end_object(builder);
    add_number(builder, "round_trip_ms", hx_stream_statistics_round_trip_ms(report->statistics));
}

static void build_members(const HxStreamReport *report, gboolean live, JsonBuilder *builder)
{
    const HxStreamStatistics *statistics = report->statistics;
    g_autofree char *source = source_now(report);
    g_autofree char *encoder = encoder_now(report);
    hx_json_add_string(builder, "session", report->session);
    hx_json_add_string(builder, "source", source);
    hx_json_add_string(builder, "encoder", encoder);
    if (!live)
        build_changes(report, builder);
    hx_json_add_string(builder, "codec", "h264");
    hx_json_add_integer(builder, "width", statistics->width);
    hx_json_add_integer(builder, "height", statistics->height);
    build_sps(report->sps, builder);
    hx_json_add_integer(builder, "frames", statistics->frames);
    hx_json_add_integer(builder, "keyframes", statistics->keyframes);
    hx_json_add_integer(builder, "replayed", statistics->replayed);
    hx_json_add_integer(builder, "bytes", statistics->bytes);
    add_number(builder, "duration_s", hx_stream_statistics_duration(statistics, report->now));
    add_number(builder, "fps", hx_stream_statistics_fps(statistics, report->now));
    if (live)
        add_number(builder, "fps_now", report->sample.fps);
    hx_json_add_integer(builder, "bitrate_bps",
                        hx_stream_statistics_bitrate(statistics, report->now));
    if (live)
        hx_json_add_integer(builder, "bitrate_now_bps", report->sample.bitrate);
    build_sizes(statistics, builder);
    build_gaps(report, builder);
    build_latencies(report, builder);
    if (report->measured)
        hx_stream_limit_build(&report->measured->figures, &report->measured->limit, builder);
}

char *hx_stream_report_json(const HxStreamReport *report, HxStreamJson form)
{
    gboolean live = form == HX_STREAM_JSON_STATISTICS_LINE;
    gboolean in_lines = form == HX_STREAM_JSON_RESULT;
    g_autoptr(JsonBuilder) builder = json_builder_new();
    json_builder_begin_object(builder);
    if (!in_lines)
        hx_json_add_string(builder, "type", live ? "statistics" : "result");
    build_members(report, live, builder);
    json_builder_end_object(builder);
    return hx_json_text(builder, in_lines);
}

/* --- the result, for people ---------------------------------------------------------------------
 */

/* "12.3 ms", or "unknown". */
static char *milliseconds(double value)
{
    return value >= 0 ? g_strdup_printf("%.1f ms", value) : g_strdup("unknown");
}

static void append_source(const HxStreamReport *report, GString *text)
{
    g_autofree char *source = source_now(report);
    g_autofree char *encoder = encoder_now(report);
    g_autofree char *reason = hx_stream_report_told(report, "fallback_reason");
    g_string_append_printf(text, "source          %s, encoder %s%s%s\n",
                           source ? source : "unknown", encoder ? encoder : "unknown",
                           reason && *reason ? ": " : "", reason ? reason : "");
    for (guint i = 0; i < hx_stream_sources_changes(report->sources); i++) {
        g_autofree char *change = hx_stream_report_change(report, i);
        g_string_append_printf(text, "%-16s%s\n", i ? "" : "source changed", change);
    }
}

static void append_counts(const HxStreamReport *report, GString *text)
{
    const HxStreamStatistics *s = report->statistics;
    g_autofree char *gaps = gaps_figure(report);
    g_autofree char *replayed =
        s->replayed ? g_strdup_printf(", %" G_GUINT64_FORMAT " replayed", s->replayed)
                    : g_strdup("");
    g_string_append_printf(
        text, "video frames    %" G_GUINT64_FORMAT " (%" G_GUINT64_FORMAT " key%s) in %.1f s\n",
        s->frames, s->keyframes, replayed, hx_stream_statistics_duration(s, report->now));
    g_string_append_printf(text, "frame rate      %.1f fps\n",
                           hx_stream_statistics_fps(s, report->now));
    g_string_append_printf(text, "gaps            %s, longest %.0f ms\n", gaps + strlen("gaps "),
                           hx_stream_statistics_longest_gap_ms(s, report->now));
    g_string_append_printf(text, "data            %.2f MB, %.2f Mbit/s\n", s->bytes / 1e6,
                           hx_stream_statistics_bitrate(s, report->now) / 1e6);
    g_string_append_printf(text, "frame size      %.1f kB (%.1f to %.1f)\n", mean_size(s) / 1e3,
                           s->smallest / 1e3, s->largest / 1e3);
}

char *hx_stream_report_text(const HxStreamReport *report)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_autofree char *p50 = milliseconds(told_latency(report, P50));
    g_autofree char *p95 = milliseconds(told_latency(report, P95));
    g_autofree char *p99 = milliseconds(told_latency(report, P99));
    g_autofree char *most = milliseconds(told_latency(report, MOST));
    g_autofree char *round_trip =
        milliseconds(hx_stream_statistics_round_trip_ms(report->statistics));
    g_string_append_printf(text, "session         %s\n", report->session);
    append_source(report, text);
    g_autofree char *picture = picture_text(report);
    g_string_append_printf(text, "picture         %s\n", picture);
    append_counts(report, text);
    g_string_append_printf(text, "encode latency  p50 %s, p95 %s, p99 %s, max %s\n", p50, p95, p99,
                           most);
    g_string_append_printf(text, "round trip      %s\n", round_trip);
    if (report->measured) {
        g_autofree char *table =
            hx_stream_limit_table(&report->measured->figures, &report->measured->limit);
        g_string_append(text, table);
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}
