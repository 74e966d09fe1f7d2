/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest-provision/facts.h"

#include <string.h>

#include "launcher/base/printable.h"

#define LINE_BYTES_MAX 4096
#define SHA256_DIGITS 64

typedef struct {
    char *line; /* the key, a NUL, the value */
    const char *value;
} Fact;

struct HxFacts {
    GArray *facts; /* of Fact */
};

static void clear_fact(void *fact)
{
    g_free(((Fact *)fact)->line);
}

HxFacts *hx_facts_new(const char *text)
{
    HxFacts *facts = g_new0(HxFacts, 1);
    facts->facts = g_array_new(FALSE, FALSE, sizeof(Fact));
    g_array_set_clear_func(facts->facts, clear_fact);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        char *space = strchr(*line, ' ');
        if (!space || strlen(*line) > LINE_BYTES_MAX)
            continue;
        Fact fact = {.line = hx_printable(*line)};
        /* A space is no part of what is replaced, so it is still there. */
        space = strchr(fact.line, ' ');
        *space = 0;
        fact.value = g_strchomp(space + 1);
        g_array_append_val(facts->facts, fact);
    }
    return facts;
}

void hx_facts_free(HxFacts *facts)
{
    if (!facts)
        return;
    g_array_unref(facts->facts);
    g_free(facts);
}

const char **hx_facts_all(const HxFacts *facts, const char *key)
{
    GPtrArray *values = g_ptr_array_new();
    for (guint i = 0; i < facts->facts->len; i++) {
        const Fact *fact = &g_array_index(facts->facts, Fact, i);
        if (g_str_equal(fact->line, key))
            g_ptr_array_add(values, (void *)fact->value);
    }
    g_ptr_array_add(values, NULL);
    return (const char **)g_ptr_array_free(values, FALSE);
}

const char *hx_facts_get(const HxFacts *facts, const char *key)
{
    g_autofree const char **values = hx_facts_all(facts, key);
    return values[0] && *values[0] ? values[0] : NULL;
}

char *hx_facts_sum(const HxFacts *facts, const char *key, const char *path)
{
    g_autofree const char **values = hx_facts_all(facts, key);
    for (const char **value = values; *value; value++)
        if (strlen(*value) > SHA256_DIGITS + 2 &&
            strspn(*value, "0123456789abcdef") == SHA256_DIGITS &&
            g_str_equal(*value + SHA256_DIGITS + 2, path))
            return g_strndup(*value, SHA256_DIGITS);
    return NULL;
}
