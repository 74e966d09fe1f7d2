/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/download/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "launcher/base/error.h"
#include "launcher/download/output.h"

#define HOLE_SIZE 65536
#define CHECK_SPACE_EVERY (G_GUINT64_CONSTANT(64) << 20)

/* RFC 8878, RFC 1952, and xz's file format. */
gboolean hx_is_packed(const guint8 *start, gsize length)
{
    static const struct {
        const char *bytes;
        gsize length;
    } magics[] = {{"\xfd"
                   "7zXZ",
                   6},
                  {"\x28\xb5\x2f\xfd", 4},
                  {"\x1f\x8b\x08", 3}};
    for (size_t i = 0; i < G_N_ELEMENTS(magics); i++)
        if (length >= magics[i].length && memcmp(start, magics[i].bytes, magics[i].length) == 0)
            return TRUE;
    return FALSE;
}

static gboolean is_zero(const guint8 *bytes, gsize size)
{
    return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

static gboolean write_sparsely(int fd, const guint8 *bytes, gsize size, guint64 offset,
                               GError **error)
{
    while (size > 0) {
        gsize piece = MIN(size, HOLE_SIZE - offset % HOLE_SIZE);
        if (!is_zero(bytes, piece) && !hx_output_write(fd, bytes, piece, offset, error))
            return FALSE;
        bytes += piece;
        offset += piece;
        size -= piece;
    }
    return TRUE;
}

typedef struct {
    HxChunkFunc *next;
    void *data;
    GError *error; /* of @next */
} Source;

static la_ssize_t read_source(struct archive *archive, void *data, const void **ret_buffer)
{
    Source *source = data;
    gssize size = source->next(source->data, ret_buffer, &source->error);
    if (size < 0)
        archive_set_error(archive, EIO, "the source failed");
    return size < 0 ? ARCHIVE_FATAL : size;
}

static gboolean copy_out(struct archive *archive, int fd, guint64 max, guint64 *ret_size,
                         GError **error)
{
    guint64 check_at = 0;
    for (;;) {
        const void *bytes = NULL;
        size_t size = 0;
        la_int64_t offset = 0;
        int r = archive_read_data_block(archive, &bytes, &size, &offset);
        if (r == ARCHIVE_EOF)
            return TRUE;
        if (r != ARCHIVE_OK)
            return FALSE; /* the caller says why */
        *ret_size = offset + size;
        if (*ret_size > max) {
            g_autofree char *limit = g_format_size_full(max, G_FORMAT_SIZE_IEC_UNITS);
            g_set_error(error, HX_ERROR, HX_ERROR_FAILED,
                        "it unpacks to more than %s: --max-size allows more", limit);
            return FALSE;
        }
        if (*ret_size >= check_at) {
            if (!hx_output_check_space(fd, 0, error))
                return FALSE;
            check_at = *ret_size + CHECK_SPACE_EVERY;
        }
        if (!write_sparsely(fd, bytes, size, offset, error))
            return FALSE;
    }
}

gboolean hx_unpack(HxChunkFunc *next, void *data, int fd, guint64 max, GError **error)
{
    Source source = {.next = next, .data = data};
    struct archive *archive = archive_read_new();
    /* No archive formats: the less code a stranger's bytes reach, the better. */
    archive_read_support_format_raw(archive);
    archive_read_support_filter_xz(archive);
    archive_read_support_filter_zstd(archive);
    archive_read_support_filter_gzip(archive);
    struct archive_entry *entry = NULL;
    guint64 size = 0;
    GError *cause = NULL;
    gboolean done = archive_read_open(archive, &source, NULL, read_source, NULL) == ARCHIVE_OK &&
                    archive_read_next_header(archive, &entry) == ARCHIVE_OK &&
                    copy_out(archive, fd, max, &size, &cause);
    if (source.error) {
        g_clear_error(&cause);
        g_propagate_error(error, source.error);
        done = FALSE;
    } else if (cause) {
        g_propagate_error(error, cause);
    } else if (!done) {
        g_set_error(error, HX_ERROR, HX_ERROR_FAILED, "the file cannot be unpacked: %s",
                    archive_error_string(archive) ?: "it is damaged");
    } else if (ftruncate(fd, size) < 0) {
        hx_set_error_errno(error, HX_ERROR_HOST, errno, "cannot write the image");
        done = FALSE;
    }
    archive_read_free(archive);
    return done;
}
