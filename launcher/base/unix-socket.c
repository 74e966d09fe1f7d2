/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/base/unix-socket.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "launcher/base/fd.h"

static int address_of(const char *path, struct sockaddr_un *ret_address)
{
    size_t length = strlen(path);
    if (length > HX_UNIX_PATH_MAX)
        return -ENAMETOOLONG;
    *ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(ret_address->sun_path, path, length);
    return 0;
}

int hx_unix_listen(const char *path, int type, mode_t mode)
{
    struct sockaddr_un address;
    int r = address_of(path, &address);
    if (r < 0)
        return r;
    struct stat old;
    if (lstat(path, &old) == 0) {
        if (!S_ISSOCK(old.st_mode))
            return -EEXIST;
        if (unlink(path) < 0)
            return -errno;
    }
    hx_autofd int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    /* bind() creates the file with the socket's own permissions, less the umask; nobody can connect
     * before listen(). */
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
        return -errno;
    if (chmod(path, mode) < 0 || listen(fd, SOMAXCONN) < 0) {
        r = -errno;
        unlink(path);
        return r;
    }
    return hx_steal_fd(&fd);
}

int hx_unix_connect(const char *path, int type)
{
    struct sockaddr_un address;
    int r = address_of(path, &address);
    if (r < 0)
        return r;
    hx_autofd int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        return -errno;
    return hx_steal_fd(&fd);
}
