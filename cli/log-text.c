/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/log-text.h"

#include <sys/stat.h>
#include <unistd.h>

#include "launcher/base/error.h"

#define ESC 0x1b
#define CSI 0x9b /* the same as ESC [ */
#define BLOCK 65536

/* ECMA-48, 5.4: parameter and intermediate bytes up to a final one. */
static const char *skip_control_sequence(const char *c)
{
    while (*c >= 0x20 && *c < 0x40)
        c++;
    return *c >= 0x40 && *c < 0x7f ? c + 1 : c;
}

/* An operating system command, a title: up to BEL or ESC \. */
static const char *skip_command_string(const char *c)
{
    while (*c && *c != '\a' && *c != ESC)
        c++;
    if (*c == '\a')
        return c + 1;
    return *c == ESC && c[1] == '\\' ? c + 2 : c;
}

/* @c is after an ESC. */
static const char *skip_escape(const char *c)
{
    if (*c == '[')
        return skip_control_sequence(c + 1);
    if (*c == ']' || *c == 'P' || *c == '_' || *c == '^' || *c == 'X')
        return skip_command_string(c + 1);
    while (*c >= 0x20 && *c < 0x30)
        c++;
    return *c >= 0x30 && *c < 0x7f ? c + 1 : c;
}

char *hx_log_clean(const char *line, gsize length)
{
    g_autofree char *valid = g_utf8_make_valid(line, length);
    g_autoptr(GString) clean = g_string_sized_new(length);
    for (const char *c = valid; *c;) {
        gunichar point = g_utf8_get_char(c);
        c = g_utf8_next_char(c);
        if (point == ESC)
            c = skip_escape(c);
        else if (point == CSI)
            c = skip_control_sequence(c);
        else if (point == '\r' && (!*c || *c == '\n'))
            continue;
        else if (point == '\t' || g_unichar_isprint(point))
            g_string_append_unichar(clean, point);
        else
            g_string_append_unichar(clean, 0xfffd);
    }
    return g_string_free(g_steal_pointer(&clean), FALSE);
}

off_t hx_log_tail(int fd, guint lines)
{
    struct stat found;
    if (fstat(fd, &found) < 0 || lines == 0)
        return lines == 0 ? lseek(fd, 0, SEEK_END) : 0;
    g_autofree char *block = g_malloc(BLOCK);
    off_t end = found.st_size;
    guint seen = 0;
    for (off_t at = end; at > 0;) {
        size_t size = MIN(at, BLOCK);
        at -= size;
        if (pread(fd, block, size, at) != (ssize_t)size)
            return 0;
        for (size_t i = size; i-- > 0;)
            if (block[i] == '\n' && at + (off_t)i + 1 < end && ++seen == lines)
                return at + i + 1;
    }
    return 0;
}

void hx_log_write(FILE *file, const char *line, gsize length, gboolean raw)
{
    if (raw) {
        fwrite(line, 1, length, file);
    } else {
        g_autofree char *clean = hx_log_clean(line, length);
        fputs(clean, file);
    }
    putc('\n', file);
}

gboolean hx_log_parse_lines(const char *text, guint standard, guint *ret_lines, GError **error)
{
    guint64 lines = 0;
    *ret_lines = text ? G_MAXUINT : standard;
    if (!text || g_str_equal(text, "all"))
        return TRUE;
    if (!g_ascii_string_to_unsigned(text, 10, 0, 1000000000, &lines, NULL)) {
        g_set_error(error, HX_ERROR, HX_ERROR_USAGE,
                    "--lines takes a number or \"all\", and not \"%s\"", text);
        return FALSE;
    }
    *ret_lines = lines;
    return TRUE;
}
