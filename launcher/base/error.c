/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/base/error.h"

#include <gio/gio.h>

G_DEFINE_QUARK(hx - error - quark, hx_error)

void hx_set_error_errno(GError **error, HxError code, int errnum, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *what = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    g_set_error(error, HX_ERROR, code, "%s: %s", what, g_strerror(errnum));
}

int hx_error_exit_status(const GError *error)
{
    if (!error)
        return 0;
    if (error->domain == HX_ERROR)
        return error->code;
    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        return HX_ERROR_CANCELLED;
    return HX_ERROR_FAILED;
}
