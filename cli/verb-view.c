/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm view: a session's desktop in the browser. */
#include <stdio.h>

#include "cli/json-print.h"
#include "cli/verb.h"
#include "cli/view-browser.h"
#include "cli/view-server.h"
#include "cli/view-vm.h"
#include "launcher/base/error.h"
#include "launcher/base/parts.h"

static char *read_page(GError **error)
{
    g_autofree char *path = hx_data_path("cli/view.html", error);
    g_autoptr(GError) cause = NULL;
    char *page = NULL;
    if (!path || g_file_get_contents(path, &page, NULL, &cause))
        return page;
    g_set_error(error, HX_ERROR, HX_ERROR_HOST, "the page of `helixvm view`: %s", cause->message);
    return NULL;
}

static void print_link(const HxViewSource *source, const char *url, gboolean as_json)
{
    if (as_json) {
        g_autoptr(JsonBuilder) builder = json_builder_new();
        json_builder_begin_object(builder);
        hx_json_add_string(builder, "vm", source->vm);
        hx_json_add_string(builder, "session", source->session);
        hx_json_add_string(builder, "url", url);
        json_builder_end_object(builder);
        hx_json_print(builder);
    } else {
        printf("VM \"%s\": session %s is at %s\n", source->vm, source->session, url);
    }
    fflush(stdout); /* read while this goes on */
}

/* The browser, where there is one; and what is to be known. */
static HxViewBrowser *open_browser(const char *url, gboolean wanted, gboolean quiet)
{
    g_autoptr(GError) error = NULL;
    HxViewBrowser *browser =
        wanted && hx_view_browser_is_there() ? hx_view_browser_open(url, &error) : NULL;
    if (error)
        fprintf(stderr, "helixvm: warning: no browser: %s\n", error->message);
    if (!quiet)
        fprintf(stderr, "%s; the link lets one browser in, once; Ctrl-C ends it\n",
                browser ? "opening the browser" : "open it in a browser of this machine");
    return browser;
}

static gboolean end_loop(GCancellable *cancel, void *loop)
{
    g_main_loop_quit(loop);
    return G_SOURCE_REMOVE;
}

static void run_until(GCancellable *cancel)
{
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
    g_autoptr(GSource) interrupt = g_cancellable_source_new(cancel);
    g_source_set_callback(interrupt, G_SOURCE_FUNC(end_loop), loop, NULL);
    g_source_attach(interrupt, NULL);
    g_main_loop_run(loop);
}

gboolean hx_verb_view(int argc, char **argv, GError **error)
{
    g_autofree char *named = NULL;
    gboolean no_browser = FALSE, as_json = FALSE;
    const GOptionEntry options[] = {
        {"session", 0, 0, G_OPTION_ARG_STRING, &named, "the session (default: desktop)", "SESSION"},
        {"no-browser", 0, 0, G_OPTION_ARG_NONE, &no_browser, "print the link alone", NULL},
        {"json", 0, 0, G_OPTION_ARG_NONE, &as_json, "print the link as JSON", NULL},
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(HxVm) vm = hx_verb_parse_vm(options, &argc, &argv, error);
    g_autofree char *page = vm ? read_page(error) : NULL;
    if (!page)
        return FALSE;
    const char *session = named ? named : "desktop";
    g_autoptr(HxViewVm) at = hx_view_vm_new(vm, session, error);
    if (!at)
        return FALSE;
    const HxViewSource source = {.vm = hx_vm_name(vm),
                                 .session = session,
                                 .page = page,
                                 .connect = hx_view_vm_connect,
                                 .data = at};
    g_autoptr(HxViewServer) server = hx_view_server_new(&source, error);
    if (!server)
        return FALSE;
    const char *url = hx_view_server_link(server);
    print_link(&source, url, as_json);
    g_autoptr(HxViewBrowser) browser = open_browser(url, !no_browser, as_json);
    run_until(hx_verb_cancellable());
    return TRUE;
}
