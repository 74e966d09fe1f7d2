/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/helix-error.h"

#include "launcher/base/error.h"

/* openssl/x509_vfy.h: libcurl hands them on. */
enum {
    UNSPECIFIED = 1, /* also libcurl's where the name does not fit, which it compares by itself */
    NOT_YET_VALID = 9,
    EXPIRED = 10,
    SELF_SIGNED = 18,
    SELF_SIGNED_IN_CHAIN = 19,
    NO_ISSUER_HERE = 20,
    NO_ISSUER = 21,
};

/* --- what the server answers --------------------------------------------------------------------
 */

static void set_redirect(const HxHelixServer *server, const HxHelixFailure *failure, GError **error)
{
    g_set_error(error, HX_ERROR, HX_ERROR_PROTOCOL,
                "the Helix server %s sends helixvm to %s (HTTP status %ld), which is not followed, "
                "as the key would go there: if that is the server, give its URL by --url",
                server->url, failure->redirect ? failure->redirect : "another place",
                failure->status);
}

static void set_status(const HxHelixServer *server, const char *path, const HxHelixFailure *failure,
                       GError **error)
{
    const char *url = server->url;
    switch (failure->status) {
    case 401:
        g_set_error(error, HX_ERROR, HX_ERROR_ACCESS,
                    "the Helix server %s does not know the key (HTTP status 401): take a valid one "
                    "from the account's settings in Helix to HELIX_API_KEY or --api-key-file",
                    url);
        return;
    case 403:
        g_set_error(error, HX_ERROR, HX_ERROR_ACCESS,
                    "the Helix server %s does not let this key view the session (HTTP status 403): "
                    "use the key of a user who may",
                    url);
        return;
    case 404:
        g_set_error(error, HX_ERROR, HX_ERROR_NOT_FOUND,
                    "the Helix server %s has no such session, GET %s (HTTP status 404): "
                    "see its id in Helix",
                    url, path);
        return;
    case 502:
    case 503:
    case 504:
        g_set_error(error, HX_ERROR, HX_ERROR_NOT_RUNNING,
                    "the Helix server %s does not reach the session's desktop (HTTP status %ld): "
                    "see in Helix whether it runs, start it there, and try again",
                    url, failure->status);
        return;
    default:
        if (failure->status / 100 == 3)
            set_redirect(server, failure, error);
        else
            g_set_error(error, HX_ERROR, HX_ERROR_PROTOCOL,
                        "%s answered GET %s with HTTP status %ld and no WebSocket: see that this "
                        "is a Helix server's URL, and in its log what failed",
                        url, path, failure->status);
    }
}

/* --- whether it is the server -------------------------------------------------------------------
 */

static void set_unknown_ca(const HxHelixServer *server, const char *reason, GError **error)
{
    if (server->ca_file)
        g_set_error(error, HX_ERROR, HX_ERROR_ACCESS,
                    "no CA in %s has signed the certificate of %s (%s): "
                    "give the certificate of the CA that has by --cacert",
                    server->ca_file, server->url, reason);
    else
        g_set_error(error, HX_ERROR, HX_ERROR_ACCESS,
                    "no CA that this host trusts has signed the certificate of %s (%s): where it "
                    "is a private one's, give the CA's certificate by --cacert FILE",
                    server->url, reason);
}

/* The key was not sent. */
static void set_untrusted(const HxHelixServer *server, const HxHelixFailure *failure,
                          GError **error)
{
    const char *url = server->url, *reason = failure->reason;
    switch (failure->verified) {
    case UNSPECIFIED:
        g_set_error(error, HX_ERROR, HX_ERROR_ACCESS,
                    "the certificate of %s is another host's (%s): "
                    "give the name by --url that the certificate is for",
                    url, reason);
        return;
    case NOT_YET_VALID:
        g_set_error(error, HX_ERROR, HX_ERROR_ACCESS,
                    "the certificate of %s is not valid yet (%s): see that this host's clock is "
                    "right, or have the server's operator replace it",
                    url, reason);
        return;
    case EXPIRED:
        g_set_error(error, HX_ERROR, HX_ERROR_ACCESS,
                    "the certificate of %s has expired (%s): see that this host's clock is right, "
                    "or have the server's operator renew it",
                    url, reason);
        return;
    case SELF_SIGNED:
    case SELF_SIGNED_IN_CHAIN:
    case NO_ISSUER_HERE:
    case NO_ISSUER:
        set_unknown_ca(server, reason, error);
        return;
    default:
        g_set_error(error, HX_ERROR, HX_ERROR_ACCESS,
                    "the certificate of %s is not good (%s): have the server's operator replace it",
                    url, reason);
    }
}

/* --- whether anything answers -------------------------------------------------------------------
 */

static void set_proxy(const HxHelixServer *server, const HxHelixFailure *failure, GError **error)
{
    g_set_error(error, HX_ERROR, HX_ERROR_CONNECTION,
                "the proxy that https_proxy names does not lead to %s (%s): see that it is right, "
                "or name the host in no_proxy",
                server->url, failure->reason);
}

static void set_unreached(const HxHelixServer *server, const HxHelixFailure *failure,
                          GError **error)
{
    const char *url = server->url, *reason = failure->reason;
    switch (failure->result) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        g_set_error(error, HX_ERROR, HX_ERROR_CONNECTION,
                    "the host of %s is not found (%s): see that the URL is right, and https_proxy "
                    "where a proxy is named, and that this host's DNS answers",
                    url, reason);
        return;
    case CURLE_COULDNT_CONNECT:
        g_set_error(error, HX_ERROR, HX_ERROR_CONNECTION,
                    "nothing answers at %s (%s): see that the Helix server runs, and that no "
                    "firewall is on the way",
                    url, reason);
        return;
    case CURLE_OPERATION_TIMEDOUT:
        g_set_error(error, HX_ERROR, HX_ERROR_TIMEOUT,
                    "%s does not answer (%s): see that the Helix server runs, and how it is "
                    "reached from here",
                    url, reason);
        return;
    case CURLE_SSL_CACERT_BADFILE:
        g_set_error(error, HX_ERROR, HX_ERROR_CONFIG,
                    "there is no certificate in %s (%s): give a file of PEM by --cacert",
                    server->ca_file ? server->ca_file : "the host's CA file", reason);
        return;
    case CURLE_SSL_CONNECT_ERROR:
        g_set_error(error, HX_ERROR, HX_ERROR_PROTOCOL,
                    "%s does not talk TLS as it should (%s): see that the URL and its port are "
                    "right",
                    url, reason);
        return;
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
        g_set_error(error, HX_ERROR, HX_ERROR_CONNECTION,
                    "%s closed the connection without an answer (%s): try again, and see in the "
                    "Helix server's log what failed",
                    url, reason);
        return;
    default:
        g_set_error(error, HX_ERROR, HX_ERROR_PROTOCOL,
                    "%s does not serve a WebSocket (%s): see that this is a Helix server's URL",
                    url, reason);
    }
}

void hx_helix_set_error(const HxHelixServer *server, const char *path,
                        const HxHelixFailure *failure, GError **error)
{
    HxHelixFailure known = *failure;
    if (!*known.reason)
        known.reason = curl_easy_strerror(known.result);
    if (known.result == CURLE_PEER_FAILED_VERIFICATION)
        set_untrusted(server, &known, error);
    else if (known.status >= 300)
        set_status(server, path, &known, error);
    else if (known.proxy_status >= 300)
        set_proxy(server, &known, error);
    else
        set_unreached(server, &known, error);
}
