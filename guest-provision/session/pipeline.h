/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The session's one encoder pipeline: from the compositor's node to access units. */
#pragma once

#include "guest-provision/session/config.h"
#include "guest-provision/vsockenc/statistics.h"

typedef struct SessionPipeline SessionPipeline;

typedef struct {
    const guint8 *data; /* Annex-B access unit, valid during the call */
    gsize size;
    gboolean is_keyframe;
    guint64 pts_us;
    int width, height; /* pixels, as the SPS has them */
} SessionFrame;

/* Frames on their way to the encoder, counted since the pipeline was made. */
typedef struct {
    guint64 drawn;  /* that the compositor gave, whether anybody views them or not */
    guint64 passed; /* at the rate that is asked for; a picture that stays comes again and again */
    guint64 taken;  /* by the encoder: the others it was too slow for */
} SessionFlow;

typedef struct {
    const char *source;  /* "resource", "pixels", "guest"; NULL before the first frame */
    const char *encoder; /* the element: "vsockenc", "x264enc" */
    int width, height;
    guint64 frames, keyframes, bytes;
    SessionFlow flow;
    double fps;
    HxLatency latency;     /* of vsockenc: request to answer; of x264enc: the encoding */
    char *fallback_reason; /* why no better way is taken, or NULL */
} SessionPipelineStatistics;

/* All are called in the main thread. */
typedef struct {
    void (*frame)(const SessionFrame *frame, void *data);
    /* Where the frames come from is known, or is another than before. */
    void (*source)(const SessionPipelineStatistics *statistics, void *data);
    /* No way of encoding is left.  The pipeline is not to be freed from within this call. */
    void (*failed)(const char *reason, void *data);
    void *data;
} SessionPipelineEvents;

/* Initialise GStreamer with the plugins of a session alone, without a scan of all others: those in
 * GST_PLUGIN_PATH come first, then those beside libgstreamer. */
gboolean session_pipeline_init(GError **error);

/* A pipeline that is not started yet.  @config is to outlive it. */
SessionPipeline *session_pipeline_new(const SessionConfig *config,
                                      const SessionPipelineEvents *events);

/* Start with the best way of encoding that @config allows; falls to the next when it fails, and
 * returns to the host once that answers again. */
void session_pipeline_start(SessionPipeline *pipeline);

/* The compositor is lost: what fails now is no reason to try another way.  May be called from
 * within the events. */
void session_pipeline_give_up(SessionPipeline *pipeline);

/* Stop and free.  The compositor's PipeWire is to be gone before: a pipeline that waits for it
 * cannot be stopped otherwise.  NULL is fine. */
void session_pipeline_free(SessionPipeline *pipeline);

/* Whether there is somebody to encode for.  Without, frames are dropped uncoded, after the first.
 */
void session_pipeline_set_active(SessionPipeline *pipeline, gboolean active);

/* From now on no more than @fps frames a second, and @bitrate kbit/s; 0: the configuration's own,
 * which is also the most for @fps. */
void session_pipeline_set_wish(SessionPipeline *pipeline, int fps, int bitrate);

/* The next frame shall be a keyframe. */
void session_pipeline_force_keyframe(SessionPipeline *pipeline);

/* *ret_statistics is to be cleared. */
void session_pipeline_get_statistics(SessionPipeline *pipeline,
                                     SessionPipelineStatistics *ret_statistics);
void session_pipeline_statistics_clear(SessionPipelineStatistics *statistics);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(SessionPipelineStatistics, session_pipeline_statistics_clear)
