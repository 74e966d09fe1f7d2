/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who may see what `helixvm view` serves: the browser that came with the link's token, once, and
 * then whoever brings the cookie that it got for it.  No I/O.
 *
 * All of the host's users reach 127.0.0.1, guests may, and so do the pages of any site that the
 * user's browser shows.  The token is for the first; that the cookie is HttpOnly and
 * SameSite=Strict (RFC 6265bis, 4.1.2), and the checks of Host (DNS rebinding) and Origin (RFC
 * 6454, 7; RFC 6455, 10.2), are for the last.  Cookies heed no port: this one's path, a random
 * folder, keeps it from other servers on 127.0.0.1. */
#pragma once

#include <glib.h>

typedef struct HxViewDoor HxViewDoor;

/* Of a server at @port of 127.0.0.1.  NULL with HX_ERROR_HOST where the kernel has no random bytes.
 * One thread at a time, as all below. */
HxViewDoor *hx_view_door_new(guint16 port, GError **error);
void hx_view_door_free(HxViewDoor *door);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HxViewDoor, hx_view_door_free)

/* The URL with the token, a secret; @door's own, as all strings below. */
const char *hx_view_door_link(const HxViewDoor *door);
/* The path of the page, "/FOLDER/", to which the others are relative. */
const char *hx_view_door_folder(const HxViewDoor *door);
/* "http://127.0.0.1:PORT". */
const char *hx_view_door_origin(const HxViewDoor *door);
/* The value of the header Set-Cookie for who is let in, a secret. */
const char *hx_view_door_cookie(const HxViewDoor *door);

/* What somebody asks for, as in HTTP; NULL: there is no such header, or no query. */
typedef struct {
    const char *method, *path, *query;
    const char *host, *origin, *cookie;
    gboolean upgrade; /* to a WebSocket */
} HxViewRequest;

typedef enum {
    HX_VIEW_ENTER, /* came with the token, which is used up now: gets the cookie */
    HX_VIEW_PAGE,
    HX_VIEW_STATISTICS, /* FOLDER/statistics */
    HX_VIEW_STREAM,     /* FOLDER/ws/stream */
    HX_VIEW_USED,       /* came with the token when it was used up */
    HX_VIEW_STRANGER,   /* is not to see anything */
    HX_VIEW_NOTHING,    /* may see all, but there is no such thing */
    HX_VIEW_METHOD,     /* asked otherwise than by GET */
} HxViewAnswer;

HxViewAnswer hx_view_door_ask(HxViewDoor *door, const HxViewRequest *request);
