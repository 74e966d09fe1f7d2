/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Event descriptors of a front end's, eventfd(2): kick, call and error of a queue. */
#pragma once

/* Make sure that @fd is an eventfd, as a write to anything else could wait, fail by signal or reach
 * a file, and make it non-blocking.  Returns 0 or a negative errno (-EBADFD: something else). */
int hx_event_descriptor_check(int fd);

/* Tell the other side.  Nothing where @fd is -1. */
void hx_event_descriptor_signal(int fd);
