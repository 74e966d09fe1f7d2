/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm: the command line.  Finds the verb, runs it, and turns its error into a message and an
 * exit status. */
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/verb.h"
#include "launcher/base/error.h"

static const struct {
    const char *name;
    const char *arguments;
    const char *summary; /* NULL: not for people */
    HxVerbFunc *run;
} verbs[] = {
    {"up", "[NAME]", "start a VM and wait until it is ready", hx_verb_up},
    {"down", "[NAME]", "power a VM off", hx_verb_down},
    {"status", "[NAME]", "say what a VM is and does", hx_verb_status},
    {"image", "build|list|remove [NAME]", "make, show and remove base images", hx_verb_image},
    {"provision", "[NAME]", "make a VM's guest serve sessions", hx_verb_provision},
    {"stream", "[NAME] [--session SESSION]", "view a session and count its frames", hx_verb_stream},
    {"exec", "[NAME] -- COMMAND...", "run a command in a VM's guest", hx_verb_exec},
    {"list", "", "list all VMs with their state", hx_verb_list},
    {"define", "[NAME]", "print a VM's libvirt domain or QEMU command line", hx_verb_define},
    {"delete", "NAME", "remove a VM with its disk", hx_verb_delete},
    {"monitor", "[NAME]", NULL, hx_verb_monitor},
};

static int exit_status;
static GCancellable *cancellable;

void hx_verb_set_exit_status(int status)
{
    exit_status = status;
}

GCancellable *hx_verb_cancellable(void)
{
    return cancellable;
}

/* Signals are taken by a thread of their own, where any function may be called. */
static void *wait_for_signals(void *data)
{
    const sigset_t *signals = data;
    int signal = 0;
    while (sigwait(signals, &signal) != 0) {
    }
    g_cancellable_cancel(cancellable);
    /* A terminal that closes sends two at once: only one that comes later is the user's impatience.
     */
    gint64 first = g_get_monotonic_time();
    while (sigwait(signals, &signal) != 0 ||
           g_get_monotonic_time() - first < G_TIME_SPAN_SECOND / 2) {
    }
    _exit(HX_ERROR_CANCELLED);
}

static void take_signals(void)
{
    static sigset_t signals;
    cancellable = g_cancellable_new();
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    g_thread_unref(g_thread_new("signals", wait_for_signals, &signals));
}

static void print_usage(FILE *to)
{
    fprintf(to, "usage: helixvm VERB [OPTION...] [ARGUMENT...]\n\n"
                "Launches GPU-accelerated Linux VMs and gets video out of them.\n\n");
    for (size_t i = 0; i < G_N_ELEMENTS(verbs); i++) {
        if (!verbs[i].summary)
            continue;
        g_autofree char *call = g_strdup_printf("%s %s", verbs[i].name, verbs[i].arguments);
        fprintf(to, "  %-42s %s\n", call, verbs[i].summary);
    }
    fprintf(to, "  %-42s %s\n", "version", "print the version");
    fprintf(to, "\nA VM's NAME is \"default\" where it is left out.  `helixvm VERB --help` tells "
                "more, helixvm(1) all.\n");
}

/* Runs the verb of @argv; argv[0] is its name. */
static gboolean run_verb(int argc, char **argv, GError **error)
{
    if (g_str_equal(argv[0], "help") || g_str_equal(argv[0], "--help") ||
        g_str_equal(argv[0], "-h")) {
        print_usage(stdout);
        return TRUE;
    }
    if (g_str_equal(argv[0], "version") || g_str_equal(argv[0], "--version")) {
        puts("helixvm " HELIXVM_VERSION);
        return TRUE;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(verbs); i++)
        if (verbs[i].run && g_str_equal(argv[0], verbs[i].name))
            return verbs[i].run(argc, argv, error);
    g_set_error(error, HX_ERROR, HX_ERROR_USAGE, "no verb \"%s\": see `helixvm help`", argv[0]);
    return FALSE;
}

/* A message may quote a guest: its control characters are not for the terminal. */
static void print_error(const char *message)
{
    g_autofree char *text = g_utf8_make_valid(message, -1);
    for (char *c = text; *c; c++)
        if (g_ascii_iscntrl(*c) && *c != '\n')
            *c = '?';
    fprintf(stderr, "helixvm: %s\n", text);
}

int main(int argc, char **argv)
{
    setlocale(LC_ALL, "");
    if (argc < 2) {
        print_usage(stderr);
        return HX_ERROR_USAGE;
    }
    take_signals();
    g_autoptr(GError) error = NULL;
    if (!run_verb(argc - 1, argv + 1, &error)) {
        print_error(error ? error->message : "failed, and did not say why");
        return error ? hx_error_exit_status(error) : HX_ERROR_FAILED;
    }
    if (fflush(stdout) == EOF) {
        fprintf(stderr, "helixvm: cannot write the output: %s\n", g_strerror(errno));
        return HX_ERROR_FAILED;
    }
    return exit_status;
}
