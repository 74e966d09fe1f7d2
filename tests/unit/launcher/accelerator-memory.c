/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is remembered of an accelerator, for how long, and under which conditions. */
#include "launcher/host/accelerator-memory.h"

#include <glib/gstdio.h>

#define NOW 1000000

static char *recall(const char *accelerator, const char *conditions, gint64 now)
{
    gint64 age = -1;
    char *reason = hx_accelerator_recall(accelerator, conditions, now, &age);
    if (reason)
        g_assert_cmpint(age, ==, now - NOW);
    return reason;
}

static void check(const char *accelerator, const char *conditions, gint64 now, const char *expected)
{
    g_autofree char *reason = recall(accelerator, conditions, now);
    g_assert_cmpstr(reason, ==, expected);
}

static void test_memory(void)
{
    g_autofree char *directory = g_dir_make_tmp("helixvm-memory-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(directory, ".accelerators", NULL);
    g_setenv("HELIXVM_RUNTIME_DIR", directory, TRUE);
    check("kvm", "a", NOW, NULL);
    hx_accelerator_remember("kvm", "a", NOW, "it said:\nno; [x]=y");
    hx_accelerator_remember("hvf", "b", NOW, "other");
    check("kvm", "a", NOW, "it said:\nno; [x]=y");
    check("kvm", "a", NOW + HX_ACCELERATOR_MEMORY_S - 1, "it said:\nno; [x]=y");
    check("kvm", "a", NOW + HX_ACCELERATOR_MEMORY_S, NULL);
    check("kvm", "a", NOW - 1, NULL); /* the clock was set back */
    check("kvm", "b", NOW, NULL);
    check("hvf", "b", NOW, "other");
    check("tcg", "a", NOW, NULL);
    g_assert_true(g_file_set_contents(path, "no key file", -1, NULL));
    check("kvm", "a", NOW, NULL);
    g_unlink(path);
    g_rmdir(directory);
}

static void test_conditions(void)
{
    g_autofree char *one = hx_accelerator_conditions("null", 10000013);
    g_autofree char *same = hx_accelerator_conditions("null", 10000013);
    g_autofree char *other_version = hx_accelerator_conditions("null", 10000014);
    g_autofree char *other_device = hx_accelerator_conditions("no-such-device", 10000013);
    g_assert_cmpstr(one, ==, same);
    g_assert_cmpstr(one, !=, other_version);
    g_assert_cmpstr(one, !=, other_device);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/accelerator-memory/memory", test_memory);
    g_test_add_func("/accelerator-memory/conditions", test_conditions);
    return g_test_run();
}
