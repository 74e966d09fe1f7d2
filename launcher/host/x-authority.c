/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/host/x-authority.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "launcher/base/error.h"
#include "launcher/base/fd.h"

#define FAMILY_WILD 0xffff /* any address; the number may be empty, too: any display */
#define COOKIE_SIZE 16

static const char protocol[] = "MIT-MAGIC-COOKIE-1";

int hx_x_authority_create(const char *path, GError **error)
{
    /* family, address, number, name, data: each a big-endian u16 length, then its bytes */
    unsigned char entry[2 + 2 + 2 + 2 + sizeof protocol - 1 + 2 + COOKIE_SIZE] = {
        FAMILY_WILD >> 8, FAMILY_WILD & 0xff, 0, 0, 0, 0, 0, sizeof protocol - 1};
    unsigned char *next = entry + 8;
    memcpy(next, protocol, sizeof protocol - 1);
    next += sizeof protocol - 1;
    *next++ = 0;
    *next++ = COOKIE_SIZE;
    if (getrandom(next, COOKIE_SIZE, 0) != COOKIE_SIZE) {
        hx_set_error_errno(error, HX_ERROR_HOST, errno, "cannot make a random X cookie");
        return -1;
    }
    unlink(path);
    hx_autofd int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int r = fd < 0 ? -errno : hx_write_all(fd, entry, sizeof entry);
    if (r < 0) {
        hx_set_error_errno(error, HX_ERROR_HOST, -r, "cannot write the X cookie file %s", path);
        return -1;
    }
    return hx_steal_fd(&fd);
}
