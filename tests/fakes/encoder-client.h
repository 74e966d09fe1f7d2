/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An HXFR client for tests, and helixvm-encoder running as a process for it. */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>
#include <sys/types.h>

#include "encoder/protocol.h"

typedef struct {
    char *directory;
    char *hxfr_path;
    char *serial_path;
    char *stats_path;
    char *module_path;
    pid_t pid;
} TestService;

/* Start build/helixvm-encoder with sockets of its own and @options (NULL-terminated, or NULL), and
 * wait until it is ready.  Its module socket is module_path, where nothing listens yet. */
void test_service_start(TestService *service, const char *const *options);

/* The same with its log in the file @path. */
void test_service_start_logging(TestService *service, const char *const *options, const char *path);

/* SIGTERM; fails where it does not end with status 0. */
void test_service_stop(TestService *service);

/* Both as a fixture of GLib's, with those options. */
void test_service_set_up(TestService *service, const void *options);
void test_service_tear_down(TestService *service, const void *options);

/* Its statistics, for json_node_unref(). */
JsonNode *test_service_statistics(TestService *service);

/* A new connection, with a receive timeout of 20 s. */
int test_connect(TestService *service);

/* A new connection to where a serial port would come out, likewise. */
int test_connect_serial(TestService *service);

void test_send(int fd, const void *data, size_t size);

typedef struct {
    HxfrHeader header;
    guint8 *payload;
} TestMessage;

/* The next message; fails at the end of the stream. */
TestMessage test_receive(int fd);
void test_message_clear(TestMessage *message);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(TestMessage, test_message_clear)

/* Expect the end of the stream. */
void test_expect_end(int fd);

void test_send_ping(int fd, guint16 session_id);
void test_expect_pong(int fd, guint16 session_id);

/* Expect an ERROR of @code with @session_id. */
void test_expect_error(int fd, guint16 session_id, HxfrErrorCode code);

/* Expect a FRAME_RESPONSE with one access unit (or none, then @stream is left as it is), append
 * that to @stream where it is not NULL. */
HxfrFrameResponse test_expect_frame(int fd, guint16 session_id, GByteArray *stream);

/* --- a picture of which every block has another colour */

/* R, G, B of the pattern at (x, y) in picture @frame. */
void test_pattern(guint32 x, guint32 y, guint frame, guint8 ret_rgb[3]);

/* The pattern as pixels of @format with @stride, filled with 0xEE where there is no pixel; for
 * g_free. */
guint8 *test_pattern_pixels(guint32 format, guint32 width, guint32 height, guint32 stride,
                            guint frame, gsize *ret_size);

/* FRAME_REQUEST with the pattern as its pixels. */
void test_send_pattern(int fd, guint16 session_id, guint8 flags, const HxfrFrameRequest *request,
                       guint frame);

/* Decode @stream with ffmpeg, by the colour description that is in it, and compare all of its
 * pictures, of @width × @height, with pictures 0 to @frames - 1 of the pattern.  Where
 * @padded_width or height is larger, that is the size that the stream must have. */
void test_decode_and_compare(const GByteArray *stream, guint32 width, guint32 height, guint frames);
