/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/stream-helix.h"

#define CONNECT_SECONDS 20

typedef struct {
    const HxHelixServer *server;
    const char *path;
} Helix;

static HxStreamClient *open_session(const HxStreamRequest *request, GCancellable *cancel,
                                    void *data, GError **error)
{
    const Helix *helix = data;
    return hx_stream_client_new_helix(helix->server, helix->path, request, CONNECT_SECONDS, cancel,
                                      error);
}

static char *examine(gboolean opened, gboolean answered, void *data)
{
    if (!opened)
        return NULL;
    return g_strdup(answered ? "its desktop answered, so that it is its encoder which sends "
                               "nothing: see the desktop's log in Helix"
                             : "Helix let the viewer in, but the desktop did not answer: "
                               "see in Helix whether it still starts");
}

gboolean hx_stream_view_helix(const HxHelixOptions *options, const HxStreamWish *wish,
                              const char *output, const char *snapshot, GCancellable *cancel,
                              GError **error)
{
    g_autofree char *path = hx_helix_stream_path(wish->request.session_id, error);
    g_autoptr(HxHelixServer) server = path ? hx_helix_server_new(options, error) : NULL;
    g_autoptr(HxStreamFiles) files = server ? hx_stream_files_new(output, snapshot, error) : NULL;
    if (!files)
        return FALSE;
    Helix from = {.server = server, .path = path};
    g_autofree char *of = g_strdup_printf("the Helix server %s", server->url);
    const HxStreamGiver giver = {.of = of,
                                 .open = open_session,
                                 .examine = examine,
                                 .size = "its agent's settings in Helix say so",
                                 .data = &from};
    gboolean good = hx_stream_view(&giver, wish, files, cancel, error);
    hx_helix_server_hide_key(server, error);
    return good;
}
