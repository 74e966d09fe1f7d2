/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is known of a VM: from its monitor, its encoder, and what its guest last reported. */
#pragma once

#include <json-glib/json-glib.h>

#include "launcher/vm/vm.h"

/* The status of @vm as the JSON object that helixvm(1), STATUS, describes, for json_object_unref.
 * A VM that is down has a state and why it ended.  HX_ERROR_NOT_FOUND where there is no such VM,
 * HX_ERROR_TIMEOUT where its monitor does not answer for 5 s. */
JsonObject *hx_vm_status(HxVm *vm, GCancellable *cancel, GError **error);

/* helixvm-encoder's statistics, encoder of the status, for json_object_unref; NULL where it does
 * not answer within a second.  Any thread that has @vm for itself. */
JsonObject *hx_vm_encoder_statistics(HxVm *vm, GCancellable *cancel);

/* The status without what its encoder and its guest have to say, which a table has no room for. */
JsonObject *hx_vm_status_brief(HxVm *vm, GCancellable *cancel, GError **error);
