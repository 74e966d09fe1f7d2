/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/download/url.h"

#include <curl/curl.h>
#include <string.h>

#include "launcher/base/error.h"

/* A part of @url as libcurl understands it, for curl_free; NULL where it has none. */
static char *part(const char *url, CURLUPart which, unsigned flags)
{
    CURLU *parsed = curl_url();
    char *text = NULL;
    if (parsed && curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK)
        curl_url_get(parsed, which, &text, flags);
    curl_url_cleanup(parsed);
    return text;
}

static gboolean has_part(const char *url, CURLUPart which)
{
    char *text = part(url, which, 0);
    gboolean there = text && *text;
    curl_free(text);
    return there;
}

gboolean hx_url_has_scheme(const char *url, const char *scheme)
{
    char *own = part(url, CURLUPART_SCHEME, 0);
    gboolean same = own && g_ascii_strcasecmp(own, scheme) == 0;
    curl_free(own);
    return same;
}

gboolean hx_url_check(const char *url, GError **error)
{
    const char *why = NULL;
    gboolean web = hx_url_has_scheme(url, "http") || hx_url_has_scheme(url, "https");
    if (!web && !hx_url_has_scheme(url, "file"))
        why = "it is no http, https or file URL";
    else if (web && !has_part(url, CURLUPART_HOST))
        why = "it has no host";
    else if (has_part(url, CURLUPART_USER) || has_part(url, CURLUPART_PASSWORD))
        why = "a user or password in it would be seen by others";
    if (!why)
        return TRUE;
    g_set_error(error, HX_ERROR, HX_ERROR_USAGE, "cannot use the URL \"%s\": %s", url, why);
    return FALSE;
}

char *hx_url_file_name(const char *url)
{
    char *path = part(url, CURLUPART_PATH, CURLU_URLDECODE);
    const char *slash = path ? strrchr(path, '/') : NULL;
    char *name = slash && slash[1] ? g_strdup(slash + 1) : NULL;
    curl_free(path);
    return name;
}

char *hx_url_without_query(const char *url)
{
    return g_strndup(url, strcspn(url, "?#"));
}
