/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The log that libvirt keeps of a domain's QEMU. */
#pragma once

#include <glib.h>

/* Where the log of the domain called @domain is, for g_free: root's below /var/log/libvirt, others'
 * in their cache directory. */
char *hx_qemu_log_path(const char *domain);

/* The line of @text, a log, that tells most of why QEMU's last run failed: the last one that speaks
 * of an error or a failed assertion.  Without control characters, as a guest may have had a say in
 * it; for g_free.  NULL where the last run's part of the log has none. */
char *hx_qemu_log_error(const char *text);
