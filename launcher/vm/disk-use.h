/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a VM's disks take on the host. */
#pragma once

#include "launcher/vm/vm.h"

/* Bytes on the host of all of @vm's overlays, without the images they lie on. */
gint64 hx_disk_use(HxVm *vm);
