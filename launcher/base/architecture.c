/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/base/architecture.h"

#include <sys/utsname.h>

static const HxArchitecture architectures[] = {
    {"x86_64", "q35", "ttyS0", "amd64", "4f68bce3-e8cd-4db1-96e7-fbcaf984b709", FALSE},
    {"aarch64", "virt", "ttyAMA0", "arm64", "b921b045-1df0-41c3-af44-4c6f280d3fae", TRUE},
};

const HxArchitecture *hx_architecture(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(architectures); i++)
        if (g_str_equal(architectures[i].name, name))
            return &architectures[i];
    return NULL;
}

const HxArchitecture *hx_architecture_of_host(void)
{
    struct utsname host;
    if (uname(&host) < 0)
        return NULL;
    /* Darwin's name for it. */
    return hx_architecture(g_str_equal(host.machine, "arm64") ? "aarch64" : host.machine);
}

gboolean hx_accelerator_exists(const char *accelerator, const HxArchitecture *architecture)
{
    if (g_str_equal(accelerator, "tcg"))
        return TRUE;
#ifdef __APPLE__
    const char *own = "hvf";
#else
    const char *own = "kvm";
#endif
    return g_str_equal(accelerator, own) && architecture == hx_architecture_of_host();
}

char **hx_accelerators_here(char **accelerators, const HxArchitecture *architecture)
{
    g_autoptr(GStrvBuilder) here = g_strv_builder_new();
    for (char **accelerator = accelerators; *accelerator; accelerator++)
        if (hx_accelerator_exists(*accelerator, architecture))
            g_strv_builder_add(here, *accelerator);
    return g_strv_builder_end(here);
}
