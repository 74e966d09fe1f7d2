/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/download/transfer.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

#include "launcher/base/error.h"
#include "launcher/base/pause.h"
#include "launcher/download/url.h"

#define MAX_REDIRECTS 10
#define CONNECT_TIMEOUT 30
#define TICK_MS 1000
/* Below this a server counts as silent, bytes per second. */
#define SILENT_BELOW 1024
/* Of an error page or a redirect's body nobody reads more. */
#define IGNORED_MAX (1024 * 1024)

struct HxTransfer {
    CURLM *multi;
    CURL *easy;
    struct curl_slist *headers;
    char message[CURL_ERROR_SIZE];
    GByteArray *arrived; /* and not yet read */
    GByteArray *reading;
    guint64 ignored;
    gboolean over;
    CURLcode result; /* when it is over */
    HxTransferReply reply;
    void (*tick)(void *data);
    void *tick_data;
    GCancellable *cancellable;
};

void hx_transfer_free(HxTransfer *transfer)
{
    if (!transfer)
        return;
    if (transfer->easy && transfer->multi)
        curl_multi_remove_handle(transfer->multi, transfer->easy);
    curl_easy_cleanup(transfer->easy);
    curl_multi_cleanup(transfer->multi);
    curl_slist_free_all(transfer->headers);
    g_byte_array_unref(transfer->arrived);
    g_byte_array_unref(transfer->reading);
    g_free(transfer->reply.etag);
    g_free(transfer->reply.last_modified);
    g_free(transfer);
}

const HxTransferReply *hx_transfer_reply(const HxTransfer *transfer)
{
    return &transfer->reply;
}

/* --- running libcurl ------------------------------------------------------------------------- */

static long status_of(HxTransfer *transfer)
{
    long status = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    return status ? status : 200; /* a file has none */
}

static size_t take_body(char *bytes, size_t one, size_t n, void *data)
{
    HxTransfer *transfer = data;
    size_t size = one * n;
    long status = status_of(transfer);
    if (status == 200 || status == 206) {
        g_byte_array_append(transfer->arrived, (const guint8 *)bytes, size);
        return size;
    }
    transfer->ignored += size;
    return transfer->ignored > IGNORED_MAX ? CURL_WRITEFUNC_ERROR : size;
}

/* Run until bytes have arrived or the transfer is over. */
static gboolean run(HxTransfer *transfer, GError **error)
{
    GPollFD cancelled = {.fd = -1};
    gboolean pollable = g_cancellable_make_pollfd(transfer->cancellable, &cancelled);
    while (transfer->arrived->len == 0 && !transfer->over &&
           !g_cancellable_is_cancelled(transfer->cancellable)) {
        int running = 0, left = 0;
        CURLMcode r = curl_multi_perform(transfer->multi, &running);
        for (CURLMsg *m; (m = curl_multi_info_read(transfer->multi, &left));) {
            if (m->msg != CURLMSG_DONE)
                continue;
            transfer->over = TRUE;
            transfer->result = m->data.result;
        }
        if (r != CURLM_OK) {
            transfer->over = TRUE;
            transfer->result = CURLE_FAILED_INIT;
        }
        if (transfer->arrived->len > 0 || transfer->over)
            break;
        struct curl_waitfd wait = {.fd = cancelled.fd, .events = CURL_WAIT_POLLIN};
        curl_multi_poll(transfer->multi, &wait, pollable ? 1 : 0, TICK_MS, NULL);
        if (transfer->tick)
            transfer->tick(transfer->tick_data);
    }
    if (pollable)
        g_cancellable_release_fd(transfer->cancellable);
    return !hx_is_cancelled(transfer->cancellable, error);
}

/* Why libcurl gave up, and whether it may go better another time. */
static gboolean fail(HxTransfer *transfer, gboolean *ret_may_retry, GError **error)
{
    const char *reason =
        *transfer->message ? transfer->message : curl_easy_strerror(transfer->result);
    HxError code = HX_ERROR_FAILED;
    *ret_may_retry = FALSE;
    switch (transfer->result) {
    case CURLE_OPERATION_TIMEDOUT:
        code = HX_ERROR_TIMEOUT;
        *ret_may_retry = TRUE;
        break;
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
        code = HX_ERROR_PROTOCOL;
        *ret_may_retry = TRUE;
        break;
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_SSL_CONNECT_ERROR:
        *ret_may_retry = TRUE;
        break;
    case CURLE_FILE_COULDNT_READ_FILE:
        code = HX_ERROR_NOT_FOUND;
        break;
    case CURLE_PEER_FAILED_VERIFICATION:
        g_set_error(error, HX_ERROR, HX_ERROR_FAILED, "the server's certificate is not good: %s",
                    reason);
        return FALSE;
    default:
        break;
    }
    g_set_error(error, HX_ERROR, code, "%s", reason);
    return FALSE;
}

/* --- asking ---------------------------------------------------------------------------------- */

static void set_options(HxTransfer *transfer, const HxTransferOptions *options)
{
    CURL *easy = transfer->easy;
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->message);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 256L * 1024);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    /* Redirects are followed here, one by one. */
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https,file");
    curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, (long)MIN(CONNECT_TIMEOUT, options->timeout));
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, (long)SILENT_BELOW);
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long)options->timeout);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "helixvm/" HELIXVM_VERSION);
    const char *certificates = g_getenv("SSL_CERT_FILE");
    if (certificates && *certificates)
        curl_easy_setopt(easy, CURLOPT_CAINFO, certificates);
    if (options->offset == 0)
        return;
    g_autofree char *range = g_strdup_printf("%" G_GUINT64_FORMAT "-", options->offset);
    curl_easy_setopt(easy, CURLOPT_RANGE, range);
    if (options->if_range) {
        g_autofree char *header = g_strdup_printf("If-Range: %s", options->if_range);
        transfer->headers = curl_slist_append(NULL, header);
        curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->headers);
    }
}

/* Ask @url, until there is a reply of which the head is known. */
static gboolean ask(HxTransfer *transfer, const char *url, gboolean *ret_may_retry, GError **error)
{
    curl_multi_remove_handle(transfer->multi, transfer->easy);
    curl_easy_setopt(transfer->easy, CURLOPT_URL, url);
    transfer->over = FALSE;
    transfer->result = CURLE_OK;
    transfer->ignored = 0;
    *transfer->message = '\0';
    curl_multi_add_handle(transfer->multi, transfer->easy);
    if (!run(transfer, error))
        return FALSE;
    /* Where there is a head, or a part of a file, what broke off is for the reader to find. */
    long status = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    if (transfer->result != CURLE_OK && status == 0 && transfer->arrived->len == 0)
        return fail(transfer, ret_may_retry, error);
    return TRUE;
}

static gboolean may_redirect(const char *from, const char *to, GError **error)
{
    g_autoptr(GError) cause = NULL;
    if (!hx_url_check(to, &cause)) {
        g_set_error(error, HX_ERROR, HX_ERROR_PROTOCOL, "it redirects: %s", cause->message);
        return FALSE;
    }
    if (hx_url_has_scheme(to, "https") ||
        (hx_url_has_scheme(to, "http") && hx_url_has_scheme(from, "http")))
        return TRUE;
    g_set_error(error, HX_ERROR, HX_ERROR_PROTOCOL,
                "it redirects to %s, which is less safe and not followed", to);
    return FALSE;
}

static gboolean ask_where_it_is(HxTransfer *transfer, const char *url, gboolean *ret_may_retry,
                                GError **error)
{
    g_autofree char *at = g_strdup(url);
    for (int redirects = 0;; redirects++) {
        if (!ask(transfer, at, ret_may_retry, error))
            return FALSE;
        char *next = NULL;
        if (status_of(transfer) / 100 != 3)
            return TRUE;
        curl_easy_getinfo(transfer->easy, CURLINFO_REDIRECT_URL, &next);
        if (!next)
            return TRUE; /* 304 and such: the caller says what is wrong */
        if (redirects == MAX_REDIRECTS) {
            g_set_error(error, HX_ERROR, HX_ERROR_PROTOCOL, "it redirects more than %d times",
                        MAX_REDIRECTS);
            return FALSE;
        }
        if (!may_redirect(at, next, error))
            return FALSE;
        g_free(at);
        at = g_strdup(next);
    }
}

static char *header(HxTransfer *transfer, const char *name)
{
    struct curl_header *found = NULL;
    if (curl_easy_header(transfer->easy, name, 0, CURLH_HEADER, -1, &found) != CURLHE_OK)
        return NULL;
    return g_strdup(found->value);
}

static void read_reply(HxTransfer *transfer)
{
    HxTransferReply *reply = &transfer->reply;
    reply->status = status_of(transfer);
    reply->etag = header(transfer, "ETag");
    reply->last_modified = header(transfer, "Last-Modified");
    curl_off_t retry_after = 0, length = -1;
    curl_easy_getinfo(transfer->easy, CURLINFO_RETRY_AFTER, &retry_after);
    reply->retry_after = MAX(retry_after, 0);
    if (reply->status == 200) {
        curl_easy_getinfo(transfer->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
        reply->total = MAX(length, 0);
        return;
    }
    /* With the range that follows, or, where there is none, with "*" in its place: RFC 9110, 14.4.
     */
    g_autofree char *range = header(transfer, "Content-Range");
    unsigned long long start = 0, total = 0;
    if (range && sscanf(range, "bytes %llu-%*u/%llu", &start, &total) == 2)
        reply->has_range = TRUE;
    else if (range && sscanf(range, "bytes */%llu", &total) == 1)
        reply->has_range = TRUE;
    reply->start = start;
    reply->total = total;
}

HxTransfer *hx_transfer_new(const HxTransferOptions *options, gboolean *ret_may_retry,
                            GError **error)
{
    g_autoptr(HxTransfer) transfer = g_new0(HxTransfer, 1);
    *ret_may_retry = FALSE;
    curl_global_init(CURL_GLOBAL_DEFAULT); /* counts, and takes its own lock */
    transfer->multi = curl_multi_init();
    transfer->easy = curl_easy_init();
    transfer->arrived = g_byte_array_new();
    transfer->reading = g_byte_array_new();
    transfer->tick = options->tick;
    transfer->tick_data = options->tick_data;
    transfer->cancellable = options->cancellable;
    if (!transfer->multi || !transfer->easy) {
        g_set_error_literal(error, HX_ERROR, HX_ERROR_FAILED, "libcurl cannot start");
        return NULL;
    }
    set_options(transfer, options);
    if (!ask_where_it_is(transfer, options->url, ret_may_retry, error))
        return NULL;
    read_reply(transfer);
    return g_steal_pointer(&transfer);
}

gssize hx_transfer_read(HxTransfer *transfer, const void **ret_bytes, gboolean *ret_may_retry,
                        GError **error)
{
    *ret_may_retry = FALSE;
    if (!run(transfer, error))
        return -1;
    if (transfer->arrived->len == 0) {
        if (transfer->result == CURLE_OK)
            return 0;
        fail(transfer, ret_may_retry, error);
        return -1;
    }
    GByteArray *reading = transfer->reading;
    transfer->reading = transfer->arrived;
    transfer->arrived = reading;
    g_byte_array_set_size(reading, 0);
    *ret_bytes = transfer->reading->data;
    return transfer->reading->len;
}
