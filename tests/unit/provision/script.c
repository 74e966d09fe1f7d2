/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest-provision/script.h"

#include "launcher/base/process.h"

static void explains(const char *stderr_text, const char *expected)
{
    g_autofree char *why = hx_script_explain(stderr_text, "box");
    g_assert_cmpstr(why, ==, expected);
}

static void test_explain(void)
{
    explains("W: first\n"
             "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 1 (perl)\n"
             "E: Unable to acquire the dpkg frontend lock\n",
             "another apt or dpkg is at work in the guest: Could not get lock "
             "/var/lib/dpkg/lock-frontend. It is held by process 1 (perl): wait until that is "
             "through (`helixvm exec box -- ps -ef` shows it), then run this again");
    explains("mv: cannot move 'a' to 'b': No space left on device\n",
             "the guest's disk is full: mv: cannot move 'a' to 'b': No space left on device: make "
             "room there, or give it a larger one (`helixvm restart box --set disk.size=GIB`), "
             "then run this again");
    explains("E: Failed to fetch http://x/y  Temporary failure resolving 'x'\n"
             "E: Unable to fetch some archives\n",
             "the guest has no network to fetch packages by: Failed to fetch http://x/y  Temporary "
             "failure resolving 'x': mend that (`helixvm exec box -- ip address` shows it), then "
             "run this again");
    explains("first\nthe last line tells\n", "the last line tells");
    explains("alone", "alone");
    explains("\n", "it did not say why");
    explains("", "it did not say why");
}

/* Each script is one that sh can read: a mistake in it would show only in a guest. */
static void test_syntax(void)
{
    static const char *const scripts[] = {
        "detect.sh", "directories.sh", "packages.sh", "settle.sh",
        "user.sh",   "session.sh",     "verify.sh",
    };
    for (gsize i = 0; i < G_N_ELEMENTS(scripts); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *path = g_build_filename("guest-provision/steps", scripts[i], NULL);
        const char *argv[] = {"sh", "-n", path, NULL};
        hx_process_run(argv, NULL, NULL, &error);
        g_assert_no_error(error);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/script/explain", test_explain);
    g_test_add_func("/script/syntax", test_syntax);
    return g_test_run();
}
