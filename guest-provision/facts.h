/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the provisioning scripts print: "KEY VALUE" lines, from a guest that is not trusted. */
#pragma once

#include <glib.h>

typedef struct HxFacts HxFacts;

/* Parse @text.  Lines without a space, or longer than 4096 bytes, are skipped; bytes that are no
 * UTF-8 are replaced, control characters too: values are shown on terminals. */
HxFacts *hx_facts_new(const char *text);
void hx_facts_free(HxFacts *facts);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HxFacts, hx_facts_free)

/* The first value of @key, NULL where there is none or it is empty; lives as long as @facts. */
const char *hx_facts_get(const HxFacts *facts, const char *key);
/* All values of @key, NULL-terminated, for g_free alone. */
const char **hx_facts_all(const HxFacts *facts, const char *key);
/* The checksum of @path among the values of @key, which are lines of sha256sum(1); NULL: none. */
char *hx_facts_sum(const HxFacts *facts, const char *key, const char *path);
