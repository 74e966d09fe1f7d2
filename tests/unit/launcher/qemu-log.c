/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is picked from QEMU's log when it has failed. */
#include "launcher/domain/qemu-log.h"

#define START                                                                                      \
    "2026-01-01 00:00:00.000+0000: starting up libvirt version: 11.3.0, qemu version: 10.0.13\n"   \
    "LC_ALL=C \\\n"                                                                                \
    "-blockdev '{\"werror\":\"error\"}' \\\n"                                                      \
    "-msg timestamp=on\n"

static void check(const char *text, const char *expected)
{
    g_autofree char *line = hx_qemu_log_error(text);
    g_assert_cmpstr(line, ==, expected);
}

static void test_picks(void)
{
    check("", NULL);
    check(START, NULL);
    check(START "qemu-system-x86_64: warning: something\n", NULL);
    check(START "qemu-system-x86_64: error: no such thing\nmore\n",
          "qemu-system-x86_64: error: no such thing");
    check(START "KVM internal error. Suberror: 1\nEAX=0\n", "KVM internal error. Suberror: 1");
    check(START "qemu-system-x86_64: ../system/physmem.c:2671: iotlb_to_section: Assertion "
                "`section_index < d->map.sections_nb' failed.\n"
                "2026-01-01 00:00:09.000+0000: shutting down, reason=crashed\n",
          "qemu-system-x86_64: ../system/physmem.c:2671: iotlb_to_section: Assertion "
          "`section_index < d->map.sections_nb' failed.");
    check(START "ERROR:../a.c:1:f: assertion failed: (x)\n",
          "ERROR:../a.c:1:f: assertion failed: (x)");
}

static void test_last_run_alone(void)
{
    check(START "first error\n" START, NULL);
    check(START "first error\n" START "second error\n", "second error");
}

static void test_hostile(void)
{
    check(START "error \033]0;title\a\xff!\n", "error ?]0;title?\xef\xbf\xbd!");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/qemu-log/picks", test_picks);
    g_test_add_func("/qemu-log/last-run-alone", test_last_run_alone);
    g_test_add_func("/qemu-log/hostile", test_hostile);
    return g_test_run();
}
