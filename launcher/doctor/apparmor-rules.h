/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a text of AppArmor rules allows, apparmor.d(5).  Pure. */
#pragma once

#include <glib.h>

/* Whether the rules in @text allow every letter of @permissions ("rw", "m", "x") on the absolute
 * @path.  Rules with variables, @{…}, count for nothing, as they are expanded elsewhere; includes
 * are not followed.  A deny rule wins over all. */
gboolean hx_apparmor_allows(const char *text, const char *path, const char *permissions);

/* The rules, a line each, that @text leaves out of what QEMU and the module preloaded into it touch
 * and libvirt does not know of: below the directories @state and @runtime, and the render server.
 * For g_free; NULL where it leaves nothing out. */
char *hx_apparmor_missing(const char *text, const char *state, const char *runtime);
