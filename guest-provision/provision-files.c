/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The files that are put into a guest. */
#include <elf.h>
#include <string.h>

#include "guest-provision/provision-run.h"
#include "guest-provision/script.h"
#include "launcher/base/error.h"
#include "launcher/base/parts.h"

#define UPLOAD_SECONDS 300

typedef struct {
    const char *step;
    const char *part;  /* of the build, for hx_part_path; or NULL */
    const char *datum; /* of the source tree, for hx_data_path; or NULL */
    const char *path;  /* in the guest; %m: what uname -m says, %p: where GStreamer's plugins are */
    guint mode;
    gboolean is_the_users; /* not overwritten where it was changed */
} File;

static const File files[] = {
    {"vsockenc", "guest/libgstvsockenc.so", NULL, "%p/libgstvsockenc.so", 0644, FALSE},
    {"session", "guest/helixvm-session", NULL, "/usr/local/libexec/helixvm-session", 0755, FALSE},
    {"unit", NULL, "guest-provision/session/helixvm-session@.service",
     "/etc/systemd/system/helixvm-session@.service", 0644, FALSE},
    {"desktop", NULL, "guest-provision/session/desktop.conf", "/etc/helixvm/sessions/desktop.conf",
     0644, TRUE},
};
G_STATIC_ASSERT(G_N_ELEMENTS(files) == HX_PROVISION_FILES);

const char **hx_provision_file_paths(void)
{
    const char **paths = g_new0(const char *, HX_PROVISION_FILES + 1);
    for (size_t i = 0; i < HX_PROVISION_FILES; i++)
        paths[i] = files[i].path;
    return paths;
}

void hx_provision_sum_parts(const HxProvisionRun *run, GChecksum *sum)
{
    for (size_t i = 0; i < HX_PROVISION_FILES; i++)
        if (files[i].part && run->sums[i])
            g_checksum_update(sum, (const guchar *)run->sums[i], -1);
}

/* Whether the ELF file @content was built for @machine, as uname -m has it. */
static gboolean built_for(GBytes *content, const char *machine)
{
    gsize size;
    const Elf64_Ehdr *header = g_bytes_get_data(content, &size);
    if (size < sizeof *header || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
        return FALSE;
    if (g_strcmp0(machine, "x86_64") == 0)
        return header->e_machine == EM_X86_64;
    return g_strcmp0(machine, "aarch64") == 0 && header->e_machine == EM_AARCH64;
}

gboolean hx_provision_parts_are_for(const HxProvisionRun *run, const char *machine)
{
    for (size_t i = 0; i < HX_PROVISION_FILES; i++)
        if (files[i].part && !built_for(run->contents[i], machine))
            return FALSE;
    return TRUE;
}

gboolean hx_provision_read_files(HxProvisionRun *run, GError **error)
{
    for (size_t i = 0; i < HX_PROVISION_FILES; i++) {
        const File *file = &files[i];
        g_autofree char *path =
            file->part ? hx_part_path(file->part, error) : hx_data_path(file->datum, error);
        g_clear_pointer(&run->contents[i], g_bytes_unref);
        g_clear_pointer(&run->sums[i], g_free);
        run->contents[i] = path ? hx_script_read(path, error) : NULL;
        if (!run->contents[i])
            return FALSE;
        run->sums[i] = g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, run->contents[i]);
    }
    return hx_provision_read_source(run, error);
}

gboolean hx_provision_settle_paths(HxProvisionRun *run, GError **error)
{
    const char *machine = hx_facts_get(run->facts, "machine");
    if (g_strcmp0(machine, "x86_64") != 0 && g_strcmp0(machine, "aarch64") != 0) {
        g_set_error(error, HX_ERROR, HX_ERROR_GUEST,
                    "VM \"%s\" is of machine %s: sessions run on x86_64 and aarch64",
                    run->guest->login.vm, machine ? machine : "unknown");
        return FALSE;
    }
    const char *plugins = hx_facts_get(run->facts, "plugins");
    for (size_t i = 0; i < HX_PROVISION_FILES; i++) {
        g_clear_pointer(&run->paths[i], g_free);
        g_autoptr(GString) path = g_string_new(files[i].path);
        g_string_replace(path, "%m", machine, 0);
        g_string_replace(path, "%p", plugins ? plugins : "", 0);
        run->paths[i] = g_strdup(path->str);
    }
    return TRUE;
}

/* One command for the directories of all files. */
static gboolean make_directories(HxProvisionRun *run, GError **error)
{
    if (run->directories_made)
        return TRUE;
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    for (size_t i = 0; i < HX_PROVISION_FILES; i++) {
        g_autofree char *directory = g_path_get_dirname(run->paths[i]);
        g_strv_builder_add(builder, directory);
    }
    g_auto(GStrv) arguments = g_strv_builder_end(builder);
    run->directories_made =
        hx_script_run(run->ssh, "directories.sh", (const char *const *)arguments,
                      HX_STEP_SCRIPT_SECONDS, NULL, error);
    return run->directories_made;
}

static gboolean put_file(HxProvisionRun *run, size_t index, GError **error)
{
    if (run->container.engine)
        return hx_container_put(run, run->contents[index], run->paths[index], files[index].mode,
                                error);
    return make_directories(run, error) &&
           hx_ssh_upload(run->ssh, run->contents[index], run->paths[index], files[index].mode,
                         UPLOAD_SECONDS, error);
}

/* What is installed at @path; NULL: nothing. */
static void remember(HxProvisionRun *run, const char *path, const char *sum)
{
    if (sum)
        g_string_append_printf(run->manifest, "%s  %s\n", sum, path);
}

/* The name by which is remembered what the part at @path was built of in the guest; for g_free. */
static char *source_of(const char *path)
{
    return g_strdup_printf("%s (source)", path);
}

void hx_provision_forget_parts(HxProvisionRun *run)
{
    for (size_t i = 0; i < HX_PROVISION_FILES; i++) {
        if (!files[i].part)
            continue;
        g_autofree char *name = source_of(run->paths[i]);
        g_autofree char *source = hx_facts_sum(run->facts, "installed", name);
        g_clear_pointer(&run->sums[i], g_free);
        if (g_strcmp0(source, run->source_sum) == 0)
            run->sums[i] = hx_facts_sum(run->facts, "installed", run->paths[i]);
    }
}

gboolean hx_provision_is_to_be_built(const HxProvisionRun *run)
{
    for (size_t i = 0; i < HX_PROVISION_FILES; i++)
        if (files[i].part && !run->sums[i])
            return TRUE;
    return FALSE;
}

/* What --check tells of a part that the guest would build, for g_free. */
static char *describe_build(const HxProvisionRun *run, const char *path)
{
    g_autofree const char **lacks = hx_facts_all(run->facts, "unbuildable");
    g_autofree char *names = g_strjoinv(" ", (char **)lacks);
    return g_strdup_printf("%s, to be built there%s%s", path, *names ? ", which takes " : "",
                           names);
}

/* Bring file @index into the guest; *ret_detail is of what was done, for g_free. */
static gboolean bring(HxProvisionRun *run, size_t index, char **ret_detail, GError **error)
{
    const char *path = run->paths[index];
    if (!files[index].part || run->build == HX_BUILD_HOST) {
        *ret_detail = g_strdup(path);
        return run->scope->check || put_file(run, index, error);
    }
    if (run->scope->check) {
        *ret_detail = describe_build(run, path);
        return TRUE;
    }
    char *sum = NULL;
    if (!make_directories(run, error) ||
        !hx_provision_build(run, files[index].part, path, files[index].mode, &sum, ret_detail,
                            error))
        return FALSE;
    g_free(run->sums[index]);
    run->sums[index] = sum;
    return TRUE;
}

/* That file @index is as it should be. */
static void remember_ours(HxProvisionRun *run, size_t index)
{
    remember(run, run->paths[index], run->sums[index]);
    if (!files[index].part || run->build != HX_BUILD_GUEST)
        return;
    g_autofree char *name = source_of(run->paths[index]);
    remember(run, name, run->source_sum);
}

gboolean hx_step_file(HxProvisionRun *run, size_t index, HxStepState *ret_state, char **ret_detail,
                      GError **error)
{
    const File *file = &files[index];
    const char *path = run->paths[index];
    const char *ours = run->sums[index];
    g_autofree char *there = hx_facts_sum(run->facts, "sum", path);
    g_autofree char *before = hx_facts_sum(run->facts, "installed", path);
    if (file->is_the_users && there && !g_str_equal(there, ours) && g_strcmp0(there, before) != 0) {
        /* What was never installed here is not remembered as if it were. */
        remember(run, path, before);
        *ret_detail = g_strdup_printf("%s was changed in the guest, and is kept", path);
        return TRUE;
    }
    if (there && g_strcmp0(there, ours) == 0) {
        remember_ours(run, index);
        run->files_changed |= g_strcmp0(before, ours) != 0;
        return TRUE;
    }
    if (!bring(run, index, ret_detail, error))
        return FALSE;
    remember_ours(run, index);
    run->files_changed = TRUE;
    *ret_state = HX_STEP_DONE;
    return TRUE;
}

gboolean hx_step_settle(HxProvisionRun *run, size_t index, HxStepState *ret_state,
                        char **ret_detail, GError **error)
{
    if (!run->files_changed)
        return TRUE;
    const char *arguments[] = {run->manifest->str, NULL};
    *ret_state = HX_STEP_DONE;
    return run->scope->check ||
           hx_script_run(run->ssh, "settle.sh", arguments, HX_STEP_SCRIPT_SECONDS, NULL, error);
}

void hx_provision_skip_file(HxProvisionRun *run, size_t index)
{
    const char *path = run->paths[index];
    g_autofree char *before = hx_facts_sum(run->facts, "installed", path);
    g_autofree char *name = source_of(path);
    g_autofree char *source = hx_facts_sum(run->facts, "installed", name);
    remember(run, path, before);
    remember(run, name, source);
}
