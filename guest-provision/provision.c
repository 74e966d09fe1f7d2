/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Theory of operation.  One script finds out all there is to know; each step compares that with
 * what should be and acts only on a difference, so that a second run is the login and that one
 * script. What is installed is remembered in the guest with its checksum, written after the files:
 * a run that was interrupted finds files of its own that are already right, and goes on.  A run
 * that only checks is the same without what changes.  What was verified is remembered until the
 * guest restarts, under a name made of the checksums. */
#include "guest-provision/provision.h"

#include <elf.h>
#include <string.h>

#include "guest-provision/facts.h"
#include "guest-provision/script.h"
#include "launcher/base/error.h"
#include "launcher/base/parts.h"

#define SCRIPT_SECONDS 120
/* Of a program that verifies; the rest is for those that do not end by a signal at once. */
#define VERIFY_SECONDS "60"
/* It was seen to hang in one of some hundred guests with an emulated GPU. */
#define VERIFY_TRIES 2
#define PACKAGES_SECONDS 1800
#define UPLOAD_SECONDS 300

typedef struct {
    const char *step;
    const char *part;  /* of the build, for hx_part_path; or NULL */
    const char *datum; /* of the source tree, for hx_data_path; or NULL */
    const char *path;  /* in the guest; %m: what uname -m says */
    guint mode;
    gboolean is_the_users; /* not overwritten where it was changed */
} File;

static const File files[] = {
    {"vsockenc", "guest/libgstvsockenc.so", NULL,
     "/usr/lib/%m-linux-gnu/gstreamer-1.0/libgstvsockenc.so", 0644, FALSE},
    {"session", "guest/helixvm-session", NULL, "/usr/local/libexec/helixvm-session", 0755, FALSE},
    {"unit", NULL, "guest-provision/session/helixvm-session@.service",
     "/etc/systemd/system/helixvm-session@.service", 0644, FALSE},
    {"desktop", NULL, "guest-provision/session/desktop.conf", "/etc/helixvm/sessions/desktop.conf",
     0644, TRUE},
};
#define N_FILES G_N_ELEMENTS(files)

typedef struct {
    const HxGuest *guest;
    const HxProvisionScope *scope;
    HxSsh *ssh;
    HxFacts *facts;    /* of detect.sh */
    HxFacts *verified; /* of verify.sh, now or earlier */
    GBytes *contents[N_FILES];
    char *sums[N_FILES];
    char *paths[N_FILES];
    GString *manifest; /* what is installed once the run is through */
    gboolean directories_made;
    gboolean files_changed;
    gboolean changed;
    gboolean needed; /* it only checks, and something is to be changed */
} Run;

static void run_clear(Run *run)
{
    g_clear_pointer(&run->ssh, hx_ssh_close);
    g_clear_pointer(&run->facts, hx_facts_free);
    g_clear_pointer(&run->verified, hx_facts_free);
    for (size_t i = 0; i < N_FILES; i++) {
        g_clear_pointer(&run->contents[i], g_bytes_unref);
        g_clear_pointer(&run->sums[i], g_free);
        g_clear_pointer(&run->paths[i], g_free);
    }
    if (run->manifest)
        g_string_free(run->manifest, TRUE);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Run, run_clear)

/* --- what helixvm brings ------------------------------------------------------------------------
 */

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

/* Read all that is to be installed before anything is changed: a part that is missing shows first.
 */
static gboolean read_files(Run *run, GError **error)
{
    for (size_t i = 0; i < N_FILES; i++) {
        const File *file = &files[i];
        g_autofree char *path =
            file->part ? hx_part_path(file->part, error) : hx_data_path(file->datum, error);
        run->contents[i] = path ? hx_script_read(path, error) : NULL;
        if (!run->contents[i])
            return FALSE;
        run->sums[i] = g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, run->contents[i]);
    }
    return TRUE;
}

static char **read_packages(GError **error)
{
    g_autofree char *path = hx_data_path("guest-provision/session/packages", error);
    g_autoptr(GBytes) content = path ? hx_script_read(path, error) : NULL;
    if (!content)
        return NULL;
    gsize size;
    const char *bytes = g_bytes_get_data(content, &size);
    g_autofree char *text = g_strndup(bytes, size);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_autoptr(GStrvBuilder) packages = g_strv_builder_new();
    for (char **line = lines; *line; line++) {
        char *name = g_strstrip(*line);
        if (*name && *name != '#')
            g_strv_builder_add(packages, name);
    }
    return g_strv_builder_end(packages);
}

/* Where the files go, now that the machine is known. */
static gboolean settle_paths(Run *run, GError **error)
{
    const char *machine = hx_facts_get(run->facts, "machine");
    if (g_strcmp0(machine, "x86_64") != 0 && g_strcmp0(machine, "aarch64") != 0) {
        g_set_error(error, HX_ERROR, HX_ERROR_GUEST,
                    "VM \"%s\" is of machine %s: sessions run on x86_64 and aarch64",
                    run->guest->login.vm, machine ? machine : "unknown");
        return FALSE;
    }
    for (size_t i = 0; i < N_FILES; i++) {
        g_autoptr(GString) path = g_string_new(files[i].path);
        g_string_replace(path, "%m", machine, 0);
        run->paths[i] = g_strdup(path->str);
    }
    return TRUE;
}

/* --- steps --------------------------------------------------------------------------------------
 */

static gboolean step_connect(Run *run, size_t index, HxStepState *ret_state, char **ret_detail,
                             GError **error)
{
    run->ssh = hx_guest_ssh(run->guest, error);
    *ret_state = HX_STEP_SEEN;
    return run->ssh != NULL;
}

static gboolean step_detect(Run *run, size_t index, HxStepState *ret_state, char **ret_detail,
                            GError **error)
{
    g_auto(GStrv) packages = read_packages(error);
    if (!packages)
        return FALSE;
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    g_strv_builder_addv(builder, (const char **)packages);
    g_strv_builder_add(builder, "--");
    for (size_t i = 0; i < N_FILES; i++)
        g_strv_builder_add(builder, files[i].path);
    g_auto(GStrv) arguments = g_strv_builder_end(builder);
    g_autofree char *output = NULL;
    if (!read_files(run, error) ||
        !hx_script_run(run->ssh, "detect.sh", (const char *const *)arguments, SCRIPT_SECONDS,
                       &output, error))
        return FALSE;
    run->facts = hx_facts_new(output);
    *ret_state = HX_STEP_SEEN;
    *ret_detail = g_strdup(hx_facts_get(run->facts, "os"));
    return settle_paths(run, error);
}

static gboolean step_packages(Run *run, size_t index, HxStepState *ret_state, char **ret_detail,
                              GError **error)
{
    g_autofree const char **missing = hx_facts_all(run->facts, "missing");
    if (hx_facts_get(run->facts, "nodpkg")) {
        g_auto(GStrv) packages = read_packages(NULL);
        g_autofree char *names = packages ? g_strjoinv(" ", packages) : NULL;
        *ret_detail = g_strdup_printf("no dpkg: not checked for %s", names);
        return TRUE;
    }
    if (!missing[0])
        return TRUE;
    g_autofree char *names = g_strjoinv(" ", (char **)missing);
    if (!run->scope->check &&
        !hx_script_run(run->ssh, "packages.sh", missing, PACKAGES_SECONDS, NULL, error)) {
        g_prefix_error(error, "cannot install %s: ", names);
        return FALSE;
    }
    *ret_state = HX_STEP_DONE;
    *ret_detail = g_steal_pointer(&names);
    return TRUE;
}

static gboolean step_user(Run *run, size_t index, HxStepState *ret_state, char **ret_detail,
                          GError **error)
{
    if (hx_facts_get(run->facts, "user"))
        return TRUE;
    *ret_state = HX_STEP_DONE;
    return run->scope->check ||
           hx_script_run(run->ssh, "user.sh", NULL, SCRIPT_SECONDS, NULL, error);
}

/* One command for the directories of all files. */
static gboolean make_directories(Run *run, GError **error)
{
    if (run->directories_made)
        return TRUE;
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    for (size_t i = 0; i < N_FILES; i++) {
        g_autofree char *directory = g_path_get_dirname(run->paths[i]);
        g_strv_builder_add(builder, directory);
    }
    g_auto(GStrv) arguments = g_strv_builder_end(builder);
    run->directories_made = hx_script_run(
        run->ssh, "directories.sh", (const char *const *)arguments, SCRIPT_SECONDS, NULL, error);
    return run->directories_made;
}

static gboolean put_file(Run *run, size_t index, GError **error)
{
    return make_directories(run, error) &&
           hx_ssh_upload(run->ssh, run->contents[index], run->paths[index], files[index].mode,
                         UPLOAD_SECONDS, error);
}

/* What is installed at @path; NULL: nothing. */
static void remember(Run *run, const char *path, const char *sum)
{
    if (sum)
        g_string_append_printf(run->manifest, "%s  %s\n", sum, path);
}

static gboolean step_file(Run *run, size_t index, HxStepState *ret_state, char **ret_detail,
                          GError **error)
{
    const File *file = &files[index];
    const char *path = run->paths[index];
    const char *ours = run->sums[index];
    g_autofree char *there = hx_facts_sum(run->facts, "sum", path);
    g_autofree char *before = hx_facts_sum(run->facts, "installed", path);
    gboolean kept =
        file->is_the_users && there && !g_str_equal(there, ours) && g_strcmp0(there, before) != 0;
    /* What was never installed here is not remembered as if it were. */
    remember(run, path, kept ? before : ours);
    if (kept) {
        *ret_detail = g_strdup_printf("%s was changed in the guest, and is kept", path);
        return TRUE;
    }
    if (g_strcmp0(there, ours) == 0) {
        run->files_changed |= g_strcmp0(before, ours) != 0;
        return TRUE;
    }
    if (file->part && !built_for(run->contents[index], hx_facts_get(run->facts, "machine"))) {
        g_set_error(error, HX_ERROR, HX_ERROR_HOST, "%s is not built for the guest's machine (%s)",
                    file->part, hx_facts_get(run->facts, "machine"));
        return FALSE;
    }
    if (!run->scope->check && !put_file(run, index, error))
        return FALSE;
    run->files_changed = TRUE;
    *ret_state = HX_STEP_DONE;
    *ret_detail = g_strdup(path);
    return TRUE;
}

static gboolean step_settle(Run *run, size_t index, HxStepState *ret_state, char **ret_detail,
                            GError **error)
{
    if (!run->files_changed)
        return TRUE;
    const char *arguments[] = {run->manifest->str, NULL};
    *ret_state = HX_STEP_DONE;
    return run->scope->check ||
           hx_script_run(run->ssh, "settle.sh", arguments, SCRIPT_SECONDS, NULL, error);
}

/* A name for what is verified and how. */
static char *verification_key(Run *run, GError **error)
{
    g_autofree char *path = hx_data_path("guest-provision/steps/verify.sh", error);
    g_autoptr(GBytes) script = path ? hx_script_read(path, error) : NULL;
    if (!script)
        return NULL;
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    gsize size;
    const guchar *bytes = g_bytes_get_data(script, &size);
    g_checksum_update(sum, bytes, size);
    for (size_t i = 0; i < N_FILES; i++)
        if (files[i].part)
            g_checksum_update(sum, (const guchar *)run->sums[i], -1);
    return g_strdup(g_checksum_get_string(sum));
}

/* Whether what verify.sh told is good; @hung as of run_verify. */
static gboolean check_verified(const Run *run, const char *hung, GError **error)
{
    const char *vm = run->guest->login.vm;
    if (hx_facts_get(run->verified, "hung")) {
        g_set_error(error, HX_ERROR, HX_ERROR_GUEST,
                    "what verifies the guest's parts hangs in VM \"%s\", within " VERIFY_SECONDS
                    " s and again: %s: try again after `helixvm restart %s`",
                    vm, hung, vm);
        return FALSE;
    }
    if (hx_facts_get(run->verified, "element"))
        return TRUE;
    const char *why = hx_facts_get(run->verified, "element-error");
    g_set_error(error, HX_ERROR, HX_ERROR_GUEST,
                "the element vsockenc does not load in VM \"%s\": %s", vm,
                why ? why : "gst-inspect-1.0 did not say why");
    return FALSE;
}

/* Have the guest verify its parts: run->verified, and in *ret_hung, for g_free, what hung in the
 * last try that did, with what its processes waited for. */
static gboolean run_verify(Run *run, const char *key, char **ret_hung, GError **error)
{
    const char *arguments[] = {key, VERIFY_SECONDS, NULL};
    for (int i = 0; i < VERIFY_TRIES; i++) {
        g_autofree char *output = NULL;
        if (!hx_script_run(run->ssh, "verify.sh", arguments, SCRIPT_SECONDS, &output, error))
            return FALSE;
        g_clear_pointer(&run->verified, hx_facts_free);
        run->verified = hx_facts_new(output);
        const char *hung = hx_facts_get(run->verified, "hung");
        if (!hung)
            return TRUE;
        g_autofree const char **processes = hx_facts_all(run->verified, "late");
        g_autofree char *late = g_strjoinv("; ", (char **)processes);
        g_free(*ret_hung);
        *ret_hung = g_strdup_printf("%s (%s)", hung, late);
    }
    return TRUE;
}

static gboolean step_verify(Run *run, size_t index, HxStepState *ret_state, char **ret_detail,
                            GError **error)
{
    g_autofree char *key = verification_key(run, error);
    if (!key)
        return FALSE;
    g_autofree char *hung = NULL;
    g_autofree const char **lines = hx_facts_all(run->facts, "verified");
    g_autofree char *earlier = g_strjoinv("\n", (char **)lines);
    run->verified = hx_facts_new(earlier);
    gboolean due =
        run->changed || run->needed || g_strcmp0(hx_facts_get(run->verified, "key"), key) != 0;
    if (due && run->scope->check) {
        *ret_state = HX_STEP_DONE;
        return TRUE;
    }
    if (due) {
        if (!run_verify(run, key, &hung, error))
            return FALSE;
        *ret_state = HX_STEP_SEEN;
    }
    if (!check_verified(run, hung, error))
        return FALSE;
    const char *gl = hx_facts_get(run->verified, "gl");
    const char *vulkan = hx_facts_get(run->verified, "vulkan");
    *ret_detail =
        g_strdup_printf("GL %s, Vulkan %s%s%s", gl ? gl : "none", vulkan ? vulkan : "none",
                        hung ? "; hung at the first try: " : "", hung ? hung : "");
    return TRUE;
}

/* --- the run ------------------------------------------------------------------------------------
 */

typedef gboolean StepFunc(Run *run, size_t index, HxStepState *ret_state, char **ret_detail,
                          GError **error);

static const struct {
    const char *name;
    StepFunc *run;
    size_t index;    /* of files[], for step_file */
    gboolean always; /* also where another one is to be done alone */
} steps[] = {
    {"connect", step_connect, 0, TRUE},    {"detect", step_detect, 0, TRUE},
    {"packages", step_packages, 0, FALSE}, {"user", step_user, 0, FALSE},
    {"vsockenc", step_file, 0, FALSE},     {"session", step_file, 1, FALSE},
    {"unit", step_file, 2, FALSE},         {"desktop", step_file, 3, FALSE},
    {"systemd", step_settle, 0, TRUE},     {"verify", step_verify, 0, FALSE},
};

gboolean hx_provision_check_step(const char *name, GError **error)
{
    g_autoptr(GString) known = g_string_new(NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(steps); i++) {
        if (steps[i].always)
            continue;
        if (g_str_equal(steps[i].name, name))
            return TRUE;
        g_string_append_printf(known, "%s%s", known->len ? ", " : "", steps[i].name);
    }
    g_set_error(error, HX_ERROR, HX_ERROR_USAGE, "\"%s\" is no step: use one of %s", name,
                known->str);
    return FALSE;
}

const char *hx_step_state_name(HxStepState state)
{
    static const char *const names[] = {
        [HX_STEP_SEEN] = "ok",   [HX_STEP_ALREADY] = "already", [HX_STEP_NEEDED] = "needed",
        [HX_STEP_DONE] = "done", [HX_STEP_FAILED] = "failed",
    };
    return names[state];
}

HxSsh *hx_guest_ssh(const HxGuest *guest, GError **error)
{
    int fd = guest->connect(HX_GUEST_SSH_PORT, guest->data, guest->cancel, error);
    return fd >= 0 ? hx_ssh_open(fd, &guest->login, guest->cancel, error) : NULL;
}

static void set_string(JsonObject *object, const char *name, const char *value)
{
    if (value)
        json_object_set_string_member(object, name, value);
    else
        json_object_set_null_member(object, name);
}

static const char *verified_fact(const Run *run, const char *key)
{
    return run->verified ? hx_facts_get(run->verified, key) : NULL;
}

static JsonObject *describe(const Run *run)
{
    JsonObject *object = json_object_new();
    json_object_set_boolean_member(object, "provisioned", !run->needed && !run->scope->only);
    json_object_set_boolean_member(object, "changed", run->changed);
    set_string(object, "os", hx_facts_get(run->facts, "os"));
    set_string(object, "machine", hx_facts_get(run->facts, "machine"));
    set_string(object, "gstreamer", hx_facts_get(run->facts, "gstreamer"));
    set_string(object, "render_node", hx_facts_get(run->facts, "render"));
    set_string(object, "element", verified_fact(run, "element"));
    set_string(object, "gl_renderer", verified_fact(run, "gl"));
    set_string(object, "vulkan_renderer", verified_fact(run, "vulkan"));
    return object;
}

static gboolean is_wanted(const HxProvisionScope *scope, size_t step)
{
    return !scope->only || steps[step].always || g_str_equal(steps[step].name, scope->only);
}

/* A file that is left alone stays remembered as it was. */
static void skip(Run *run, size_t step)
{
    if (steps[step].run != step_file)
        return;
    const char *path = run->paths[steps[step].index];
    g_autofree char *before = hx_facts_sum(run->facts, "installed", path);
    remember(run, path, before);
}

static void note_step(JsonArray *done, const char *name, HxStepState state, double seconds,
                      const char *detail)
{
    JsonObject *step = json_object_new();
    json_object_set_string_member(step, "name", name);
    json_object_set_string_member(step, "state", hx_step_state_name(state));
    json_object_set_double_member(step, "seconds", (gint64)(seconds * 1000 + 0.5) / 1000.0);
    set_string(step, "detail", detail);
    json_array_add_object_element(done, step);
}

JsonObject *hx_provision(const HxGuest *guest, const HxProvisionScope *scope, HxStepReport report,
                         void *data, GError **error)
{
    g_auto(Run) run = {.guest = guest, .scope = scope, .manifest = g_string_new(NULL)};
    g_autoptr(JsonArray) done = json_array_new();
    for (size_t i = 0; i < G_N_ELEMENTS(steps); i++) {
        HxStepState state = HX_STEP_ALREADY;
        g_autofree char *detail = NULL;
        gint64 begin = g_get_monotonic_time();
        if (!is_wanted(scope, i)) {
            skip(&run, i);
            continue;
        }
        report(steps[i].name, HX_STEP_BEGUN, 0, NULL, data);
        gboolean good = steps[i].run(&run, steps[i].index, &state, &detail, error);
        double seconds = (g_get_monotonic_time() - begin) / 1e6;
        if (state == HX_STEP_DONE && scope->check)
            state = HX_STEP_NEEDED;
        report(steps[i].name, good ? state : HX_STEP_FAILED, seconds, detail, data);
        if (!good)
            return NULL;
        run.changed |= state == HX_STEP_DONE;
        run.needed |= state == HX_STEP_NEEDED;
        note_step(done, steps[i].name, state, seconds, detail);
    }
    JsonObject *known = describe(&run);
    json_object_set_array_member(known, "steps", g_steal_pointer(&done));
    return known;
}
