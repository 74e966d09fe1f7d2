/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/screen.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

gboolean hx_screen_is(int fd)
{
    return isatty(fd) && g_strcmp0(g_getenv("TERM"), "dumb") != 0;
}

guint hx_screen_width(int fd)
{
    struct winsize size = {0};
    return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

/* How much of @text goes into @room columns: up to a blank, or, where there is none, up to the
 * first. */
static size_t fitting(const char *text, glong room)
{
    size_t fits = 0;
    for (const char *blank = strchr(text, ' ');; blank = strchr(blank + 1, ' ')) {
        size_t size = blank ? (size_t)(blank - text) : strlen(text);
        if (fits > 0 && g_utf8_strlen(text, size) > room)
            return fits;
        fits = size;
        if (!blank)
            return fits;
    }
}

void hx_screen_print(FILE *to, const char *text, guint column)
{
    glong width = isatty(fileno(to)) ? hx_screen_width(fileno(to)) : G_MAXLONG;
    if (g_utf8_strlen(text, -1) > width - (glong)column && column > width / 2) {
        column = 8;
        fprintf(to, "\n%*s", (int)column, "");
    }
    for (;;) {
        size_t size = fitting(text, width - (glong)column);
        fprintf(to, "%.*s\n", (int)size, text);
        text += size + strspn(text + size, " ");
        if (!*text)
            return;
        fprintf(to, "%*s", (int)column, "");
    }
}
