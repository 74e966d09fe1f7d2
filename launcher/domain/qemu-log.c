/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/domain/qemu-log.h"

#include <string.h>
#include <unistd.h>

#include "launcher/base/printable.h"

char *hx_qemu_log_path(const char *domain)
{
    g_autofree char *name = g_strdup_printf("%s.log", domain);
    return geteuid() == 0
               ? g_build_filename("/var/log/libvirt/qemu", name, NULL)
               : g_build_filename(g_get_user_cache_dir(), "libvirt/qemu/log", name, NULL);
}

static gboolean tells_of_failure(const char *line)
{
    if (g_str_has_suffix(line, "\\")) /* of QEMU's command line */
        return FALSE;
    g_autofree char *lower = g_ascii_strdown(line, -1);
    return g_str_has_prefix(line, "KVM") || strstr(lower, "error") || strstr(lower, "assertion");
}

char *hx_qemu_log_error(const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (guint i = g_strv_length(lines); i-- > 0;) {
        /* libvirt's word at the begin of a run: what is above is of an earlier one. */
        if (strstr(lines[i], ": starting up "))
            return NULL;
        if (!tells_of_failure(lines[i]))
            continue;
        return hx_printable(g_strstrip(lines[i]));
    }
    return NULL;
}
