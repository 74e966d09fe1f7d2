/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which accelerators a host may have. */
#include "launcher/base/architecture.h"

/* One that cannot be here is not the last resort: that is the last one that can. */
static void test_here(void)
{
    char *wanted[] = {"tcg", "kvm", "hvf", "none", NULL};
    g_auto(GStrv) here = hx_accelerators_here(wanted, hx_architecture_of_host());
#ifdef __linux__
    const char *const expected[] = {"tcg", "kvm", NULL};
#else
    const char *const expected[] = {"tcg", "hvf", NULL};
#endif
    g_assert_true(g_strv_equal((const char *const *)here, expected));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/architecture/accelerators-here", test_here);
    return g_test_run();
}
