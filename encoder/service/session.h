/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One session: the encoder of one client's stream, its settings and its statistics. */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>

#include "encoder/protocol.h"
#include "encoder/service/encoder.h"
#include "encoder/service/picture.h"

typedef struct HxSession HxSession;

/* @encoders, NULL-terminated, in the order that they are tried in whenever one is opened, outlives
 * the session.  @defaults is copied, without width and height. */
HxSession *hx_session_new(guint16 id, const HxEncoderClass *const *encoders,
                          const HxEncoderSettings *defaults);

/* Takes NULL. */
void hx_session_free(HxSession *session);

guint16 hx_session_id(const HxSession *session);

/* --- by one thread at a time, the one that encodes -----------------------------------------------
 */

/* Take CONFIG_REQ's bitrate and frame rate at once, without a keyframe; parameter sets say the new
 * frame rate from the next keyframe on, which begins with a new encoder.  Its size is not used,
 * frames bring their own.  0, or -EINVAL where a value is out of range, and nothing has changed. */
int hx_session_configure(HxSession *session, const HxfrConfigReq *config);

/* The next frame is a keyframe. */
void hx_session_force_keyframe(HxSession *session);

/* Encode @picture, which is swapped for another one of no defined content.  A new size gives a new
 * encoder, and so a keyframe; other pixels than the last, in size or format, a keyframe at least.
 * Where @may_be_empty and the picture is the same as the last ones, *ret_unit has size 0. An
 * encoder that fails is left while pictures have that size: the next in order takes this one, as a
 * keyframe.  0; -EINVAL where no encoder takes that size; another negative errno where all have
 * failed, after which the next picture starts anew, by the first in order, with a keyframe; or,
 * where none of them had encoded any, the next picture after a second, and those before fail alike.
 */
int hx_session_encode(HxSession *session, HxPicture *picture, gboolean force_keyframe,
                      gboolean may_be_empty, HxAccessUnit *ret_unit);

/* --- by any thread
 * ---------------------------------------------------------------------------------- */

typedef enum {
    HX_STAGE_READ, /* the module's read-back, or receiving the pixels */
    HX_STAGE_CONVERT,
    HX_STAGE_QUEUE, /* waiting for the frame before */
    HX_STAGE_ENCODE,
    HX_STAGE_SEND,
    HX_STAGE_COUNT,
} HxStage;

/* An answered frame: times of its stages in µs, what was sent, and where its pixels came from. */
void hx_session_count_frame(HxSession *session, const gint64 stage_us[HX_STAGE_COUNT], gsize bytes,
                            gboolean is_keyframe, gboolean from_resource);

/* A request that got an ERROR. */
void hx_session_count_error(HxSession *session);

/* A frame of which the client does not take the answer. */
void hx_session_count_dropped(HxSession *session);

/* Add members to the object that is open in @builder. */
void hx_session_describe(HxSession *session, JsonBuilder *builder);
