/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A frame-export service that the test plays: it hears one message after another, and says what the
 * test wants.  What does not come in time fails the test. */
#pragma once

#include "encoder/protocol.h"

#include <glib.h>

typedef struct {
    char *directory;
    char *path; /* of the socket, for socket-path */
    int listen_fd;
    int fd; /* the connection, or -1 */
} FakeService;

void fake_service_start(FakeService *service);

/* Connections fail from here on; the one there is stays. */
void fake_service_refuse(FakeService *service);
/* They succeed again. */
void fake_service_return(FakeService *service);

void fake_service_stop(FakeService *service);

/* The next connection, in place of the one there was. */
void fake_service_accept(FakeService *service);
void fake_service_hang_up(FakeService *service);

/* The next message is a FRAME_REQUEST; its pixels are read over where @ret_pixels is NULL, and
 * NULL where there are none. */
HxfrFrameRequest fake_service_hear_frame(FakeService *service, GBytes **ret_pixels);
HxfrConfigReq fake_service_hear_config(FakeService *service);

/* Whether nothing comes for @ms. */
gboolean fake_service_hears_nothing(FakeService *service, int ms);

/* Answer @request with @size bytes, of which the first is @first; 0: with none. */
void fake_service_answer(FakeService *service, const HxfrFrameRequest *request, guint8 first,
                         guint32 size, gboolean is_keyframe);
void fake_service_answer_error(FakeService *service, HxfrErrorCode code, const char *text);
