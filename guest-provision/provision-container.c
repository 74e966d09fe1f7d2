/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The element in a container of the guest's: its engine runs there what else runs in the guest.
 *
 * The container is found by its name once, and then named by its id: one that is made anew
 * meanwhile under the same name is another.  AF_VSOCK needs no device and knows no namespace, so
 * that a container's sockets reach the host as the guest's do, where the engine's seccomp profile
 * lets it have them. */
#include <string.h>

#include "guest-provision/provision-run.h"
#include "guest-provision/script.h"
#include "launcher/base/error.h"

#define VERIFY_SECONDS "60"
/* Two of them one after the other, and some. */
#define SCRIPT_SECONDS 180
#define PUT_SECONDS 300
#define ID_DIGITS 64

static const char *const engines[] = {"podman", "docker"};

/* The engine that @text begins with, NULL: none; *ret_name is the rest. */
static const char *split_name(const char *text, const char **ret_name)
{
    const char *colon = strchr(text, ':');
    *ret_name = text;
    for (size_t i = 0; colon && i < G_N_ELEMENTS(engines); i++)
        if (strlen(engines[i]) == (size_t)(colon - text) && g_str_has_prefix(text, engines[i])) {
            *ret_name = colon + 1;
            return engines[i];
        }
    return NULL;
}

gboolean hx_container_check_name(const char *text, GError **error)
{
    const char *name;
    split_name(text, &name);
    /* Podman's and Docker's own rule: [a-zA-Z0-9][a-zA-Z0-9_.-]* */
    gboolean good = g_ascii_isalnum(*name);
    for (const char *c = name; *c; c++)
        good = good && (g_ascii_isalnum(*c) || strchr("_.-", *c));
    if (!good)
        g_set_error(
            error, HX_ERROR, HX_ERROR_USAGE,
            "\"%s\" is no name of a container: use letters, digits, \"_\", \".\" and \"-\", "
            "and \"podman:\" or \"docker:\" before it where both have one of that name",
            text);
    return good;
}

void hx_container_clear(HxContainer *container)
{
    g_free(container->id);
    g_free(container->name);
    g_free(container->image);
    g_free(container->user);
    g_free(container->within);
    g_clear_pointer(&container->facts, hx_facts_free);
    *container = (HxContainer){};
}

/* --- to find it ---------------------------------------------------------------------------------
 */

/* What @engine told of the container as @key; NULL: nothing. */
static const char *told(const HxFacts *facts, const char *engine, const char *key)
{
    g_autofree char *name = g_strdup_printf("%s-%s", engine, key);
    return hx_facts_get(facts, name);
}

/* There is none of that name: why. */
static gboolean not_found(const HxProvisionRun *run, const HxFacts *facts, const char *engine,
                          const char *name, GError **error)
{
    const char *vm = run->guest->login.vm;
    g_autofree const char **there = hx_facts_all(facts, "engine");
    g_autofree const char **trouble = hx_facts_all(facts, "trouble");
    if (!there[0]) {
        g_set_error(error, HX_ERROR, HX_ERROR_GUEST,
                    "VM \"%s\" has no %s: install it in the guest and start the container, then "
                    "run this again",
                    vm, engine ? engine : "container engine, which is podman or docker");
        return FALSE;
    }
    if (trouble[0]) {
        g_autofree char *why = g_strjoinv("; ", (char **)trouble);
        g_set_error(error, HX_ERROR, HX_ERROR_GUEST,
                    "cannot ask for container \"%s\" in VM \"%s\": %s: mend that in the guest, "
                    "then run this again",
                    name, vm, why);
        return FALSE;
    }
    g_autofree char *asked = g_strjoinv(" or ", (char **)there);
    g_set_error(error, HX_ERROR, HX_ERROR_NOT_FOUND,
                "root's %s in VM \"%s\" has no container \"%s\": `helixvm exec %s -- %s ps --all` "
                "lists those that are there",
                asked, vm, name, vm, there[0]);
    return FALSE;
}

static gboolean is_running(const HxProvisionRun *run, const HxContainer *container, GError **error)
{
    const char *status = told(container->facts, container->engine, "status");
    if (g_strcmp0(status, "running") == 0)
        return TRUE;
    g_set_error(error, HX_ERROR, HX_ERROR_NOT_RUNNING,
                "%s does not run, it is %s: `helixvm exec %s -- %s %s %s` starts it", run->place,
                status ? status : "in no known state", run->guest->login.vm, container->engine,
                g_strcmp0(status, "paused") == 0 ? "unpause" : "start", container->name);
    return FALSE;
}

/* The engine that has the container; NULL with @error. */
static const char *engine_of(const HxProvisionRun *run, const HxFacts *facts, const char *asked,
                             const char *name, GError **error)
{
    const char *found = NULL;
    for (size_t i = 0; i < G_N_ELEMENTS(engines); i++) {
        const char *id = told(facts, engines[i], "id");
        /* Podman also goes by the name "docker". */
        if (!id || (found && g_strcmp0(told(facts, found, "id"), id) == 0))
            continue;
        if (found) {
            g_set_error(error, HX_ERROR, HX_ERROR_GUEST,
                        "podman and docker in VM \"%s\" both have a container \"%s\": use "
                        "--container podman:%s or docker:%s",
                        run->guest->login.vm, name, name, name);
            return NULL;
        }
        found = engines[i];
    }
    if (!found)
        not_found(run, facts, asked, name, error);
    return found;
}

static gboolean take_id(HxContainer *container, const HxProvisionRun *run, GError **error)
{
    const char *id = told(container->facts, container->engine, "id");
    /* It becomes words of commands, and a file's name. */
    if (strlen(id) == ID_DIGITS && strspn(id, "0123456789abcdef") == ID_DIGITS) {
        container->id = g_strdup(id);
        return TRUE;
    }
    g_set_error(error, HX_ERROR, HX_ERROR_GUEST, "%s in VM \"%s\" names a container \"%s\"",
                container->engine, run->guest->login.vm, id);
    return FALSE;
}

gboolean hx_step_container(HxProvisionRun *run, size_t index, HxStepState *ret_state,
                           char **ret_detail, GError **error)
{
    HxContainer *container = &run->container;
    const char *name;
    const char *asked = split_name(run->scope->container, &name);
    const char *arguments[] = {name, asked ? asked : engines[0], asked ? NULL : engines[1], NULL};
    g_autofree char *output = NULL;
    hx_container_clear(container);
    if (!hx_script_run(run->ssh, "container.sh", arguments, HX_STEP_SCRIPT_SECONDS, &output, error))
        return FALSE;
    g_autoptr(HxFacts) facts = hx_facts_new(output);
    const char *engine = engine_of(run, facts, asked, name, error);
    if (!engine)
        return FALSE;
    container->engine = engine;
    container->facts = g_steal_pointer(&facts);
    if (!take_id(container, run, error))
        return FALSE;
    const char *real = told(container->facts, engine, "name");
    const char *user = told(container->facts, engine, "user");
    /* Docker's begin with a slash. */
    container->name = g_strdup(!real ? name : *real == '/' ? real + 1 : real);
    container->image = g_strdup(told(container->facts, engine, "image"));
    container->user = g_strdup(user ? user : "root");
    container->within = g_strdup_printf("%s exec --user 0 %s", engine, container->id);
    g_free(run->place);
    run->place = g_strdup_printf("container \"%s\" of %s's in VM \"%s\"", container->name, engine,
                                 run->guest->login.vm);
    *ret_state = HX_STEP_SEEN;
    *ret_detail = g_strdup_printf("%s of %s's, %.12s%s%s, user %s", container->name, engine,
                                  container->id, container->image ? " of image " : "",
                                  container->image ? container->image : "", container->user);
    return is_running(run, container, error);
}

/* --- to put the element there -------------------------------------------------------------------
 */

gboolean hx_step_container_build(HxProvisionRun *run, size_t index, HxStepState *ret_state,
                                 char **ret_detail, GError **error)
{
    g_autofree char *misfit = NULL;
    if (!hx_provision_find_misfit(run, &misfit, error))
        return FALSE;
    if (!misfit && !hx_facts_get(run->facts, "glibc"))
        misfit = g_strdup("the host's needs glibc (the container has another C library)");
    if (misfit) {
        g_set_error(error, HX_ERROR, HX_ERROR_GUEST,
                    "vsockenc as it was built does not fit %s (%s): %s: make the container of a "
                    "newer image, such as one of Debian 13",
                    run->place, run->distribution.name, misfit);
        return FALSE;
    }
    run->build = HX_BUILD_HOST;
    g_free(run->build_reason);
    run->build_reason = g_strdup("what was built there fits");
    *ret_state = HX_STEP_SEEN;
    *ret_detail = g_strdup_printf("on the host: %s", run->build_reason);
    return TRUE;
}

gboolean hx_container_put(HxProvisionRun *run, GBytes *content, const char *path, guint mode,
                          GError **error)
{
    g_autofree char *directory = g_path_get_dirname(path);
    g_autofree char *base = g_path_get_basename(path);
    g_autofree char *temporary = g_strdup_printf("%s/.%s.helixvm-new", directory, base);
    g_autofree char *permissions = g_strdup_printf("%04o", mode);
    /* Under another name first: what loads it meanwhile finds a whole one. */
    const char *words[] = {
        "sh",
        "-c",
        "umask 022; mkdir -p \"$1\" && cat >\"$2\" && chmod \"$4\" \"$2\" && mv -f \"$2\" \"$3\" ||"
        " { rm -f \"$2\"; exit 1; }",
        "sh",
        directory,
        temporary,
        path,
        permissions};
    g_autoptr(GString) command = g_string_new(NULL);
    g_string_printf(command, "%s exec --interactive --user 0 %s", run->container.engine,
                    run->container.id);
    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        g_autofree char *quoted = g_shell_quote(words[i]);
        g_string_append_printf(command, " %s", quoted);
    }
    g_auto(HxSshOutput) output = {};
    if (!hx_ssh_run(run->ssh, command->str, content, PUT_SECONDS, &output, error))
        return FALSE;
    if (output.exit_status == 0)
        return TRUE;
    g_autofree char *why = hx_script_explain(output.err->str, run->guest->login.vm);
    g_set_error(error, HX_ERROR, HX_ERROR_GUEST, "cannot write %s in %s: %s", path, run->place,
                why);
    return FALSE;
}

/* --- whether it works there ---------------------------------------------------------------------
 */

/* A cause that the container's making decides. */
static gboolean is_denied(const char *why)
{
    return strstr(why, "Operation not permitted") || strstr(why, "Permission denied");
}

static gboolean check_verified(const HxProvisionRun *run, GError **error)
{
    const char *hung = hx_facts_get(run->verified, "hung");
    if (hung) {
        g_set_error(error, HX_ERROR, HX_ERROR_GUEST,
                    "what verifies the element vsockenc (%s) hangs in %s, for " VERIFY_SECONDS
                    " s: try again after `helixvm exec %s -- %s restart %s`",
                    hung, run->place, run->guest->login.vm, run->container.engine,
                    run->container.name);
        return FALSE;
    }
    gboolean loads = hx_facts_get(run->verified, "element") != NULL;
    if (loads && hx_facts_get(run->verified, "frame"))
        return TRUE;
    const char *why = hx_facts_get(run->verified, loads ? "frame-error" : "element-error");
    if (!loads)
        g_set_error(error, HX_ERROR, HX_ERROR_GUEST, "the element vsockenc does not load in %s: %s",
                    run->place, why ? why : "gst-inspect-1.0 did not say why");
    else if (why && is_denied(why))
        g_set_error(error, HX_ERROR, HX_ERROR_GUEST,
                    "the element vsockenc in %s may open no vsock socket: %s: make the container "
                    "with a seccomp profile that admits socket(AF_VSOCK), or with --security-opt "
                    "seccomp=unconfined",
                    run->place, why);
    else
        g_set_error(error, HX_ERROR, HX_ERROR_GUEST,
                    "the element vsockenc in %s gets no frame encoded by the host: %s: see "
                    "`helixvm logs %s encoder`",
                    run->place, why ? why : "gst-launch-1.0 did not say why", run->guest->login.vm);
    return FALSE;
}

/* Remember in the guest that what @key names was verified. */
static gboolean remember(HxProvisionRun *run, const char *key, GError **error)
{
    static const char *const kept[] = {"element", "frame", "render"};
    g_autoptr(GString) text = g_string_new(NULL);
    g_string_printf(text, "key %s\n", key);
    for (size_t i = 0; i < G_N_ELEMENTS(kept); i++) {
        const char *value = hx_facts_get(run->verified, kept[i]);
        if (value)
            g_string_append_printf(text, "%s %s\n", kept[i], value);
    }
    const char *arguments[] = {run->container.id, text->str, NULL};
    return hx_script_run(run->ssh, "container-verified.sh", arguments, HX_STEP_SCRIPT_SECONDS, NULL,
                         error);
}

static gboolean run_verify(HxProvisionRun *run, const char *key, GError **error)
{
    /* As the user that the container's programs are. */
    g_autofree char *within =
        g_strdup_printf("%s exec %s", run->container.engine, run->container.id);
    const char *arguments[] = {VERIFY_SECONDS, NULL};
    HxScript script = {.name = "verify-element.sh",
                       .arguments = arguments,
                       .seconds = SCRIPT_SECONDS,
                       .within = within};
    g_autofree char *output = NULL;
    if (!hx_script_run_noted(run->ssh, &script, NULL, NULL, &output, error))
        return FALSE;
    g_clear_pointer(&run->verified, hx_facts_free);
    run->verified = hx_facts_new(output);
    return check_verified(run, error) && remember(run, key, error);
}

gboolean hx_step_container_verify(HxProvisionRun *run, size_t index, HxStepState *ret_state,
                                  char **ret_detail, GError **error)
{
    g_autofree char *key = hx_provision_verification_key(run, "verify-element.sh", error);
    if (!key)
        return FALSE;
    g_autofree char *verified = g_strdup_printf("%s-verified", run->container.engine);
    gboolean due = hx_provision_verification_due(run, run->container.facts, verified, key);
    if (due && run->scope->check) {
        *ret_state = HX_STEP_DONE;
        return TRUE;
    }
    if (due) {
        if (!run_verify(run, key, error))
            return FALSE;
        *ret_state = HX_STEP_SEEN;
    }
    *ret_detail =
        g_strdup(hx_facts_get(run->verified, "render")
                     ? "a frame there and back; its user reaches a render node"
                     : "a frame there and back, by pixels: its user reaches no render node, which "
                       "--device /dev/dri gives a container when it is made");
    return TRUE;
}
