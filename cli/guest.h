/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guest of a VM, as verbs reach it: launcher/vm/vm.h's connection and guest-provision's SSH. */
#pragma once

#include "guest-provision/provision.h"
#include "launcher/vm/vm.h"

/* How guest-provision reaches the guest of @vm, which must outlive what is returned.  Interrupted
 * by the signals that end a verb. */
HxGuest hx_verb_guest(HxVm *vm);

/* Where what the VM is about is why its guest was not reached, say that in place of @error: it
 * starts, reboots, is paused, ends. */
void hx_verb_explain_guest(HxVm *vm, GError **error);

/* The arguments @argv as one command of the guest's shell, each a word whatever is in it; for
 * g_free. */
char *hx_verb_quote(int argc, char **argv);
