/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Theory of operation.  libcurl is handed a socket as if it had opened and connected it; a
 * HxDeadline ends what takes too long there, or is interrupted.  A Helix server it resolves and
 * connects to by itself, with a time limit of its own, and asks meanwhile, at least once a second,
 * whether it shall go on. */
#include "cli/stream-connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "cli/helix-error.h"
#include "guest-provision/deadline.h"
#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "launcher/base/pause.h"

/* Who takes nothing for so long is gone: a viewer asks every second. */
#define SILENT_MS 30000

struct HxStreamConnection {
    CURL *curl;
    int fd;                      /* to be handed over; -1: libcurl has it, or connects by itself */
    const HxHelixServer *server; /* NULL: on a socket */
    char *path;
    GCancellable *cancel;
    char reason[CURL_ERROR_SIZE];
};

/* --- making one ---------------------------------------------------------------------------------
 */

static HxStreamConnection *connection_new(int fd, const char *path, GCancellable *cancel)
{
    HxStreamConnection *connection = g_new0(HxStreamConnection, 1);
    connection->fd = fd;
    connection->path = g_strdup(path);
    connection->cancel = cancel ? g_object_ref(cancel) : NULL;
    connection->curl = curl_easy_init();
    return connection;
}

void hx_stream_connection_free(HxStreamConnection *connection)
{
    if (!connection)
        return;
    curl_easy_cleanup(connection->curl);
    hx_close(&connection->fd);
    g_clear_object(&connection->cancel);
    g_free(connection->path);
    g_free(connection);
}

CURL *hx_stream_connection_curl(HxStreamConnection *connection)
{
    return connection->curl;
}

static gboolean no_curl(GError **error)
{
    g_set_error_literal(error, HX_ERROR, HX_ERROR_HOST, "cannot set up libcurl");
    return FALSE;
}

static gboolean set_common(HxStreamConnection *connection, const char *url, GError **error)
{
    CURL *curl = connection->curl;
    return (curl && curl_easy_setopt(curl, CURLOPT_URL, url) == CURLE_OK &&
            curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, connection->reason) == CURLE_OK &&
            curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK) ||
           no_curl(error);
}

static curl_socket_t hand_socket(void *data, curlsocktype purpose, struct curl_sockaddr *address)
{
    HxStreamConnection *connection = data;
    int fd = hx_steal_fd(&connection->fd);
    return fd >= 0 ? fd : CURL_SOCKET_BAD;
}

static int say_connected(void *data, curl_socket_t fd, curlsocktype purpose)
{
    return CURL_SOCKOPT_ALREADY_CONNECTED;
}

HxStreamConnection *hx_stream_connection_on(int fd, const char *scheme, const char *path,
                                            GCancellable *cancel, GError **error)
{
    g_autoptr(HxStreamConnection) connection = connection_new(fd, path, cancel);
    /* Nothing is resolved or connected: the name is for the Host header alone. */
    g_autofree char *url = g_strconcat(scheme, "://127.0.0.1", path, NULL);
    if (!set_common(connection, url, error))
        return NULL;
    CURL *curl = connection->curl;
    if (curl_easy_setopt(curl, CURLOPT_PROXY, "") != CURLE_OK ||
        curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, hand_socket) != CURLE_OK ||
        curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, connection) != CURLE_OK ||
        curl_easy_setopt(curl, CURLOPT_SOCKOPTFUNCTION, say_connected) != CURLE_OK) {
        no_curl(error);
        return NULL;
    }
    return g_steal_pointer(&connection);
}

/* --- to a Helix server --------------------------------------------------------------------------
 */

static int bound_silence(void *data, curl_socket_t fd, curlsocktype purpose)
{
    int silent = SILENT_MS;
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &silent, sizeof silent);
    return CURL_SOCKOPT_OK;
}

static int shall_end(void *data, curl_off_t download, curl_off_t downloaded, curl_off_t upload,
                     curl_off_t uploaded)
{
    return g_cancellable_is_cancelled(((HxStreamConnection *)data)->cancel);
}

/* The key goes to whom the URL names, verified, and nowhere else: no redirect is followed. */
static gboolean set_trust(CURL *curl, const HxHelixServer *server)
{
    if (server->ca_file && (curl_easy_setopt(curl, CURLOPT_CAINFO, server->ca_file) != CURLE_OK ||
                            curl_easy_setopt(curl, CURLOPT_CAPATH, NULL) != CURLE_OK))
        return FALSE;
    return curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BEARER) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_XOAUTH2_BEARER, server->key) == CURLE_OK;
}

HxStreamConnection *hx_stream_connection_to(const HxHelixServer *server, const char *path,
                                            GCancellable *cancel, GError **error)
{
    g_autoptr(HxStreamConnection) connection = connection_new(-1, path, cancel);
    connection->server = server;
    /* http is ws, and https wss. */
    g_autofree char *url = g_strconcat("ws", server->url + strlen("http"), path, NULL);
    if (!set_common(connection, url, error))
        return NULL;
    CURL *curl = connection->curl;
    /* Without TLS it is this host, which no proxy is asked for. */
    gboolean plain = g_str_has_prefix(url, "ws:");
    if (!set_trust(curl, server) ||
        (plain && curl_easy_setopt(curl, CURLOPT_PROXY, "") != CURLE_OK) ||
        curl_easy_setopt(curl, CURLOPT_USERAGENT, "helixvm/" HELIXVM_VERSION) != CURLE_OK ||
        curl_easy_setopt(curl, CURLOPT_SOCKOPTFUNCTION, bound_silence) != CURLE_OK ||
        curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L) != CURLE_OK ||
        curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, shall_end) != CURLE_OK ||
        curl_easy_setopt(curl, CURLOPT_XFERINFODATA, connection) != CURLE_OK) {
        no_curl(error);
        return NULL;
    }
    return g_steal_pointer(&connection);
}

/* --- asking -------------------------------------------------------------------------------------
 */

static gboolean is_lost(CURLcode result)
{
    return result == CURLE_SEND_ERROR || result == CURLE_RECV_ERROR || result == CURLE_GOT_NOTHING;
}

static long http_status(HxStreamConnection *connection)
{
    long status = 0;
    curl_easy_getinfo(connection->curl, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

static gboolean perform_on(HxStreamConnection *connection, guint timeout, GError **error)
{
    const char *path = connection->path;
    g_autoptr(HxDeadline) deadline = hx_deadline_new(connection->fd, connection->cancel, error);
    if (!deadline)
        return FALSE;
    hx_deadline_set(deadline, timeout);
    CURLcode result = curl_easy_perform(connection->curl);
    hx_deadline_set(deadline, 0);
    HxDeadlineState state = hx_deadline_state(deadline);
    if (state == HX_DEADLINE_CANCELLED && hx_is_cancelled(connection->cancel, error))
        return FALSE;
    long status = http_status(connection);
    if (state == HX_DEADLINE_PASSED) {
        g_set_error(error, HX_ERROR, HX_ERROR_TIMEOUT, "no answer to GET %s for %u s", path,
                    timeout);
        return FALSE;
    }
    if (result != CURLE_OK && status >= 300) {
        gboolean refused = status == 401 || status == 403; /* RFC 9110, 15.5 */
        g_set_error(error, HX_ERROR, refused ? HX_ERROR_ACCESS : HX_ERROR_PROTOCOL,
                    "GET %s was answered with HTTP status %ld", path, status);
    } else if (result != CURLE_OK) {
        g_set_error(error, HX_ERROR, is_lost(result) ? HX_ERROR_CONNECTION : HX_ERROR_PROTOCOL,
                    "GET %s failed: %s", path,
                    *connection->reason ? connection->reason : curl_easy_strerror(result));
    }
    return result == CURLE_OK;
}

static gboolean perform_to(HxStreamConnection *connection, guint timeout, GError **error)
{
    CURL *curl = connection->curl;
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)timeout);
    CURLcode result = curl_easy_perform(curl);
    /* From here on both are the viewer's. */
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, 0L);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 1L);
    if (result == CURLE_OK)
        return TRUE;
    if (hx_is_cancelled(connection->cancel, error))
        return FALSE;
    HxHelixFailure failure = {
        .result = result, .reason = connection->reason, .status = http_status(connection)};
    struct curl_header *redirect = NULL;
    curl_easy_getinfo(curl, CURLINFO_HTTP_CONNECTCODE, &failure.proxy_status);
    curl_easy_getinfo(curl, CURLINFO_SSL_VERIFYRESULT, &failure.verified);
    if (curl_easy_header(curl, "Location", 0, CURLH_HEADER, -1, &redirect) == CURLHE_OK)
        failure.redirect = redirect->value;
    hx_helix_set_error(connection->server, connection->path, &failure, error);
    return FALSE;
}

gboolean hx_stream_connection_perform(HxStreamConnection *connection, guint timeout, GError **error)
{
    return (connection->server ? perform_to : perform_on)(connection, timeout, error);
}
