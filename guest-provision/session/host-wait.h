/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Waiting until the host's frame-export service answers (again). */
#pragma once

#include <glib.h>

typedef struct SessionHostWait SessionHostWait;

/* Ask the service, in a thread, whether it is there, @interval_ms from now and after each time that
 * it was asked in vain.  @answers is called once, in the main thread, when it says so; it may free
 * what this returns. */
SessionHostWait *session_host_wait_new(guint interval_ms, void (*answers)(void *data), void *data);

/* Wait no more: @answers is not called any more.  NULL is fine. */
void session_host_wait_free(SessionHostWait *wait);
