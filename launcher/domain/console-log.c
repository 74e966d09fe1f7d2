/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/domain/console-log.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "launcher/base/fd.h"
#include "launcher/base/printable.h"

#define TAIL_SIZE (64 * 1024)
/* The kernel's last words where nothing (panic=) has it start anew. */
#define END "---[ end Kernel panic - "
#define PANIC "Kernel panic - "
#define INIT "helixvm-init: "

/* The end of @path, for g_free. */
static char *read_tail(const char *path)
{
    struct stat status;
    hx_autofd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    char *text = g_malloc0(TAIL_SIZE + 1);
    if (fd >= 0 && fstat(fd, &status) == 0)
        for (ssize_t n, size = 0; (n = pread(fd, text + size, TAIL_SIZE - size,
                                             MAX(status.st_size - TAIL_SIZE, 0) + size)) > 0;)
            size += n;
    /* NULs are the guest's to write. */
    for (size_t i = 0; i < TAIL_SIZE; i++)
        if (!text[i])
            text[i] = '\n';
    return text;
}

char *hx_console_panic(const char *path)
{
    g_autofree char *text = read_tail(path);
    if (!strstr(text, END))
        return NULL;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    const char *complaint = NULL, *panic = NULL;
    for (char **line = lines; *line; line++) {
        char *said = strstr(g_strchomp(*line), INIT);
        if (said)
            complaint = said;
        said = strstr(*line, PANIC);
        if (said && !panic)
            panic = said;
    }
    g_autofree char *all =
        g_strdup_printf("%s%s%s", panic, complaint ? ": " : "", complaint ? complaint : "");
    return hx_printable(all);
}
