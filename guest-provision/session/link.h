/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Links one PipeWire port to another whenever both are there: all the policy a session needs. */
#pragma once

#include "guest-provision/session/child.h"

typedef struct SessionLinker SessionLinker;

/* In the main thread: linking failed for good.  The linker is not to be freed from within. */
typedef void (*SessionLinkFailed)(const char *reason, void *data);

/* Link the port @output to the port @input, "NODE:PORT" both, until freed.  @envp is the
 * environment that tells where PipeWire is. */
SessionLinker *session_linker_start(const char *output, const char *input, const char *const *envp,
                                    SessionLinkFailed failed, void *data, GError **error);
void session_linker_free(SessionLinker *linker);

/* One line of pw-link's monitor, "+   16 node:port": whether @ret_present says that a port came
 * or went, and which.  *ret_port points into @line.  FALSE where the line says something else. */
gboolean session_linker_parse(const char *line, gboolean *ret_present, const char **ret_port);
