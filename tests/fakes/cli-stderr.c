/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/fakes/cli-stderr.h"

#include <errno.h>
#include <pty.h>
#include <unistd.h>

char *test_stderr_of(guint columns, void (*write)(void *data), void *data)
{
    struct winsize size = {.ws_row = 24, .ws_col = (unsigned short)columns};
    char bytes[4096];
    int ends[2], saved = dup(STDERR_FILENO);
    g_assert_no_errno(columns ? openpty(&ends[0], &ends[1], NULL, NULL, &size) : pipe(ends));
    dup2(ends[1], STDERR_FILENO);
    write(data);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(ends[1]);
    /* A read may return less than was written; behind the last of it is the end, or EIO. */
    g_autoptr(GString) text = g_string_new(NULL);
    ssize_t n;
    while ((n = read(ends[0], bytes, sizeof bytes)) > 0)
        g_string_append_len(text, bytes, n);
    g_assert_true(columns ? n < 0 && errno == EIO : n == 0);
    close(ends[0]);
    return g_string_free(g_steal_pointer(&text), FALSE);
}
