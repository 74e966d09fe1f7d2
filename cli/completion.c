/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/completion.h"

#include <string.h>

#include "cli/verb.h"
#include "launcher/image/catalogue.h"
#include "launcher/image/image.h"
#include "launcher/profile/find.h"
#include "launcher/profile/profile.h"
#include "launcher/vm/snapshot.h"
#include "launcher/vm/vm.h"

typedef struct {
    const char *begun; /* what the candidates have to begin with */
    const char *first; /* the first argument, where there is one */
    HxCandidateFunc *found;
    void *data;
} Completion;

static void offer(const Completion *completion, const char *word, const char *description)
{
    if (g_str_has_prefix(word, completion->begun))
        completion->found(word, description, completion->data);
}

/* --- what a word stands for ---------------------------------------------------------------------
 */

static void offer_vms(const Completion *completion)
{
    g_autoptr(GPtrArray) names = hx_vm_names(NULL);
    for (guint i = 0; names && i < names->len; i++) {
        g_autoptr(HxVm) vm = hx_vm_open(names->pdata[i], NULL);
        if (vm && g_file_test(hx_vm_state_path(vm, "profile.conf"), G_FILE_TEST_EXISTS))
            offer(completion, hx_vm_name(vm), "VM");
    }
}

/* Before a path in the guest: "work:". */
static void offer_vm_prefixes(const Completion *completion)
{
    g_autoptr(GPtrArray) names = hx_vm_names(NULL);
    for (guint i = 0; names && i < names->len; i++) {
        g_autofree char *word = g_strconcat(names->pdata[i], ":", NULL);
        offer(completion, word, "a path in this VM's guest");
    }
}

static void offer_images(const Completion *completion)
{
    g_autoptr(GPtrArray) images = hx_image_list(NULL);
    for (guint i = 0; images && i < images->len; i++)
        offer(completion, hx_image_name(images->pdata[i]), "image");
}

static void offer_catalogue(const Completion *completion)
{
    g_autoptr(GPtrArray) entries = hx_catalogue_load(NULL);
    for (guint i = 0; entries && i < entries->len; i++) {
        const HxCatalogueEntry *entry = entries->pdata[i];
        const HxCatalogueEntry *before = i > 0 ? entries->pdata[i - 1] : NULL;
        /* One of several architectures. */
        if (!before || !g_str_equal(before->name, entry->name))
            offer(completion, entry->name, entry->title);
    }
}

static void offer_connections(const Completion *completion)
{
    offer(completion, "qemu:///system", "the system's libvirt");
    offer(completion, "qemu:///session", "your own");
}

static void offer_profiles(const Completion *completion)
{
    g_autoptr(GPtrArray) files = hx_profile_list_files(NULL);
    for (guint i = 0; files && i < files->len; i++) {
        const HxProfileFile *file = files->pdata[i];
        offer(completion, file->name, file->summary);
    }
}

/* Of the VM that is named before. */
static void offer_snapshots(const Completion *completion)
{
    g_autoptr(HxVm) vm = hx_vm_open(completion->first ? completion->first : "default", NULL);
    g_autoptr(GPtrArray) snapshots = vm ? hx_snapshot_list(vm) : NULL;
    for (guint i = 0; snapshots && i < snapshots->len; i++) {
        const HxSnapshot *snapshot = snapshots->pdata[i];
        offer(completion, snapshot->name, "snapshot");
    }
}

static void offer_files(const Completion *completion)
{
    completion->found(HX_COMPLETE_FILES, NULL, completion->data);
}

static void offer_rows(const Completion *completion, const HxVerb *table)
{
    for (const HxVerb *verb = table; verb->name; verb++)
        if (verb->summary)
            offer(completion, verb->name, verb->summary);
}

static void offer_verbs(const Completion *completion)
{
    offer_rows(completion, hx_verbs);
}

static void offer_actions(const Completion *completion)
{
    const HxVerb *verb = completion->first ? hx_verb_find(hx_verbs, completion->first) : NULL;
    if (verb && verb->actions)
        offer_rows(completion, verb->actions);
}

/* The first sentence of @text, without its full stop, for g_free. */
static char *first_sentence(const char *text)
{
    const char *end = strstr(text, ". ");
    size_t length = end ? (size_t)(end - text) : strlen(text);
    if (length > 0 && text[length - 1] == '.')
        length--;
    return g_strndup(text, length);
}

/* "machine.cpus=" → "machine.cpus=2", or with the words of a choice; what is in a list already
 * stays before them. */
static void offer_values(const Completion *completion, const HxProfileKey *key, const char *value)
{
    size_t kept = value - completion->begun;
    const char *last = key->type == HX_PROFILE_CHOICE_LIST ? strrchr(value, ';') : NULL;
    if (last)
        kept = last + 1 - completion->begun;
    g_autofree char *before = g_strndup(completion->begun, kept);
    static const char *const booleans[] = {"true", "false", NULL};
    const char *const standard[] = {key->standard, NULL};
    if (g_str_equal(key->section, "disk") && g_str_equal(key->key, "image")) {
        g_autoptr(GPtrArray) images = hx_image_list(NULL);
        for (guint i = 0; images && i < images->len; i++) {
            g_autofree char *word = g_strconcat(before, hx_image_name(images->pdata[i]), NULL);
            offer(completion, word, "image");
        }
        return;
    }
    const char *const *values = key->type == HX_PROFILE_BOOLEAN ? booleans
                                : key->values                   ? key->values
                                                                : standard;
    for (; *values; values++) {
        g_autofree char *word = g_strconcat(before, *values, NULL);
        offer(completion, word, g_str_equal(*values, key->standard) ? "the standard" : NULL);
    }
}

static void offer_settings(const Completion *completion)
{
    const char *equals = strchr(completion->begun, '=');
    for (const HxProfileKey *key = hx_profile_keys(); key->section; key++) {
        g_autofree char *word = g_strdup_printf("%s.%s=", key->section, key->key);
        g_autofree char *description = first_sentence(key->description);
        if (!equals)
            offer(completion, word, description);
        else if (g_str_has_prefix(completion->begun, word))
            offer_values(completion, key, equals + 1);
    }
}

/* What the words in capitals of usages stand for; others are for the user to know. */
static const struct {
    const char *name;
    void (*offer)(const Completion *completion);
} kinds[] = {
    {"CATALOGUE-NAME", offer_catalogue},
    {"VM", offer_vms},
    {"IMAGE", offer_images},
    {"PROFILE", offer_profiles},
    {"FILE", offer_files},
    {"URI", offer_connections},
    {"VERB", offer_verbs},
    {"ACTION", offer_actions},
    {"PATH", offer_files},
    {"SNAPSHOT", offer_snapshots},
    {"SECTION.KEY=VALUE", offer_settings},
};

/* @usage: "VM", "PROFILE|FILE", "xml|argv", "VM:]PATH". */
static void offer_usage(const Completion *completion, const char *usage)
{
    const char *behind = strstr(usage, ":]");
    if (behind) {
        offer_vm_prefixes(completion);
        offer_usage(completion, behind + strlen(":]"));
        return;
    }
    g_auto(GStrv) words = g_strsplit(usage, "|", -1);
    for (char **word = words; *word; word++) {
        if (g_ascii_islower(**word))
            offer(completion, *word, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
            if (g_str_equal(kinds[i].name, *word))
                kinds[i].offer(completion);
    }
}

/* --- where in the command line ------------------------------------------------------------------
 */

/* The word of @arguments that describes argument @index, for g_free; NULL where there is none. */
static char *argument_usage(const char *arguments, size_t index)
{
    g_auto(GStrv) words = g_strsplit(arguments, " ", -1);
    char *found = NULL;
    for (char **word = words; *word; word++) {
        /* The brackets around what may be left out; "[VM:]PATH" keeps its inner one. */
        g_strdelimit(*word, strstr(*word, ":]") ? "[" : "[]", ' ');
        g_strstrip(*word);
        if (g_str_equal(*word, "--"))
            break;
        if (!**word)
            continue;
        gboolean repeats = g_str_has_suffix(*word, "...");
        g_free(found);
        found = g_strndup(*word, strlen(*word) - (repeats ? 3 : 0));
        if (index == 0 || repeats)
            return found;
        index--;
    }
    g_free(found);
    return NULL;
}

/* The option that @word is, up to its '='; NULL where it is none. */
static const HxVerbOption *find_option(const HxVerbUsage *usage, const char *word)
{
    for (guint i = 0; i < usage->options->len; i++) {
        const HxVerbOption *option = &g_array_index(usage->options, HxVerbOption, i);
        size_t length = strlen(option->name);
        if (g_str_has_prefix(word, "--") && strncmp(word + 2, option->name, length) == 0 &&
            strchr("=", word[2 + length]))
            return option;
        if (word[0] == '-' && option->letter && word[1] == option->letter && !word[2])
            return option;
    }
    return NULL;
}

static void offer_options(const Completion *completion, const HxVerbUsage *usage)
{
    for (guint i = 0; i < usage->options->len; i++) {
        const HxVerbOption *option = &g_array_index(usage->options, HxVerbOption, i);
        g_autofree char *word = g_strconcat("--", option->name, NULL);
        offer(completion, word, option->description);
    }
    offer(completion, "--help", "show what the verb takes");
}

typedef struct {
    const Completion *completion;
    const char *before;
} Prefixed;

static void offer_prefixed(const char *word, const char *description, void *data)
{
    const Prefixed *prefixed = data;
    g_autofree char *whole = g_strconcat(prefixed->before, word, NULL);
    gboolean is_files = g_str_equal(word, HX_COMPLETE_FILES);
    prefixed->completion->found(is_files ? word : whole, description, prefixed->completion->data);
}

/* "--name=VAL": the candidates begin with what is there. */
static void offer_joined_value(const Completion *completion, const HxVerbOption *option)
{
    const char *value = strchr(completion->begun, '=') + 1;
    g_autofree char *before = g_strndup(completion->begun, value - completion->begun);
    Prefixed prefixed = {completion, before};
    Completion inner = *completion;
    inner.begun = value;
    inner.found = offer_prefixed;
    inner.data = &prefixed;
    offer_usage(&inner, option->value);
}

/* @words: what follows the verb. */
static void complete_verb(Completion *completion, const HxVerb *verb, char **words)
{
    g_autoptr(HxVerbUsage) usage = hx_verb_usage(verb);
    const HxVerbOption *waiting = NULL; /* for its value */
    size_t n_arguments = 0;
    for (; words[1]; words++) {
        if (g_str_equal(*words, "--"))
            return; /* the rest is a command of the guest's */
        const HxVerbOption *option = waiting ? NULL : find_option(usage, *words);
        if (!waiting && **words != '-') {
            if (n_arguments++ == 0)
                completion->first = *words;
        }
        waiting = option && option->value && !strchr(*words, '=') ? option : NULL;
    }
    const HxVerbOption *joined =
        strchr(completion->begun, '=') ? find_option(usage, completion->begun) : NULL;
    if (waiting) {
        offer_usage(completion, waiting->value);
    } else if (joined && joined->value) {
        offer_joined_value(completion, joined);
    } else if (completion->begun[0] == '-') {
        offer_options(completion, usage);
    } else {
        g_autofree char *argument = argument_usage(usage->arguments ?: "", n_arguments);
        if (argument)
            offer_usage(completion, argument);
        /* A single argument is the last one, of the VM "default". */
        if (argument && g_str_equal(usage->arguments, "[VM] SNAPSHOT") && n_arguments == 0)
            offer_snapshots(completion);
    }
}

/* helixvm's own, which may stand before the verb or behind it. */
static const HxVerbOption connect_option = {.name = (char *)"connect", .value = (char *)"URI"};

/* The words of @words without the connection that they name; a word of it that is still to be
 * completed stays.  For g_ptr_array_unref. */
static GPtrArray *without_connection(char **words)
{
    GPtrArray *rest = g_ptr_array_new();
    gboolean ours = TRUE; /* until "--" */
    for (; *words; words++) {
        ours = ours && !g_str_equal(*words, "--");
        if (ours && words[1] && g_str_has_prefix(*words, "--connect="))
            continue;
        if (ours && words[1] && words[2] && g_str_equal(*words, "--connect"))
            words++;
        else
            g_ptr_array_add(rest, *words);
    }
    g_ptr_array_add(rest, NULL);
    return rest;
}

static void offer_own_options(const Completion *completion)
{
    offer(completion, "--connect", "the libvirt to ask");
    offer(completion, "--help", "list the verbs");
    offer(completion, "--version", "print the version");
}

void hx_complete(char **words, HxCandidateFunc *found, void *data)
{
    g_autoptr(GPtrArray) rest = without_connection(words);
    words = (char **)rest->pdata;
    guint n = rest->len - 1;
    if (n == 0)
        return;
    Completion completion = {.begun = words[n - 1], .found = found, .data = data};
    if (n > 1 && g_str_equal(words[n - 2], "--connect")) {
        offer_connections(&completion);
        return;
    }
    if (g_str_has_prefix(completion.begun, "--connect=")) {
        offer_joined_value(&completion, &connect_option);
        return;
    }
    if (n == 1) {
        if (completion.begun[0] == '-')
            offer_own_options(&completion);
        else
            offer_verbs(&completion);
        return;
    }
    const HxVerb *verb = hx_verb_find(hx_verbs, words[0]);
    if (verb && verb->actions && n == 2) {
        offer_rows(&completion, verb->actions);
        return;
    }
    if (verb && verb->actions) {
        verb = hx_verb_find(verb->actions, words[1]);
        words++;
    }
    if (verb && verb->summary)
        complete_verb(&completion, verb, words + 1);
}
