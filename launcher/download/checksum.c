/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/download/checksum.h"

#include <string.h>

#include "launcher/base/error.h"

#define HEX_DIGITS "0123456789abcdefABCDEF"

static const struct {
    GChecksumType type;
    const char *prefix;   /* of our text */
    const char *bsd_name; /* in a list */
    gsize digits;
} kinds[] = {
    {G_CHECKSUM_SHA256, "sha256:", "SHA256", 64},
    {G_CHECKSUM_SHA512, "sha512:", "SHA512", 128},
};

/* "sha256:HEX" where the @length characters at @hex are a checksum's digits, else NULL. */
static char *from_digits(const char *hex, gsize length)
{
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
        if (length == kinds[i].digits && strspn(hex, HEX_DIGITS) >= length) {
            g_autofree char *digits = g_ascii_strdown(hex, length);
            return g_strconcat(kinds[i].prefix, digits, NULL);
        }
    return NULL;
}

char *hx_checksum_new(GChecksumType type, const char *hex, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (kinds[i].type != type)
            continue;
        char *checksum = strlen(hex) == kinds[i].digits ? from_digits(hex, kinds[i].digits) : NULL;
        if (!checksum)
            g_set_error(error, HX_ERROR, HX_ERROR_USAGE,
                        "\"%s\" is no %s checksum, which has %u hexadecimal digits", hex,
                        kinds[i].bsd_name, (unsigned)kinds[i].digits);
        return checksum;
    }
    g_return_val_if_reached(NULL);
}

GChecksumType hx_checksum_type(const char *checksum)
{
    return g_str_has_prefix(checksum, "sha512:") ? G_CHECKSUM_SHA512 : G_CHECKSUM_SHA256;
}

/* "SHA256 (NAME) = HEX" */
static char *from_bsd_line(const char *line, const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_autofree char *start = g_strdup_printf("%s (%s) = ", kinds[i].bsd_name, name);
        if (g_str_has_prefix(line, start)) {
            const char *hex = line + strlen(start);
            return strlen(hex) == kinds[i].digits ? from_digits(hex, kinds[i].digits) : NULL;
        }
    }
    return NULL;
}

/* "HEX  NAME", with "*" before the name of a binary file, and perhaps "./" */
static char *from_gnu_line(const char *line, const char *name)
{
    gsize digits = strspn(line, HEX_DIGITS);
    const char *rest = line + digits;
    if (*rest != ' ' || (rest[1] != ' ' && rest[1] != '*'))
        return NULL;
    rest += 2;
    if (g_str_has_prefix(rest, "./"))
        rest += 2;
    return g_str_equal(rest, name) ? from_digits(line, digits) : NULL;
}

/* The list is one checksum, without a name. */
static char *from_lone_line(const char *line)
{
    return from_digits(line, strlen(line));
}

static gboolean take(char **found, char *checksum)
{
    g_autofree char *next = checksum;
    if (!next)
        return TRUE;
    if (*found && hx_checksum_type(*found) == hx_checksum_type(next))
        return g_str_equal(*found, next);
    if (!*found || hx_checksum_type(next) == G_CHECKSUM_SHA512) {
        g_free(*found);
        *found = g_steal_pointer(&next);
    }
    return TRUE;
}

char *hx_checksum_find(const char *text, gsize length, const char *name, GError **error)
{
    g_autofree char *copy = g_strndup(text, length);
    g_auto(GStrv) lines = g_strsplit(copy, "\n", -1);
    g_autofree char *found = NULL;
    g_autofree char *lone = NULL;
    guint n_lines = 0;
    for (char **each = lines; *each; each++) {
        char *line = g_strchomp(*each); /* also of "\r" */
        if (!*line)
            continue;
        n_lines++;
        if (n_lines == 1)
            lone = from_lone_line(line);
        char *checksum = from_bsd_line(line, name) ?: from_gnu_line(line, name);
        if (!take(&found, checksum)) {
            g_set_error(error, HX_ERROR, HX_ERROR_PROTOCOL,
                        "it has \"%s\" twice, with different checksums", name);
            return NULL;
        }
    }
    if (!found && n_lines == 1)
        found = g_steal_pointer(&lone);
    if (!found)
        g_set_error(error, HX_ERROR, HX_ERROR_PROTOCOL, "it has no SHA256 or SHA512 of \"%s\"",
                    name);
    return g_steal_pointer(&found);
}
