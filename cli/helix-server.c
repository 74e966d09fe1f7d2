/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/helix-server.h"

#include <curl/curl.h>
#include <gio/gio.h>
#include <string.h>
#include <unistd.h>

#include "cli/helix-key.h"
#include "launcher/base/error.h"

#define PREFIX "ses_"
#define ID_MAX 100
#define URL_STANDARD "http://localhost:8080"

/* --- the session --------------------------------------------------------------------------------
 */

gboolean hx_helix_is_session(const char *session)
{
    return g_str_has_prefix(session, PREFIX) && session[strlen(PREFIX)];
}

char *hx_helix_stream_path(const char *session, GError **error)
{
    size_t length = strlen(session);
    if (hx_helix_is_session(session) && length <= ID_MAX &&
        strspn(session, G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "_-") == length)
        return g_strdup_printf("/api/v1/external-agents/%s/ws/stream", session);
    g_set_error(error, HX_ERROR, HX_ERROR_USAGE,
                "\"%s\" is no id of a Helix session: it is \"ses_\" and letters, digits, '_', '-', "
                "up to %d in all",
                session, ID_MAX);
    return NULL;
}

/* --- the server ---------------------------------------------------------------------------------
 */

static const char *environment(const char *name)
{
    const char *value = g_getenv(name);
    return value && *value ? value : NULL;
}

gboolean hx_helix_is_asked(const HxHelixOptions *options)
{
    return options->url || options->key_file || options->ca_file;
}

gboolean hx_helix_is_named(const HxHelixOptions *options)
{
    return hx_helix_is_asked(options) || environment("HELIX_URL") || environment("HELIX_API_KEY");
}

/* A part of @url as libcurl, which will connect, understands it; for curl_free. */
static char *part(CURLU *url, CURLUPart which)
{
    char *text = NULL;
    return curl_url_get(url, which, &text, 0) == CURLUE_OK ? text : NULL;
}

static gboolean has_part(CURLU *url, CURLUPart which)
{
    char *text = part(url, which);
    curl_free(text);
    return text != NULL;
}

static gboolean is_part(CURLU *url, CURLUPart which, const char *value)
{
    char *text = part(url, which);
    gboolean same = text && g_ascii_strcasecmp(text, value) == 0;
    curl_free(text);
    return same;
}

/* libcurl asks no resolver for "localhost" either (RFC 6761, 6.3). */
static gboolean is_this_host(CURLU *url)
{
    char *host = part(url, CURLUPART_HOST);
    size_t length = host ? strlen(host) : 0;
    g_autofree char *bare = length > 2 && host[0] == '[' ? g_strndup(host + 1, length - 2) : NULL;
    g_autoptr(GInetAddress) address =
        host ? g_inet_address_new_from_string(bare ? bare : host) : NULL;
    gboolean own =
        address ? g_inet_address_get_is_loopback(address) : g_strcmp0(host, "localhost") == 0;
    curl_free(host);
    return own;
}

/* What a server's URL must not be; NULL: it is good.  It is not quoted where it may hold a secret.
 */
static const char *what_is_wrong(CURLU *url)
{
    gboolean plain = is_part(url, CURLUPART_SCHEME, "http");
    if (!plain && !is_part(url, CURLUPART_SCHEME, "https"))
        return "is no https URL: give https://HOST";
    if (has_part(url, CURLUPART_USER) || has_part(url, CURLUPART_PASSWORD))
        return "holds a user or a password, which others would see: give https://HOST, and the "
               "key by HELIX_API_KEY or --api-key-file";
    if (has_part(url, CURLUPART_QUERY) || has_part(url, CURLUPART_FRAGMENT))
        return "has a query or a fragment: give https://HOST alone";
    if (plain && !is_this_host(url))
        return "leads to another host without TLS, and all on the way there could read the key: "
               "give https://HOST, or reach the server by a tunnel to http://localhost:PORT";
    return NULL;
}

static char *read_url(const HxHelixOptions *options, GError **error)
{
    const char *option = options->url ? "--url" : "HELIX_URL";
    const char *text = options->url ? options->url : environment("HELIX_URL");
    CURLU *url = curl_url();
    CURLUcode result = curl_url_set(url, CURLUPART_URL, text ? text : URL_STANDARD, 0);
    const char *what = result == CURLUE_OK ? what_is_wrong(url) : NULL;
    char *good = NULL;
    if (result != CURLUE_OK)
        g_set_error(error, HX_ERROR, HX_ERROR_USAGE, "%s is no URL (%s): give https://HOST", option,
                    curl_url_strerror(result));
    else if (what)
        g_set_error(error, HX_ERROR, HX_ERROR_USAGE, "%s %s", option, what);
    else
        good = part(url, CURLUPART_URL);
    char *own = g_strdup(good);
    curl_free(good);
    curl_url_cleanup(url);
    while (own && g_str_has_suffix(own, "/"))
        own[strlen(own) - 1] = 0;
    return own;
}

static gboolean check_ca_file(const char *path, GError **error)
{
    if (!path || access(path, R_OK) == 0)
        return TRUE;
    hx_set_error_errno(error, errno == ENOENT ? HX_ERROR_NOT_FOUND : HX_ERROR_CONFIG, errno,
                       "cannot read the certificates of --cacert, %s", path);
    return FALSE;
}

HxHelixServer *hx_helix_server_new(const HxHelixOptions *options, GError **error)
{
    g_autoptr(HxHelixServer) server = g_new0(HxHelixServer, 1);
    server->url = read_url(options, error);
    if (!server->url || !check_ca_file(options->ca_file, error))
        return NULL;
    server->ca_file = g_strdup(options->ca_file);
    server->key = hx_helix_key(options->key_file, error);
    return server->key ? g_steal_pointer(&server) : NULL;
}

void hx_helix_server_free(HxHelixServer *server)
{
    if (!server)
        return;
    if (server->key)
        explicit_bzero(server->key, strlen(server->key));
    g_free(server->key);
    g_free(server->url);
    g_free(server->ca_file);
    g_free(server);
}

void hx_helix_server_hide_key(const HxHelixServer *server, GError **error)
{
    if (!error || !*error || !strstr((*error)->message, server->key))
        return;
    g_auto(GStrv) parts = g_strsplit((*error)->message, server->key, -1);
    g_free((*error)->message);
    (*error)->message = g_strjoinv("...", parts);
}
