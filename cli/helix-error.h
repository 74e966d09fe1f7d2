/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What it means, and what to do, where a Helix server's WebSocket does not come to be. */
#pragma once

#include <curl/curl.h>
#include <glib.h>

#include "cli/helix-server.h"

/* How libcurl ended. */
typedef struct {
    CURLcode result;
    const char *reason;   /* libcurl's own, "" where it has none */
    long status;          /* HTTP's; 0: none came */
    long proxy_status;    /* the same of a proxy on the way */
    long verified;        /* OpenSSL's of the certificate, X509_V_ERR_… */
    const char *redirect; /* where the server sends us; NULL: nowhere */
} HxHelixFailure;

/* Set @error for @failure of "GET @path" of @server: HX_ERROR_NOT_FOUND (no such session),
 * HX_ERROR_ACCESS (the key, or the certificate), HX_ERROR_NOT_RUNNING (the desktop is not reached),
 * HX_ERROR_CONNECTION, HX_ERROR_TIMEOUT, HX_ERROR_CONFIG (--cacert), HX_ERROR_PROTOCOL. */
void hx_helix_set_error(const HxHelixServer *server, const char *path,
                        const HxHelixFailure *failure, GError **error);
