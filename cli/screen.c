/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/screen.h"

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
