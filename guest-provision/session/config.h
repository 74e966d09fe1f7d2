/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a session is to be: /etc/helixvm/sessions/NAME.conf. */
#pragma once

#include <gio/gio.h>

typedef enum {
    SESSION_ENCODER_AUTO,  /* the host's, or else the guest's own */
    SESSION_ENCODER_HOST,  /* vsockenc, and no other */
    SESSION_ENCODER_GUEST, /* x264enc */
} SessionEncoder;

typedef struct {
    int width, height;        /* pixels, even */
    int fps;                  /* at most this many frames a second */
    int bitrate;              /* kbit/s; 0: the encoder's own */
    char **command;           /* argv of the first client; NULL for none */
    char *background_image;   /* absolute path, or NULL */
    guint32 background_color; /* 0xRRGGBB, where there is no image */
    gboolean panel;           /* a bar with a clock on top */
    int viewers;              /* at most so many at once */
    SessionEncoder encoder;
} SessionConfig;

/* Parse @text, a key file with one group [session].  Every key may be left out.  Fails with
 * G_IO_ERROR_INVALID_DATA that names the key, and for an unknown key the known ones; *ret_config is
 * then empty. */
gboolean session_config_parse(SessionConfig *ret_config, const char *text, GError **error);

/* The same from the file at @path; errors begin with the path. */
gboolean session_config_load(SessionConfig *ret_config, const char *path, GError **error);

void session_config_clear(SessionConfig *config);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(SessionConfig, session_config_clear)

/* Whether @name may name a session: letters, digits, '-', '_' and '.', not '.' first, 1 to 64. */
gboolean session_name_is_valid(const char *name);
