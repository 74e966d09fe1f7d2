/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an X server leaves when it is killed. */
#pragma once

#include "launcher/vm/vm.h"

/* Remove the socket of @vm's X server, whose number is in the runtime directory, where nobody
 * listens on it any more: only its owner may take that number again. */
void hx_x_display_remove(HxVm *vm);
