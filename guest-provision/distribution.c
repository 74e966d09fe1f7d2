/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest-provision/distribution.h"

#include <stdio.h>
#include <string.h>

void hx_distribution_clear(HxDistribution *distribution)
{
    g_clear_pointer(&distribution->id, g_free);
    g_clear_pointer(&distribution->version, g_free);
    g_clear_pointer(&distribution->name, g_free);
}

/* The value of the last assignment to @key, as a shell would have it; for g_free, NULL: none. */
static char *value_of(const char *const *lines, const char *key)
{
    char *value = NULL;
    size_t length = strlen(key);
    for (; *lines; lines++) {
        if (!g_str_has_prefix(*lines, key) || (*lines)[length] != '=')
            continue;
        char *unquoted = g_shell_unquote(*lines + length + 1, NULL);
        if (!unquoted)
            continue;
        g_free(value);
        value = unquoted;
    }
    return value;
}

void hx_distribution_read(HxDistribution *distribution, const char *const *lines)
{
    hx_distribution_clear(distribution);
    distribution->id = value_of(lines, "ID");
    if (!distribution->id)
        distribution->id = g_strdup("linux");
    distribution->version = value_of(lines, "VERSION_ID");
    if (!distribution->version)
        distribution->version = g_strdup("");
    distribution->name = value_of(lines, "PRETTY_NAME");
    if (!distribution->name)
        distribution->name = g_strdup(distribution->id);
}

/* What the line of it in @table says behind its name; NULL: there is none. */
static const char *line_of(const HxDistribution *distribution, const char *const *table)
{
    g_autofree char *name = g_strdup_printf("%s %s", distribution->id, distribution->version);
    size_t length = strlen(name);
    for (; *table; table++)
        if (g_str_has_prefix(*table, name) && strchr(" ", (*table)[length]))
            return *table + length;
    return NULL;
}

gboolean hx_distribution_is_in(const HxDistribution *distribution, const char *const *table)
{
    return line_of(distribution, table) != NULL;
}

char *hx_distribution_version_of(const HxDistribution *distribution, const char *const *table,
                                 const char *what)
{
    const char *line = line_of(distribution, table);
    g_auto(GStrv) words = g_strsplit(line ? line : "", " ", -1);
    size_t length = strlen(what);
    for (char **word = words; *word; word++)
        if (g_str_has_prefix(*word, what) && (*word)[length] == '=')
            return g_strdup(*word + length + 1);
    return NULL;
}

int hx_version_compare(const char *a, const char *b)
{
    guint of_a[2] = {}, of_b[2] = {};
    sscanf(a, "%9u.%9u", &of_a[0], &of_a[1]);
    sscanf(b, "%9u.%9u", &of_b[0], &of_b[1]);
    int i = of_a[0] != of_b[0] ? 0 : 1;
    return (of_a[i] > of_b[i]) - (of_a[i] < of_b[i]);
}
