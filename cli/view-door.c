/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/view-door.h"

#include <string.h>
#include <sys/random.h>

#include "launcher/base/error.h"

#define COOKIE "helixvm-view"
#define TOKEN "token="
#define SECRET_BYTES 16

struct HxViewDoor {
    char *token; /* stays, so that who comes late is told that it is used */
    gboolean used;
    char *key; /* the cookie's value */
    char *host, *origin, *folder, *link, *cookie;
};

/* Hexadecimal digits, for g_free. */
static char *make_secret(GError **error)
{
    guint8 bytes[SECRET_BYTES];
    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes) {
        g_set_error_literal(error, HX_ERROR, HX_ERROR_HOST,
                            "the kernel has no random bytes for a secret: see getrandom(2)");
        return NULL;
    }
    GString *text = g_string_new(NULL);
    for (gsize i = 0; i < sizeof bytes; i++)
        g_string_append_printf(text, "%02x", bytes[i]);
    return g_string_free(text, FALSE);
}

/* In a time that does not tell how much of it was right. */
static gboolean is_secret(const char *secret, const char *given, gsize length)
{
    gsize wanted = strlen(secret);
    if (length != wanted)
        return FALSE;
    volatile guint8 differs = 0;
    for (gsize i = 0; i < wanted; i++)
        differs |= (guint8)secret[i] ^ (guint8)given[i];
    return differs == 0;
}

HxViewDoor *hx_view_door_new(guint16 port, GError **error)
{
    g_autoptr(HxViewDoor) door = g_new0(HxViewDoor, 1);
    g_autofree char *folder = NULL;
    if (!(door->token = make_secret(error)) || !(door->key = make_secret(error)) ||
        !(folder = make_secret(error)))
        return NULL;
    door->host = g_strdup_printf("127.0.0.1:%u", port);
    door->origin = g_strconcat("http://", door->host, NULL);
    door->folder = g_strdup_printf("/%.16s/", folder);
    door->link = g_strconcat(door->origin, "/?" TOKEN, door->token, NULL);
    door->cookie =
        g_strdup_printf(COOKIE "=%s; Path=%s; HttpOnly; SameSite=Strict", door->key, door->folder);
    return g_steal_pointer(&door);
}

void hx_view_door_free(HxViewDoor *door)
{
    if (!door)
        return;
    g_free(door->token);
    g_free(door->key);
    g_free(door->host);
    g_free(door->origin);
    g_free(door->folder);
    g_free(door->link);
    g_free(door->cookie);
    g_free(door);
}

const char *hx_view_door_link(const HxViewDoor *door)
{
    return door->link;
}

const char *hx_view_door_folder(const HxViewDoor *door)
{
    return door->folder;
}

const char *hx_view_door_origin(const HxViewDoor *door)
{
    return door->origin;
}

const char *hx_view_door_cookie(const HxViewDoor *door)
{
    return door->cookie;
}

/* --- asking -------------------------------------------------------------------------------------
 */

/* RFC 6265, 4.2.1: "a=1; b=2". */
static gboolean has_cookie(const HxViewDoor *door, const char *cookies)
{
    while (cookies && *cookies) {
        cookies += strspn(cookies, "; ");
        gsize length = strcspn(cookies, ";");
        if (g_str_has_prefix(cookies, COOKIE "=") &&
            is_secret(door->key, cookies + strlen(COOKIE "="), length - strlen(COOKIE "=")))
            return TRUE;
        cookies += length;
    }
    return FALSE;
}

/* A page of another site may send requests here, or have a name of its own lead here. */
static gboolean is_of_this_site(const HxViewDoor *door, const HxViewRequest *request)
{
    if (g_strcmp0(request->host, door->host) != 0)
        return FALSE;
    if (!request->origin) /* a browser tells it with every WebSocket */
        return !request->upgrade;
    return g_str_equal(request->origin, door->origin);
}

static HxViewAnswer enter(HxViewDoor *door, const char *query)
{
    if (!query || !g_str_has_prefix(query, TOKEN) ||
        !is_secret(door->token, query + strlen(TOKEN), strlen(query + strlen(TOKEN))))
        return HX_VIEW_STRANGER;
    if (door->used)
        return HX_VIEW_USED;
    door->used = TRUE;
    return HX_VIEW_ENTER;
}

HxViewAnswer hx_view_door_ask(HxViewDoor *door, const HxViewRequest *request)
{
    if (!is_of_this_site(door, request))
        return HX_VIEW_STRANGER;
    if (!g_str_equal(request->method, "GET"))
        return HX_VIEW_METHOD;
    if (g_str_equal(request->path, "/"))
        return enter(door, request->query);
    if (!has_cookie(door, request->cookie))
        return HX_VIEW_STRANGER;
    if (!g_str_has_prefix(request->path, door->folder))
        return HX_VIEW_NOTHING;
    const char *name = request->path + strlen(door->folder);
    if (g_str_equal(name, ""))
        return HX_VIEW_PAGE;
    if (g_str_equal(name, "statistics"))
        return HX_VIEW_STATISTICS;
    return g_str_equal(name, "ws/stream") && request->upgrade ? HX_VIEW_STREAM : HX_VIEW_NOTHING;
}
