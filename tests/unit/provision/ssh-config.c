/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What ssh(1) itself reads from the section. */
#include "guest-provision/ssh-config.h"

#include <glib/gstdio.h>
#include <string.h>

#include "launcher/base/error.h"
#include "launcher/base/process.h"

/* What `ssh -G helixvm-box` says of @login and @proxy. */
static char *read_by_ssh(const HxSshLogin *login, const char *const *proxy)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *directory = g_dir_make_tmp("helixvm-ssh-config-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(directory, "config", NULL);
    g_autofree char *text = hx_ssh_config(login, proxy, &error);
    g_assert_no_error(error);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    const char *argv[] = {"ssh", "-G", "-F", path, "helixvm-box", NULL};
    char *read = NULL;
    hx_process_run(argv, &read, NULL, &error);
    g_assert_no_error(error);
    g_unlink(path);
    g_rmdir(directory);
    return read;
}

static void assert_has(const char *text, const char *line)
{
    g_autofree char *all = g_strdup_printf("\n%s\n", line);
    if (!strstr(text, all))
        g_error("no line \"%s\" in:\n%s", line, text);
}

static void test_plain(void)
{
    HxSshLogin login = {.vm = "box", .identity = "/s/id", .known_hosts = "/s/known"};
    const char *proxy[] = {"/bin/helixvm", "proxy", "--fdpass", "box", NULL};
    g_autofree char *read = read_by_ssh(&login, proxy);
    assert_has(read, "user root");
    assert_has(read, "identityfile /s/id");
    assert_has(read, "userknownhostsfile /s/known");
    assert_has(read, "proxycommand /bin/helixvm proxy --fdpass box");
    assert_has(read, "proxyusefdpass yes");
    assert_has(read, "stricthostkeychecking true");
    assert_has(read, "identitiesonly yes");
    assert_has(read, "hostkeyalias " HX_SSH_HOST_ALIAS);
}

/* Blanks, quotes and "%" in a path stay what they are. */
static void test_odd_paths(void)
{
    HxSshLogin login = {
        .vm = "box", .user = "me", .identity = "/a b/50%d \"id\"", .known_hosts = "/a b/50%d"};
    const char *proxy[] = {"/a b/50%n/it's", "proxy", NULL};
    g_autofree char *read = read_by_ssh(&login, proxy);
    assert_has(read, "user me");
    assert_has(read, "identityfile /a b/50%%d \"id\"");
    assert_has(read, "proxycommand '/a b/50%%n/it'\\''s' proxy");
    assert_has(read, "userknownhostsfile /a b/50%d");
}

static void test_impossible(void)
{
    static const char *const paths[] = {"/a\nb", "/${HOME}/x"};
    const char *proxy[] = {"/bin/helixvm", NULL};
    for (size_t i = 0; i < G_N_ELEMENTS(paths); i++) {
        g_autoptr(GError) error = NULL;
        HxSshLogin login = {.vm = "box", .identity = paths[i], .known_hosts = "/k"};
        g_assert_null(hx_ssh_config(&login, proxy, &error));
        g_assert_error(error, HX_ERROR, HX_ERROR_HOST);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ssh-config/plain", test_plain);
    g_test_add_func("/ssh-config/odd-paths", test_odd_paths);
    g_test_add_func("/ssh-config/impossible", test_impossible);
    return g_test_run();
}
