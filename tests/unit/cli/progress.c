/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Phases on a narrow terminal: no word is broken. */
#include "cli/progress.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* What a phase with @detail looks like on a terminal of @columns, for g_free. */
static char *phase_on(guint columns, const char *detail)
{
    struct winsize size = {.ws_row = 24, .ws_col = columns};
    char name[64], text[4096];
    int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), saved = dup(STDERR_FILENO);
    g_assert_cmpint(grantpt(terminal) + unlockpt(terminal), ==, 0);
    g_assert_cmpint(ptsname_r(terminal, name, sizeof name), ==, 0);
    int end = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    g_assert_cmpint(ioctl(end, TIOCSWINSZ, &size), ==, 0);
    dup2(end, STDERR_FILENO);
    HxProgress *progress = hx_progress_new(FALSE);
    hx_progress_end(progress, "start (kvm)", 2.24, detail);
    hx_progress_free(progress);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(end);
    /* A read may return less than was written; behind the last of it comes EIO. */
    g_autoptr(GString) written = g_string_new(NULL);
    for (ssize_t n; (n = read(terminal, text, sizeof text)) > 0;)
        g_string_append_len(written, text, n);
    g_assert_cmpint(errno, ==, EIO);
    close(terminal);
    g_auto(GStrv) lines = g_strsplit(written->str, "\r\n", -1);
    return g_strjoinv("\n", lines);
}

static void test_widths(void)
{
    const char *detail = "left kvm: cannot open /dev/kvm: Permission denied";
    g_autofree char *wide = phase_on(80, detail);
    g_assert_cmpstr(
        wide, ==, "  start (kvm)       2.2 s  left kvm: cannot open /dev/kvm: Permission denied\n");
    g_autofree char *narrow = phase_on(60, detail);
    g_assert_cmpstr(narrow, ==,
                    "  start (kvm)       2.2 s  left kvm: cannot open /dev/kvm:\n"
                    "                           Permission denied\n");
    g_autofree char *least = phase_on(40, detail);
    g_assert_cmpstr(least, ==,
                    "  start (kvm)       2.2 s  \n"
                    "        left kvm: cannot open /dev/kvm:\n"
                    "        Permission denied\n");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/progress/widths", test_widths);
    return g_test_run();
}
