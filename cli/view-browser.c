/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/view-browser.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <string.h>
#include <unistd.h>

#include "launcher/base/directories.h"
#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "launcher/base/file-lock.h"
#include "launcher/base/process.h"

#define OPENER "xdg-open"

struct HxViewBrowser {
    char *path; /* of the file that leads to the URL; */
    int fd;     /* locked for as long as this one is there */
    guint reaper;
};

static gboolean is_set(const char *variable)
{
    const char *value = g_getenv(variable);
    return value && *value;
}

gboolean hx_view_browser_is_there(void)
{
    g_autofree char *opener = g_find_program_in_path(OPENER);
    return opener && (is_set("WAYLAND_DISPLAY") || is_set("DISPLAY"));
}

/* The first that no other one has: what one that was killed has left is taken again. */
static int lock_file(HxViewBrowser *browser, const char *directory)
{
    int fd = -EWOULDBLOCK;
    for (guint i = 0; fd == -EWOULDBLOCK; i++) {
        g_free(browser->path);
        browser->path = g_strdup_printf("%s/view-%u.html", directory, i);
        fd = hx_lock_file(browser->path);
    }
    return fd;
}

/* A file of mode 0600 in helixvm's directory that holds @html alone. */
static gboolean write_file(HxViewBrowser *browser, const char *html, GError **error)
{
    g_autofree char *directory = hx_runtime_directory(error);
    if (!directory)
        return FALSE;
    browser->fd = lock_file(browser, directory);
    int r = browser->fd < 0                 ? browser->fd
            : ftruncate(browser->fd, 0) < 0 ? -errno
                                            : hx_write_all(browser->fd, html, strlen(html));
    if (r == 0)
        return TRUE;
    hx_set_error_errno(error, HX_ERROR_HOST, -r, "cannot write %s, which leads the browser",
                       browser->path);
    return FALSE;
}

static void reaped(GPid pid, int status, void *data)
{
    ((HxViewBrowser *)data)->reaper = 0;
}

HxViewBrowser *hx_view_browser_open(const char *url, GError **error)
{
    g_autoptr(HxViewBrowser) browser = g_new0(HxViewBrowser, 1);
    browser->fd = -1;
    g_autofree char *html =
        g_strdup_printf("<!doctype html><meta http-equiv=refresh content='0; url=%s'>"
                        "<title>helixvm view</title><a href='%s'>To the desktop</a>\n",
                        url, url);
    if (!write_file(browser, html, error))
        return NULL;
    const char *const argv[] = {OPENER, browser->path, NULL};
    hx_autofd int silent = open("/dev/null", O_WRONLY | O_CLOEXEC);
    const HxProcess process = {.argv = argv,
                               .stdin_fd = -1,
                               .stdout_fd = -1,
                               .stderr_fd = silent,
                               .own_session = TRUE,
                               .outlives_parent = TRUE};
    pid_t pid = hx_process_spawn(&process, error);
    if (pid < 0)
        return NULL;
    browser->reaper = g_child_watch_add(pid, reaped, browser);
    return g_steal_pointer(&browser);
}

void hx_view_browser_free(HxViewBrowser *browser)
{
    if (!browser)
        return;
    g_clear_handle_id(&browser->reaper, g_source_remove);
    if (browser->fd >= 0) {
        unlink(browser->path);
        close(browser->fd);
    }
    g_free(browser->path);
    g_free(browser);
}
