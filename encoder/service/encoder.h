/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The interface of a video encoder: pictures in, H.264 access units out. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "encoder/service/picture.h"

typedef struct {
    uint32_t width;   /* pixels, even */
    uint32_t height;  /* lines, even */
    uint32_t bitrate; /* bit/s */
    uint32_t fps_num; /* frames per second that the bitrate is meant for */
    uint32_t fps_den;
    uint32_t keyframe_interval; /* frames, at most so many from keyframe to keyframe */
    uint32_t threads;           /* that encode one picture together; 1: the caller's alone */
    const char *preset;         /* of x264's names; outlives the encoder */
} HxEncoderSettings;

typedef struct {
    const uint8_t *data; /* Annex B; the encoder's own, until it is next called */
    size_t size;
    bool is_keyframe; /* then SPS and PPS are in front of it */
} HxAccessUnit;

typedef struct HxEncoder HxEncoder;

/* An encoder is used by one thread at a time.  Every picture gives one access unit at once, and a
 * decoder shows them in the order they come in (no B frames). */
typedef struct {
    const char *name;
    /* Whether there is a preset of that name. */
    bool (*has_preset)(const char *preset);
    /* 0, or a negative errno: -EINVAL where the settings, such as the size, are not possible;
     * -ENODEV where this machine has not what the encoder needs. */
    int (*open)(const HxEncoderSettings *settings, HxEncoder **ret_encoder);
    /* Another bitrate (bit/s), and other frames per second that it is meant for, from the next
     * picture on, without a keyframe.  What parameter sets say of the time may stay as it was.  0
     * or a negative errno. */
    int (*set_rate)(HxEncoder *encoder, uint32_t bitrate, uint32_t fps_num, uint32_t fps_den);
    /* @picture has the size of the settings, and is not kept nor changed.  The first one gives a
     * keyframe.  0, or a negative errno, after which the encoder is only closed. */
    int (*encode)(HxEncoder *encoder, const HxPicture *picture, bool force_keyframe,
                  HxAccessUnit *ret_unit);
    /* Takes NULL. */
    void (*close)(HxEncoder *encoder);
} HxEncoderClass;

extern const HxEncoderClass hx_encoder_x264;
/* Encodes nothing; for measurements. */
extern const HxEncoderClass hx_encoder_null;

/* All there are, the best one first; NULL-terminated. */
extern const HxEncoderClass *const hx_encoder_classes[];

/* The encoder of that name, or NULL. */
const HxEncoderClass *hx_encoder_find(const char *name);

/* Long enough for why an encoder was left. */
#define HX_ENCODER_REASON_SIZE 96

/* An encoder with @settings, for its class to close: of the first of @classes (NULL-terminated, in
 * order) that can be opened.  @reason tells why the first one could not, "" where it could; the log
 * says so once for each class.  0, or a negative errno: that of the last one.  Any thread. */
int hx_encoder_open(const HxEncoderClass *const *classes, const HxEncoderSettings *settings,
                    const HxEncoderClass **ret_class, HxEncoder **ret_encoder,
                    char reason[HX_ENCODER_REASON_SIZE]);

/* The encoder of class[0] has failed with the negative errno @error: *reason says so, and the log,
 * once for each class, with the class behind it in order (NULL: none), which takes over.  Any
 * thread. */
void hx_encoder_tell_failure(const HxEncoderClass *const *class, int error,
                             char reason[HX_ENCODER_REASON_SIZE]);
