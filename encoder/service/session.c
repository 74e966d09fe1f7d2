/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "encoder/service/session.h"

#include <errno.h>

#include "encoder/service/statistics.h"
#include "launcher/base/json.h"
#include "launcher/base/log.h"

#define BITRATE_MIN 10000u
#define BITRATE_MAX 1000000000u
#define FPS_MAX 1000u
#define FPS_TERM_MAX 1000000u
/* A keyframe, or a picture that took more than a frame's share of the bits, had them for less than
 * its best.  While it stays, it is coded again: as often as rate control needs to make up for what
 * it took (at most SETTLING_MAX), and then until that takes few bits, which is when nothing is left
 * to be gained, but not more than REFINEMENTS times.  A small change then is as good as it gets at
 * once. */
#define SETTLING_MAX 120
#define REFINEMENTS 60
/* Where each encoder has failed at its first picture: no attempt before, as opening takes long. */
#define RETRY_AFTER G_TIME_SPAN_SECOND

struct HxSession {
    guint16 id;
    const HxEncoderClass *const *encoders; /* in order */

    /* the encoding thread's alone */
    HxEncoderSettings settings;        /* width and height: those of the encoder */
    HxEncoder *encoder;                /* NULL: none yet */
    const HxEncoderClass *class;       /* of the encoder; NULL: none yet */
    const HxEncoderClass *const *from; /* of encoders: those before have failed at this size */
    gboolean has_encoded;              /* the encoder, a picture */
    gint64 retry_at;                   /* monotonic, in µs: none is opened before */
    int failure;                       /* why, a negative errno */
    gboolean force_keyframe;
    guint since_keyframe;   /* frames, with it */
    gboolean says_old_rate; /* the encoder's parameter sets, of frames per second */
    HxPicture last;
    guint settling;    /* how often the last picture is to be coded again, if it comes again, */
    guint refinements; /* and how often at most after that */

    GMutex lock;                                 /* for the rest */
    const char *encoder_name;                    /* NULL: none yet */
    char encoder_reason[HX_ENCODER_REASON_SIZE]; /* why it is not the first in order; "" */
    guint32 width, height, bitrate;
    guint64 frames, keyframes, unchanged, bytes, errors, dropped;
    gboolean from_resource;
    HxSamples stages[HX_STAGE_COUNT];
    HxRate rate;
};

HxSession *hx_session_new(guint16 id, const HxEncoderClass *const *encoders,
                          const HxEncoderSettings *defaults)
{
    HxSession *session = g_new0(HxSession, 1);
    session->id = id;
    session->encoders = session->from = encoders;
    session->settings = *defaults;
    session->settings.width = session->settings.height = 0;
    session->bitrate = defaults->bitrate;
    g_mutex_init(&session->lock);
    return session;
}

static void close_encoder(HxSession *session)
{
    if (session->encoder)
        session->class->close(session->encoder);
    session->encoder = NULL;
    /* The next one begins with a keyframe, also where the picture has not changed. */
    session->settling = MAX(session->settling, 1);
}

void hx_session_free(HxSession *session)
{
    if (!session)
        return;
    close_encoder(session);
    hx_picture_clear(&session->last);
    g_mutex_clear(&session->lock);
    g_free(session);
}

guint16 hx_session_id(const HxSession *session)
{
    return session->id;
}

int hx_session_configure(HxSession *session, const HxfrConfigReq *config)
{
    HxEncoderSettings *settings = &session->settings;
    if (config->bitrate && (config->bitrate < BITRATE_MIN || config->bitrate > BITRATE_MAX))
        return -EINVAL;
    if (config->fps_num || config->fps_den) {
        if (!config->fps_num || !config->fps_den || config->fps_num > FPS_TERM_MAX ||
            config->fps_den > FPS_TERM_MAX || config->fps_num / config->fps_den > FPS_MAX ||
            config->fps_den / config->fps_num > FPS_MAX)
            return -EINVAL;
    }
    HxEncoderSettings wanted = *settings;
    if (config->fps_num) {
        wanted.fps_num = config->fps_num;
        wanted.fps_den = config->fps_den;
    }
    if (config->bitrate)
        wanted.bitrate = config->bitrate;
    gboolean other_fps = wanted.fps_num != settings->fps_num || wanted.fps_den != settings->fps_den;
    if (!other_fps && wanted.bitrate == settings->bitrate)
        return 0;
    *settings = wanted;
    session->says_old_rate |= other_fps;
    /* One that cannot change begins anew. */
    if (session->encoder && session->class->set_rate(session->encoder, wanted.bitrate,
                                                     wanted.fps_num, wanted.fps_den) < 0)
        close_encoder(session);
    g_mutex_lock(&session->lock);
    session->bitrate = wanted.bitrate;
    g_mutex_unlock(&session->lock);
    return 0;
}

void hx_session_force_keyframe(HxSession *session)
{
    session->force_keyframe = TRUE;
}

static int ensure_encoder(HxSession *session, const HxPicture *picture)
{
    HxEncoderSettings *settings = &session->settings;
    gboolean same_size = settings->width == picture->width && settings->height == picture->height;
    if (session->encoder && same_size)
        return 0;
    close_encoder(session);
    if (!same_size) {
        session->from = session->encoders;
        session->retry_at = 0;
    }
    if (g_get_monotonic_time() < session->retry_at)
        return session->failure;
    settings->width = picture->width;
    settings->height = picture->height;
    char reason[HX_ENCODER_REASON_SIZE];
    int r = hx_encoder_open(session->from, settings, &session->class, &session->encoder, reason);
    if (r < 0)
        return r;
    session->has_encoded = FALSE;
    session->says_old_rate = FALSE;
    g_mutex_lock(&session->lock);
    session->encoder_name = session->class->name;
    if (session->from == session->encoders)
        g_strlcpy(session->encoder_reason, reason, sizeof session->encoder_reason);
    session->width = picture->width;
    session->height = picture->height;
    g_mutex_unlock(&session->lock);
    hx_log_debug("session %u: %s, %u×%u, %u kbit/s", session->id, session->class->name,
                 settings->width, settings->height, settings->bitrate / 1000);
    return 0;
}

/* The encoder has failed, with the negative errno @error: the ones behind it in order are next. */
static void leave_encoder(HxSession *session, int error)
{
    const HxEncoderClass *const *failed = session->from;
    while (*failed != session->class)
        failed++;
    char reason[HX_ENCODER_REASON_SIZE];
    hx_encoder_tell_failure(failed, error, reason);
    if (failed == session->encoders && failed[1]) {
        g_mutex_lock(&session->lock);
        g_strlcpy(session->encoder_reason, reason, sizeof session->encoder_reason);
        g_mutex_unlock(&session->lock);
    }
    session->from = failed + 1;
    close_encoder(session);
}

/* By the encoder there is; where it fails, by the next in order that does not. */
static int encode(HxSession *session, const HxPicture *picture, gboolean force_keyframe,
                  HxAccessUnit *ret_unit)
{
    int failure = 0;
    gboolean retry_at_once = FALSE;
    do {
        int r = ensure_encoder(session, picture);
        if (r < 0) {
            failure = failure ? failure : r;
            break;
        }
        r = session->class->encode(session->encoder, picture, force_keyframe, ret_unit);
        if (r == 0) {
            session->has_encoded = TRUE;
            return 0;
        }
        failure = failure ? failure : r;
        retry_at_once |= session->has_encoded;
        leave_encoder(session, r);
    } while (*session->from);
    if (session->from != session->encoders && !retry_at_once) {
        session->retry_at = g_get_monotonic_time() + RETRY_AFTER;
        session->failure = failure;
    }
    session->from = session->encoders;
    return failure;
}

/* Decide how often a picture of which @unit was made is coded again; @same: it was the last one. */
static void plan_refinements(HxSession *session, const HxAccessUnit *unit, gboolean same)
{
    const HxEncoderSettings *settings = &session->settings;
    guint64 share = MAX((guint64)settings->bitrate * settings->fps_den / settings->fps_num / 8, 1);
    if (unit->is_keyframe || (!same && unit->size > share)) {
        session->settling = (guint)MIN(unit->size / share + 1, SETTLING_MAX);
        session->refinements = REFINEMENTS;
    } else if (same && session->settling) {
        session->settling--;
    } else if (same && session->refinements) {
        /* A quarter of a byte for each macroblock of 16 × 16. */
        guint64 few = MIN(share / 8, (guint64)settings->width * settings->height / 1024);
        session->refinements = unit->size <= few ? 0 : session->refinements - 1;
    }
}

int hx_session_encode(HxSession *session, HxPicture *picture, gboolean force_keyframe,
                      gboolean may_be_empty, HxAccessUnit *ret_unit)
{
    /* Whoever changes size or format counts on a keyframe, also where the coded size stays. */
    force_keyframe |= session->force_keyframe || !hx_picture_same_kind(picture, &session->last);
    gboolean same = hx_picture_equal(picture, &session->last);
    if (same && may_be_empty && !force_keyframe && !session->settling && !session->refinements) {
        *ret_unit = (HxAccessUnit){0};
        return 0;
    }
    if (session->says_old_rate &&
        (force_keyframe || session->since_keyframe >= session->settings.keyframe_interval))
        close_encoder(session);
    int r = encode(session, picture, force_keyframe, ret_unit);
    if (r < 0)
        return r;
    session->since_keyframe = ret_unit->is_keyframe ? 1 : session->since_keyframe + 1;
    plan_refinements(session, ret_unit, same);
    session->force_keyframe = FALSE;
    HxPicture previous = session->last;
    session->last = *picture;
    *picture = previous;
    return 0;
}

void hx_session_count_frame(HxSession *session, const gint64 stage_us[HX_STAGE_COUNT], gsize bytes,
                            gboolean is_keyframe, gboolean from_resource)
{
    g_mutex_lock(&session->lock);
    session->frames += bytes > 0;
    session->unchanged += bytes == 0;
    session->keyframes += is_keyframe;
    session->bytes += bytes;
    session->from_resource = from_resource;
    if (bytes)
        hx_rate_add(&session->rate, g_get_monotonic_time(), bytes);
    for (int i = 0; i < HX_STAGE_COUNT; i++)
        hx_samples_add(&session->stages[i], stage_us[i]);
    g_mutex_unlock(&session->lock);
}

void hx_session_count_error(HxSession *session)
{
    g_mutex_lock(&session->lock);
    session->errors++;
    g_mutex_unlock(&session->lock);
}

void hx_session_count_dropped(HxSession *session)
{
    g_mutex_lock(&session->lock);
    session->dropped++;
    g_mutex_unlock(&session->lock);
}

static void add_count(JsonBuilder *builder, const char *name, guint64 value)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_int_value(builder, (gint64)value);
}

void hx_session_describe(HxSession *session, JsonBuilder *builder)
{
    static const char *const names[HX_STAGE_COUNT] = {
        [HX_STAGE_READ] = "read",     [HX_STAGE_CONVERT] = "convert", [HX_STAGE_QUEUE] = "queue",
        [HX_STAGE_ENCODE] = "encode", [HX_STAGE_SEND] = "send",
    };
    g_mutex_lock(&session->lock);
    add_count(builder, "session_id", session->id);
    hx_json_add_string(builder, "encoder", session->encoder_name);
    hx_json_add_string(builder, "encoder_reason",
                       *session->encoder_reason ? session->encoder_reason : NULL);
    add_count(builder, "width", session->width);
    add_count(builder, "height", session->height);
    add_count(builder, "bitrate", session->bitrate);
    add_count(builder, "frames", session->frames);
    add_count(builder, "keyframes", session->keyframes);
    add_count(builder, "unchanged", session->unchanged);
    add_count(builder, "bytes", session->bytes);
    add_count(builder, "errors", session->errors);
    add_count(builder, "dropped", session->dropped);
    double bits;
    json_builder_set_member_name(builder, "fps");
    json_builder_add_double_value(
        builder, hx_rate_per_second(&session->rate, g_get_monotonic_time(), &bits));
    add_count(builder, "bits_per_second", (guint64)bits);
    json_builder_set_member_name(builder, "source");
    if (session->frames + session->unchanged)
        json_builder_add_string_value(builder, session->from_resource ? "resource" : "pixels");
    else
        json_builder_add_null_value(builder);
    json_builder_set_member_name(builder, "stage_ms");
    json_builder_begin_object(builder);
    for (int i = 0; i < HX_STAGE_COUNT; i++)
        hx_samples_describe(&session->stages[i], names[i], builder);
    json_builder_end_object(builder);
    g_mutex_unlock(&session->lock);
}
