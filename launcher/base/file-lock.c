/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/base/file-lock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "launcher/base/fd.h"

gboolean hx_is_file_at(int fd, const char *path)
{
    struct stat ours, there;
    return fstat(fd, &ours) == 0 && stat(path, &there) == 0 && ours.st_ino == there.st_ino &&
           ours.st_dev == there.st_dev;
}

int hx_lock_file(const char *path)
{
    for (;;) {
        hx_autofd int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
            return -errno;
        /* Its last owner may have removed it between the two calls: then it stands for nothing. */
        if (hx_is_file_at(fd, path))
            return hx_steal_fd(&fd);
    }
}
