/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm version: what runs here. */
#include <libvirt/libvirt.h>
#include <stdio.h>
#include <string.h>
#include <virgl-version.h>

#include "cli/json-print.h"
#include "cli/verb.h"
#include "launcher/base/architecture.h"
#include "launcher/base/json.h"
#include "launcher/doctor/trial.h"

#define QEMU_SECONDS 10

/* The version of the host's own QEMU, for g_free; NULL where there is none. */
static char *qemu_version(void)
{
    const HxArchitecture *architecture = hx_architecture_of_host();
    g_autofree char *program =
        g_strconcat("qemu-system-", architecture ? architecture->name : "x86_64", NULL);
    const char *const argv[] = {program, "--version", NULL};
    g_autoptr(HxTrial) trial = hx_trial_start(argv, NULL, NULL, NULL);
    if (!trial || !hx_trial_await(trial, NULL, QEMU_SECONDS, NULL))
        return NULL;
    g_auto(GStrv) words = g_regex_split_simple("version (\\S+)", hx_trial_output(trial), 0, 0);
    return g_strdup(words[1]);
}

/* Of the client's library, which is this process's; for g_free. */
static char *libvirt_version(void)
{
    unsigned long version = 0;
    virGetVersion(&version, NULL, NULL);
    return g_strdup_printf("%lu.%lu.%lu", version / 1000000, version / 1000 % 1000, version % 1000);
}

gboolean hx_verb_version(int argc, char **argv, GError **error)
{
    gboolean as_json = FALSE;
    const GOptionEntry options[] = {
        {"json", 0, 0, G_OPTION_ARG_NONE, &as_json, "print JSON", NULL},
        G_OPTION_ENTRY_NULL,
    };
    if (!hx_verb_parse("", options, &argc, &argv, 0, 0, error))
        return FALSE;
    g_autofree char *libvirt = libvirt_version();
    g_autofree char *qemu = qemu_version();
    /* The library does not tell its own: this is what helixvm was built with. */
    g_autofree char *virgl =
        g_strdup_printf("%d.%d.%d", VIRGL_MAJOR_VERSION, VIRGL_MINOR_VERSION, VIRGL_MICRO_VERSION);
    const struct {
        const char *name, *version;
    } rows[] = {
        {"helixvm", HELIXVM_VERSION},
        {"libvirt", libvirt},
        {"qemu", qemu},
        {"virglrenderer", virgl},
    };
    if (!as_json) {
        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
            printf("%s %s\n", rows[i].name, rows[i].version ? rows[i].version : "(not found)");
        return TRUE;
    }
    g_autoptr(JsonBuilder) builder = json_builder_new();
    json_builder_begin_object(builder);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        hx_json_add_string(builder, rows[i].name, rows[i].version);
    json_builder_end_object(builder);
    hx_json_print(builder);
    return TRUE;
}
