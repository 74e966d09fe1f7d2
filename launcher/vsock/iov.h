/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Arithmetic on struct iovec arrays; the memory behind them is only touched where it says so. */
#pragma once

#include <stddef.h>
#include <sys/uio.h>

/* Copy up to @size bytes from the start of @iov to @to.  Returns the bytes copied. */
size_t hx_iov_read(const struct iovec *iov, size_t count, void *to, size_t size);

/* Copy up to @size bytes from @from to the start of @iov.  Returns the bytes copied. */
size_t hx_iov_write(const struct iovec *iov, size_t count, const void *from, size_t size);

/* Describe @size bytes from @offset on, less where @iov ends before, in @ret, which has room for
 * @count entries at least and may be @iov itself.  Returns the entries written. */
size_t hx_iov_slice(const struct iovec *iov, size_t count, size_t offset, size_t size,
                    struct iovec *ret);

/* The sum of the lengths, in bytes. */
size_t hx_iov_size(const struct iovec *iov, size_t count);
