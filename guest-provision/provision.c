/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Theory of operation.  One script finds out all there is to know; each step compares that with
 * what should be and acts only on a difference, so that a second run is the login and that one
 * script. What is installed is remembered in the guest with its checksum, written after the files:
 * a run that was interrupted finds files of its own that are already right, and goes on.  A run
 * that only checks is the same without what changes.  What was verified is remembered until the
 * guest restarts, under a name made of the checksums.
 *
 * So a step may also be begun anew where the connection breaks under it.  What it started in the
 * guest may still run there: a second apt waits for the first one's locks. */
#include "guest-provision/provision.h"

#include <string.h>

#include "guest-provision/provision-run.h"
#include "guest-provision/script.h"
#include "launcher/base/error.h"
#include "launcher/base/pause.h"

/* In one run.  Each waits twice as long as the one before: a second at first. */
#define RECONNECTIONS_MAX 3

static void run_clear(HxProvisionRun *run)
{
    g_clear_pointer(&run->ssh, hx_ssh_close);
    g_clear_pointer(&run->facts, hx_facts_free);
    g_clear_pointer(&run->verified, hx_facts_free);
    hx_distribution_clear(&run->distribution);
    hx_container_clear(&run->container);
    g_clear_pointer(&run->place, g_free);
    for (size_t i = 0; i < HX_PROVISION_FILES; i++) {
        g_clear_pointer(&run->contents[i], g_bytes_unref);
        g_clear_pointer(&run->sums[i], g_free);
        g_clear_pointer(&run->paths[i], g_free);
    }
    g_clear_pointer(&run->distributions, g_strfreev);
    g_clear_pointer(&run->build_reason, g_free);
    g_clear_pointer(&run->source, g_bytes_unref);
    g_clear_pointer(&run->source_sum, g_free);
    if (run->manifest)
        g_string_free(run->manifest, TRUE);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HxProvisionRun, run_clear)

/* --- steps --------------------------------------------------------------------------------------
 */

static gboolean step_connect(HxProvisionRun *run, size_t index, HxStepState *ret_state,
                             char **ret_detail, GError **error)
{
    run->ssh = hx_guest_ssh(run->guest, error);
    *ret_state = HX_STEP_SEEN;
    return run->ssh != NULL;
}

/* What the guest is and has, on a line. */
static char *describe_guest(const HxProvisionRun *run)
{
    const char *gstreamer = hx_facts_get(run->facts, "gstreamer");
    const char *render = hx_facts_get(run->facts, "render");
    const char *machine = hx_facts_get(run->facts, "machine");
    g_autofree const char **modules = hx_facts_all(run->facts, "module");
    g_autofree char *loaded = g_strjoinv(", ", (char **)modules);
    return g_strdup_printf("%s, %s, GStreamer %s, %s%s%s", run->distribution.name,
                           machine ? machine : "no machine", gstreamer ? gstreamer : "none",
                           render ? render : "no render node",
                           run->container.engine ? "" : "; modules ",
                           run->container.engine ? "" : (*loaded ? loaded : "none"));
}

/* What is needed, and under which key of the facts what is missing of it. */
typedef struct {
    const char *list;
    const char *prefix;
} Needs;
static const Needs guest_needs[] = {
    {"guest-provision/session/packages", "missing package"},
    {"guest-provision/session/requirements", "missing"},
    {"guest-provision/session/build-packages", "unbuildable package"},
    {"guest-provision/session/build-requirements", "unbuildable"},
    {},
};
static const Needs container_needs[] = {
    {"guest-provision/vsockenc/packages", "missing package"},
    {"guest-provision/vsockenc/requirements", "missing"},
    {},
};

/* What detect.sh is to look for: what is needed, and the files. For g_strfreev. */
static char **detect_arguments(const Needs *needs, GError **error)
{
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    for (size_t i = 0; needs[i].list; i++) {
        g_auto(GStrv) names = hx_list_read(needs[i].list, error);
        if (!names)
            return NULL;
        for (char **name = names; *name; name++) {
            g_autofree char *need = g_strdup_printf("%s %s", needs[i].prefix, *name);
            g_strv_builder_add(builder, need);
        }
    }
    g_autofree const char **paths = hx_provision_file_paths();
    g_strv_builder_add(builder, "--");
    g_strv_builder_addv(builder, paths);
    return g_strv_builder_end(builder);
}

static gboolean step_detect(HxProvisionRun *run, size_t index, HxStepState *ret_state,
                            char **ret_detail, GError **error)
{
    g_auto(GStrv) arguments =
        detect_arguments(run->container.engine ? container_needs : guest_needs, error);
    g_clear_pointer(&run->distributions, g_strfreev);
    run->distributions =
        arguments ? hx_list_read("guest-provision/session/distributions", error) : NULL;
    if (!run->distributions || !hx_provision_read_files(run, error))
        return FALSE;
    g_autofree char *output = NULL;
    HxScript script = {.name = "detect.sh",
                       .arguments = (const char *const *)arguments,
                       .seconds = HX_STEP_SCRIPT_SECONDS,
                       .within = run->container.within};
    if (!hx_script_run_noted(run->ssh, &script, NULL, NULL, &output, error)) {
        g_prefix_error(error, "cannot look into %s: ", run->place);
        return FALSE;
    }
    g_clear_pointer(&run->facts, hx_facts_free);
    run->facts = hx_facts_new(output);
    g_autofree const char **os_release = hx_facts_all(run->facts, "os-release");
    hx_distribution_read(&run->distribution, os_release);
    *ret_state = HX_STEP_SEEN;
    *ret_detail = describe_guest(run);
    return hx_provision_settle_paths(run, error);
}

static gboolean step_user(HxProvisionRun *run, size_t index, HxStepState *ret_state,
                          char **ret_detail, GError **error)
{
    if (hx_facts_get(run->facts, "user"))
        return TRUE;
    *ret_state = HX_STEP_DONE;
    return run->scope->check ||
           hx_script_run(run->ssh, "user.sh", NULL, HX_STEP_SCRIPT_SECONDS, NULL, error);
}

/* --- the run ------------------------------------------------------------------------------------
 */

typedef struct {
    const char *name;
    HxStep *run;
    size_t index;    /* of files[], for hx_step_file */
    gboolean always; /* also where another one is to be done alone */
} Step;
static const Step guest_steps[] = {
    {"connect", step_connect, 0, TRUE},   {"detect", step_detect, 0, TRUE},
    {"build", hx_step_build, 0, TRUE},    {"packages", hx_step_packages, 0, FALSE},
    {"user", step_user, 0, FALSE},        {"vsockenc", hx_step_file, 0, FALSE},
    {"session", hx_step_file, 1, FALSE},  {"unit", hx_step_file, 2, FALSE},
    {"desktop", hx_step_file, 3, FALSE},  {"systemd", hx_step_settle, 0, TRUE},
    {"verify", hx_step_verify, 0, FALSE}, {},
};
static const Step container_steps[] = {
    {"connect", step_connect, 0, TRUE},
    {"container", hx_step_container, 0, TRUE},
    {"detect", step_detect, 0, TRUE},
    {"build", hx_step_container_build, 0, TRUE},
    {"packages", hx_step_packages, 0, FALSE},
    {"vsockenc", hx_step_file, 0, FALSE},
    {"verify", hx_step_container_verify, 0, FALSE},
    {},
};

static const Step *steps_of(const HxProvisionScope *scope)
{
    return scope->container ? container_steps : guest_steps;
}

static gboolean check_step(const HxProvisionScope *scope, GError **error)
{
    g_autoptr(GString) known = g_string_new(NULL);
    for (const Step *step = steps_of(scope); step->name; step++) {
        if (step->always)
            continue;
        if (g_str_equal(step->name, scope->only))
            return TRUE;
        g_string_append_printf(known, "%s%s", known->len ? ", " : "", step->name);
    }
    g_set_error(error, HX_ERROR, HX_ERROR_USAGE, "\"%s\" is no step%s: use one of %s", scope->only,
                scope->container ? " of a container" : "", known->str);
    return FALSE;
}

gboolean hx_provision_check_scope(const HxProvisionScope *scope, GError **error)
{
    if (scope->container && scope->build == HX_BUILD_GUEST) {
        g_set_error(error, HX_ERROR, HX_ERROR_USAGE,
                    "--build guest is not for containers, which get what was built on the host");
        return FALSE;
    }
    return (!scope->container || hx_container_check_name(scope->container, error)) &&
           (!scope->only || check_step(scope, error));
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

static JsonArray *list_of(const HxFacts *facts, const char *key)
{
    JsonArray *array = json_array_new();
    g_autofree const char **values = hx_facts_all(facts, key);
    for (const char **value = values; *value; value++)
        json_array_add_string_element(array, *value);
    return array;
}

static const char *verified_fact(const HxProvisionRun *run, const char *key)
{
    return run->verified ? hx_facts_get(run->verified, key) : NULL;
}

static JsonObject *describe_container(const HxContainer *container)
{
    JsonObject *object = json_object_new();
    set_string(object, "name", container->name);
    set_string(object, "engine", container->engine);
    set_string(object, "id", container->id);
    set_string(object, "image", container->image);
    set_string(object, "user", container->user);
    return object;
}

static JsonObject *describe(const HxProvisionRun *run)
{
    JsonObject *object = json_object_new();
    json_object_set_boolean_member(object, "provisioned", !run->needed && !run->scope->only);
    json_object_set_boolean_member(object, "changed", run->changed);
    if (run->container.engine)
        json_object_set_object_member(object, "container", describe_container(&run->container));
    set_string(object, "os", run->distribution.name);
    set_string(object, "machine", hx_facts_get(run->facts, "machine"));
    set_string(object, "glibc", hx_facts_get(run->facts, "glibc"));
    json_object_set_array_member(object, "modules", list_of(run->facts, "module"));
    set_string(object, "gstreamer", hx_facts_get(run->facts, "gstreamer"));
    set_string(object, "render_node", hx_facts_get(run->facts, "render"));
    set_string(object, "build", hx_provision_build_name(run->build));
    set_string(object, "build_reason", run->build_reason);
    set_string(object, "element", verified_fact(run, "element"));
    set_string(object, "frame", verified_fact(run, "frame"));
    set_string(object, "gl_renderer", verified_fact(run, "gl"));
    set_string(object, "vulkan_renderer", verified_fact(run, "vulkan"));
    return object;
}

static gboolean is_wanted(const HxProvisionScope *scope, const Step *step)
{
    return !scope->only || step->always || g_str_equal(step->name, scope->only);
}

/* A file that is left alone stays remembered as it was. */
static void skip(HxProvisionRun *run, const Step *step)
{
    if (step->run == hx_step_file)
        hx_provision_skip_file(run, step->index);
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

/* Add to @cause what to do where each connection was lost. */
static void tell_lost(const HxProvisionRun *run, GError *cause)
{
    g_autofree char *message = cause->message;
    cause->message = g_strdup_printf("%s; so by %u connections: see why they are lost by "
                                     "`helixvm logs %s`, then run this again",
                                     message, RECONNECTIONS_MAX + 1u, run->guest->login.vm);
}

/* Whether the step that failed with @cause is to be begun anew: over a new connection, where the
 * guest's closed.  That one fails as the step does. */
static gboolean reconnect(HxProvisionRun *run, GError *cause)
{
    if (!g_error_matches(cause, HX_ERROR, HX_ERROR_PROTOCOL))
        return FALSE;
    if (run->reconnected == RECONNECTIONS_MAX) {
        tell_lost(run, cause);
        return FALSE;
    }
    guint seconds = 1u << run->reconnected++;
    g_autofree char *note =
        g_strdup_printf("%s: %s; begun anew in %u s, by connection %u of %u", run->step,
                        cause->message, seconds, run->reconnected + 1, RECONNECTIONS_MAX + 1u);
    run->report(run->step, HX_STEP_GOES_ON, 0, note, run->data);
    hx_pause(seconds * 1000, run->guest->cancel);
    g_clear_pointer(&run->ssh, hx_ssh_close);
    return TRUE;
}

static gboolean run_step(HxProvisionRun *run, const Step *step, HxStepState *ret_state,
                         char **ret_detail, GError **error)
{
    gsize remembered = run->manifest->len;
    for (;;) {
        g_autoptr(GError) cause = NULL;
        *ret_state = HX_STEP_ALREADY;
        g_clear_pointer(ret_detail, g_free);
        g_string_truncate(run->manifest, remembered);
        if (!run->ssh && step->run != step_connect)
            run->ssh = hx_guest_ssh(run->guest, &cause);
        if (!cause && step->run(run, step->index, ret_state, ret_detail, &cause))
            return TRUE;
        if (!reconnect(run, cause)) {
            g_propagate_error(error, g_steal_pointer(&cause));
            return FALSE;
        }
    }
}

JsonObject *hx_provision(const HxGuest *guest, const HxProvisionScope *scope, HxStepReport report,
                         void *data, GError **error)
{
    g_auto(HxProvisionRun) run = {.guest = guest,
                                  .scope = scope,
                                  .report = report,
                                  .data = data,
                                  .place = g_strdup_printf("VM \"%s\"", guest->login.vm),
                                  .manifest = g_string_new(NULL)};
    g_autoptr(JsonArray) done = json_array_new();
    for (const Step *step = steps_of(scope); step->name; step++) {
        HxStepState state;
        g_autofree char *detail = NULL;
        gint64 begin = g_get_monotonic_time();
        if (!is_wanted(scope, step)) {
            skip(&run, step);
            continue;
        }
        run.step = step->name;
        report(run.step, HX_STEP_BEGUN, 0, NULL, data);
        gboolean good = run_step(&run, step, &state, &detail, error);
        double seconds = (g_get_monotonic_time() - begin) / 1e6;
        if (state == HX_STEP_DONE && scope->check)
            state = HX_STEP_NEEDED;
        report(run.step, good ? state : HX_STEP_FAILED, seconds, detail, data);
        if (!good)
            return NULL;
        run.changed |= state == HX_STEP_DONE;
        run.needed |= state == HX_STEP_NEEDED;
        note_step(done, run.step, state, seconds, detail);
    }
    JsonObject *known = describe(&run);
    json_object_set_array_member(known, "steps", g_steal_pointer(&done));
    return known;
}
