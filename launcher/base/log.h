/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The log of a long-lived process: lines on stderr, which the monitor collects in files. */
#pragma once

#include <glib.h>

/* Prefix every line with @component ("helixvm-vsock").  Call once, first, in main; @component must
 * stay valid.  Lines carry UTC time where @timestamps is set. */
void hx_log_init(const char *component, gboolean timestamps);

/* At most @lines within @seconds, for a process whose lines others cause: the next one afterwards
 * says how many were left out.  Call once, after hx_log_init.  Without it there is no limit. */
void hx_log_limit(unsigned lines, unsigned seconds);

/* Log one line; any thread.  Never log a secret. */
void hx_log_error(const char *format, ...) G_GNUC_PRINTF(1, 2);
void hx_log_warning(const char *format, ...) G_GNUC_PRINTF(1, 2);
void hx_log_info(const char *format, ...) G_GNUC_PRINTF(1, 2);
/* Only where the environment has HELIXVM_DEBUG=1. */
void hx_log_debug(const char *format, ...) G_GNUC_PRINTF(1, 2);
