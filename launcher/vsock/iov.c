/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/vsock/iov.h"

#include <glib.h>
#include <string.h>

size_t hx_iov_read(const struct iovec *iov, size_t count, void *to, size_t size)
{
    size_t done = 0;
    for (size_t i = 0; i < count && done < size; i++) {
        size_t part = MIN(iov[i].iov_len, size - done);
        memcpy((char *)to + done, iov[i].iov_base, part);
        done += part;
    }
    return done;
}

size_t hx_iov_write(const struct iovec *iov, size_t count, const void *from, size_t size)
{
    size_t done = 0;
    for (size_t i = 0; i < count && done < size; i++) {
        size_t part = MIN(iov[i].iov_len, size - done);
        memcpy(iov[i].iov_base, (const char *)from + done, part);
        done += part;
    }
    return done;
}

size_t hx_iov_slice(const struct iovec *iov, size_t count, size_t offset, size_t size,
                    struct iovec *ret)
{
    size_t n = 0;
    for (size_t i = 0; i < count && size > 0; i++) {
        if (offset >= iov[i].iov_len) {
            offset -= iov[i].iov_len;
            continue;
        }
        size_t part = MIN(iov[i].iov_len - offset, size);
        ret[n++] = (struct iovec){(char *)iov[i].iov_base + offset, part};
        offset = 0;
        size -= part;
    }
    return n;
}

size_t hx_iov_size(const struct iovec *iov, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += iov[i].iov_len;
    return size;
}
