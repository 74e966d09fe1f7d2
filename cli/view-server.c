/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/view-server.h"

#include <string.h>

#include "cli/stream-client.h"
#include "cli/view-door.h"
#include "launcher/base/error.h"
#include "launcher/base/json.h"

#define ANSWER_SECONDS 10
/* A session takes no more viewers (guest-provision/session/server.c); what asks for statistics
 * counts here, too. */
#define BUSY_MAX 32

struct HxViewServer {
    SoupServer *soup;
    HxViewDoor *door;
    HxViewSource source;
    char *page;
    GCancellable *cancel;
    guint busy; /* viewers, and questions for statistics */
};

/* --- pages --------------------------------------------------------------------------------------
 */

#define NOTICE                                                                                     \
    "<!doctype html><html lang=en><meta charset=utf-8>"                                            \
    "<meta name=viewport content='width=device-width'><title>%s</title>"                           \
    "<style>html{color-scheme:dark;background:#14171c;color:#e4e8ee;font:1rem/1.5 system-ui,"      \
    "sans-serif}body{max-width:34rem;margin:15vh auto;padding:0 1.5rem}h1{font-size:1.25rem}"      \
    "code{color:#9cc8ff}</style><h1>%s</h1><p>%s</p></html>"

/* Of the text between each "<@tag>" and "</@tag>" of @html: what a Content-Security-Policy names it
 * by (CSP 3, 2.3.1), with a space before each. */
static void append_hashes(GString *policy, const char *html, const char *tag)
{
    g_autofree char *begin = g_strdup_printf("<%s>", tag), *end = g_strdup_printf("</%s>", tag);
    for (const char *at = html; (at = strstr(at, begin));) {
        at += strlen(begin);
        const char *until = strstr(at, end);
        g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
        g_checksum_update(sum, (const guchar *)at, until ? until - at : -1);
        guint8 digest[32];
        gsize size = sizeof digest;
        g_checksum_get_digest(sum, digest, &size);
        g_autofree char *hash = g_base64_encode(digest, size);
        g_string_append_printf(policy, " 'sha256-%s'", hash);
    }
}

/* Nothing but the page's own script and style, and what this server has. */
static char *policy_of(const HxViewServer *server, const char *html)
{
    g_autoptr(GString) policy = g_string_new("default-src 'none'; base-uri 'none'; "
                                             "form-action 'none'; frame-ancestors 'none'; ");
    g_string_append_printf(policy, "connect-src 'self' ws%s; img-src data:; script-src",
                           hx_view_door_origin(server->door) + strlen("http"));
    append_hashes(policy, html, "script");
    g_string_append(policy, "; style-src");
    append_hashes(policy, html, "style");
    return g_string_free(g_steal_pointer(&policy), FALSE);
}

static void answer(const HxViewServer *server, SoupServerMessage *message, guint status,
                   const char *type, const char *body)
{
    SoupMessageHeaders *headers = soup_server_message_get_response_headers(message);
    g_autofree char *policy = policy_of(server, body);
    soup_message_headers_replace(headers, "Content-Security-Policy", policy);
    soup_message_headers_replace(headers, "Cache-Control", "no-store");
    soup_message_headers_replace(headers, "X-Content-Type-Options", "nosniff");
    soup_message_headers_replace(headers, "Referrer-Policy", "no-referrer");
    soup_message_headers_replace(headers, "Cross-Origin-Resource-Policy", "same-origin");
    soup_message_headers_replace(headers, "Cross-Origin-Opener-Policy", "same-origin");
    soup_server_message_set_status(message, status, NULL);
    soup_server_message_set_response(message, type, SOUP_MEMORY_COPY, body, strlen(body));
}

static void answer_notice(const HxViewServer *server, SoupServerMessage *message, guint status,
                          const char *title, const char *text)
{
    g_autofree char *html = g_strdup_printf(NOTICE, title, title, text);
    answer(server, message, status, "text/html; charset=utf-8", html);
}

/* Not by a redirect: whatever led to this server, the page itself is then asked for by a page of
 * this server, which a cookie that is SameSite=Strict needs, also where it is loaded again. */
static void let_in(const HxViewServer *server, SoupServerMessage *message)
{
    SoupMessageHeaders *headers = soup_server_message_get_response_headers(message);
    const char *folder = hx_view_door_folder(server->door);
    soup_message_headers_append(headers, "Set-Cookie", hx_view_door_cookie(server->door));
    g_autofree char *refresh = g_strdup_printf("0; url=%s", folder);
    soup_message_headers_append(headers, "Refresh", refresh);
    g_autofree char *text = g_strdup_printf("<a href=\"%s\">To the desktop</a>", folder);
    answer_notice(server, message, SOUP_STATUS_OK, "helixvm view", text);
}

/* --- statistics ---------------------------------------------------------------------------------
 */

typedef struct {
    HxViewServer *server;
    SoupServerMessage *message;
} Question;

static void question_answered(GObject *nothing, GAsyncResult *result, void *data)
{
    g_autofree Question *question = data;
    g_autofree char *text = g_task_propagate_pointer(G_TASK(result), NULL);
    answer(question->server, question->message, text ? SOUP_STATUS_OK : SOUP_STATUS_NO_CONTENT,
           "application/json", text ? text : "");
    soup_server_message_unpause(question->message);
    g_object_unref(question->message);
    question->server->busy--;
}

/* A guest's answer is passed on where it is an object, as JSON that is written anew. */
static void ask_session(GTask *task, void *nothing, void *data, GCancellable *cancel)
{
    const HxViewSource *source = data;
    g_autoptr(GError) error = NULL;
    int fd = source->connect(source->data, cancel, &error);
    g_autofree char *text =
        fd >= 0 ? hx_stream_get(fd, "/statistics", ANSWER_SECONDS, cancel, &error) : NULL;
    g_autoptr(JsonObject) object = text ? hx_json_parse_object(text, -1) : NULL;
    if (!object) {
        g_task_return_pointer(task, NULL, NULL);
        return;
    }
    g_autoptr(JsonNode) node = json_node_init_object(json_node_alloc(), object);
    g_task_return_pointer(task, json_to_string(node, FALSE), g_free);
}

static void answer_statistics(HxViewServer *server, SoupServerMessage *message)
{
    Question *question = g_new(Question, 1);
    *question = (Question){server, g_object_ref(message)};
    soup_server_message_pause(message);
    server->busy++;
    g_autoptr(GTask) task = g_task_new(NULL, server->cancel, question_answered, question);
    g_task_set_task_data(task, &server->source, NULL);
    g_task_run_in_thread(task, ask_session);
}

/* --- requests -----------------------------------------------------------------------------------
 */

static void viewer_gone(void *server)
{
    ((HxViewServer *)server)->busy--;
}

static HxViewRequest request_of(SoupServerMessage *message, const char *path)
{
    SoupMessageHeaders *headers = soup_server_message_get_request_headers(message);
    return (HxViewRequest){
        .method = soup_server_message_get_method(message),
        .path = path,
        .query = g_uri_get_query(soup_server_message_get_uri(message)),
        .host = soup_message_headers_get_one(headers, "Host"),
        .origin = soup_message_headers_get_one(headers, "Origin"),
        .cookie = soup_message_headers_get_list(headers, "Cookie"),
        .upgrade = soup_message_headers_header_equals(headers, "Upgrade", "websocket"),
    };
}

static gboolean is_busy(const HxViewServer *server, SoupServerMessage *message)
{
    if (server->busy < BUSY_MAX)
        return FALSE;
    answer_notice(server, message, SOUP_STATUS_SERVICE_UNAVAILABLE, "Too many viewers",
                  "Close one of the pages that show this desktop.");
    return TRUE;
}

static void on_request(SoupServer *soup, SoupServerMessage *message, const char *path,
                       GHashTable *query, void *data)
{
    HxViewServer *server = data;
    HxViewRequest request = request_of(message, path);
    switch (hx_view_door_ask(server->door, &request)) {
    case HX_VIEW_ENTER:
        let_in(server, message);
        break;
    case HX_VIEW_PAGE:
        answer(server, message, SOUP_STATUS_OK, "text/html; charset=utf-8", server->page);
        break;
    case HX_VIEW_STATISTICS:
        if (!is_busy(server, message))
            answer_statistics(server, message);
        break;
    case HX_VIEW_STREAM:
        if (is_busy(server, message))
            break;
        server->busy++;
        hx_view_viewer_start(message, server->source.connect, server->source.data, server->cancel,
                             viewer_gone, server);
        break;
    case HX_VIEW_USED:
        answer_notice(server, message, SOUP_STATUS_FORBIDDEN, "This link has been used",
                      "It lets one browser in, once. There the page can be loaded again; for "
                      "another browser end <code>helixvm view</code> and start it anew, which "
                      "prints a new link.");
        break;
    case HX_VIEW_STRANGER:
        answer_notice(server, message, SOUP_STATUS_FORBIDDEN, "This link does not let you in",
                      "Open the link that <code>helixvm view</code> printed, as a whole. Where it "
                      "has been used, start <code>helixvm view</code> anew.");
        break;
    case HX_VIEW_NOTHING:
        answer_notice(server, message, SOUP_STATUS_NOT_FOUND, "There is no such page",
                      "<code>helixvm view</code> serves one page, at the link it printed.");
        break;
    case HX_VIEW_METHOD:
        soup_message_headers_replace(soup_server_message_get_response_headers(message), "Allow",
                                     "GET");
        answer_notice(server, message, SOUP_STATUS_METHOD_NOT_ALLOWED, "This is only to be read",
                      "Ask with GET.");
        break;
    }
}

/* Nobody has anything to send: it is not gathered in memory. */
static void forget_body(SoupServer *soup, SoupServerMessage *message, const char *path,
                        GHashTable *query, void *data)
{
    soup_message_body_set_accumulate(soup_server_message_get_request_body(message), FALSE);
}

/* --- beginning and end --------------------------------------------------------------------------
 */

static char *fill_in(const HxViewSource *source)
{
    g_autofree char *vm = g_markup_escape_text(source->vm, -1);
    g_autofree char *session = g_markup_escape_text(source->session, -1);
    g_autoptr(GString) page = g_string_new(source->page);
    g_string_replace(page, "@VM@", vm, 0);
    g_string_replace(page, "@SESSION@", session, 0);
    return g_string_free(g_steal_pointer(&page), FALSE);
}

/* Of 127.0.0.1; 0 with @error. */
static guint16 listen_locally(SoupServer *soup, GError **error)
{
    g_autoptr(GSocketAddress) address = g_inet_socket_address_new_from_string("127.0.0.1", 0);
    g_autoptr(GError) cause = NULL;
    if (!soup_server_listen(soup, address, 0, &cause)) {
        g_set_error(error, HX_ERROR, HX_ERROR_HOST, "cannot listen on 127.0.0.1: %s",
                    cause->message);
        return 0;
    }
    GSList *uris = soup_server_get_uris(soup);
    int port = g_uri_get_port(uris->data);
    g_slist_free_full(uris, (GDestroyNotify)g_uri_unref);
    return (guint16)port;
}

HxViewServer *hx_view_server_new(const HxViewSource *source, GError **error)
{
    g_autoptr(HxViewServer) server = g_new0(HxViewServer, 1);
    server->source = *source;
    server->cancel = g_cancellable_new();
    server->page = fill_in(source);
    server->soup = soup_server_new(NULL, NULL);
    guint16 port = listen_locally(server->soup, error);
    server->door = port ? hx_view_door_new(port, error) : NULL;
    if (!server->door)
        return NULL;
    soup_server_add_early_handler(server->soup, NULL, forget_body, NULL, NULL);
    soup_server_add_handler(server->soup, NULL, on_request, server, NULL);
    return g_steal_pointer(&server);
}

const char *hx_view_server_link(const HxViewServer *server)
{
    return hx_view_door_link(server->door);
}

void hx_view_server_free(HxViewServer *server)
{
    if (!server)
        return;
    g_cancellable_cancel(server->cancel);
    soup_server_disconnect(server->soup);
    while (server->busy > 0)
        g_main_context_iteration(g_main_context_get_thread_default(), TRUE);
    g_object_unref(server->soup);
    g_clear_pointer(&server->door, hx_view_door_free);
    g_object_unref(server->cancel);
    g_free(server->page);
    g_free(server);
}
