/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Phases on a narrow terminal: no word is broken. */
#include "cli/progress.h"

#include "tests/fakes/cli-stderr.h"

static void show(void *detail)
{
    HxProgress *progress = hx_progress_new(FALSE);
    hx_progress_end(progress, "start (kvm)", 2.24, detail);
    hx_progress_free(progress);
}

/* What a phase with @detail looks like on a terminal of @columns, for g_free. */
static char *phase_on(guint columns, const char *detail)
{
    g_autofree char *written = test_stderr_of(columns, show, (void *)detail);
    g_auto(GStrv) lines = g_strsplit(written, "\r\n", -1);
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
