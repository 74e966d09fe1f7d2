/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A Helix server as the user names it: where it is, the key that opens it, and whom its certificate
 * is to be signed by. */
#pragma once

#include <glib.h>

typedef struct {
    char *url;     /* "https://HOST[:PORT][/PREFIX]", no "/" at its end; http for this host alone */
    char *key;     /* printable ASCII; for the Authorization header, and nothing else */
    char *ca_file; /* the CAs that are trusted, PEM; NULL: the host's */
} HxHelixServer;

/* The command line's; NULL where an option is not given. */
typedef struct {
    char *url;
    char *key_file;
    char *ca_file;
} HxHelixOptions;

/* Whether @session has the form of a Helix session's id, "ses_" and more. */
gboolean hx_helix_is_session(const char *session);

/* Whether @options or the environment name a server or a key. */
gboolean hx_helix_is_named(const HxHelixOptions *options);
/* Whether one of @options is given. */
gboolean hx_helix_is_asked(const HxHelixOptions *options);

/* The server that @options name, or, where they do not, HELIX_URL (http://localhost:8080) and
 * HELIX_API_KEY.  A key may cross the network by TLS alone, and the file it comes from must be the
 * user's own and nobody else's to read.  HX_ERROR_USAGE (what is given is wrong, or lacks),
 * HX_ERROR_NOT_FOUND (there is no such file), HX_ERROR_CONFIG (a file is wrong); no error quotes a
 * key. */
HxHelixServer *hx_helix_server_new(const HxHelixOptions *options, GError **error);
void hx_helix_server_free(HxHelixServer *server);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HxHelixServer, hx_helix_server_free)

/* The path of @session's stream below the server's URL, for g_free.  NULL with HX_ERROR_USAGE where
 * it is no id that Helix gives. */
char *hx_helix_stream_path(const char *session, GError **error);

/* Put "..." in the place of the server's key wherever @error, which may hold NULL, quotes what the
 * server said. */
void hx_helix_server_hide_key(const HxHelixServer *server, GError **error);
