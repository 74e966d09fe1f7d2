/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm: the command line.  Finds the verb, runs it, and turns its error into a message and an
 * exit status. */
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/help.h"
#include "cli/terminal.h"
#include "cli/verb.h"
#include "launcher/base/error.h"
#include "launcher/base/printable.h"

static int exit_status;
static int failure_status; /* 0: the error's own */
static int signal_taken;
static GCancellable *cancellable;
static GCancellable *impatience;

void hx_verb_set_exit_status(int status)
{
    exit_status = status;
}

void hx_verb_set_failure_status(int status)
{
    failure_status = status;
}

int hx_verb_signal(void)
{
    return g_atomic_int_get(&signal_taken);
}

GCancellable *hx_verb_cancellable(void)
{
    return cancellable;
}

GCancellable *hx_verb_impatience(void)
{
    if (impatience)
        return impatience;
    GCancellable *made = g_cancellable_new();
    g_atomic_pointer_set(&impatience, made);
    return made;
}

/* Signals are taken by a thread of their own, where any function may be called. */
static void *wait_for_signals(void *data)
{
    const sigset_t *signals = data;
    int signal = 0;
    while (sigwait(signals, &signal) != 0) {
    }
    g_atomic_int_set(&signal_taken, signal);
    g_cancellable_cancel(cancellable);
    /* A terminal that closes sends two at once: only one that comes later is the user's impatience.
     */
    gint64 first = g_get_monotonic_time();
    while (sigwait(signals, &signal) != 0 ||
           g_get_monotonic_time() - first < G_TIME_SPAN_SECOND / 2) {
    }
    GCancellable *second = g_atomic_pointer_get(&impatience);
    if (second) {
        g_cancellable_cancel(second);
        while (sigwait(signals, &signal) != 0) {
        }
    }
    hx_terminal_restore();
    _exit(HX_ERROR_CANCELLED);
}

/* nohup(1) has it ignored, and so it stays. */
static gboolean is_ignored(int number)
{
    struct sigaction action;
    return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

static void take_signals(void)
{
    static sigset_t signals;
    cancellable = g_cancellable_new();
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    if (!is_ignored(SIGHUP))
        sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    g_thread_unref(g_thread_new("signals", wait_for_signals, &signals));
}

/* A message may quote a guest: its control characters are not for the terminal. */
static void print_error(const char *message)
{
    g_autofree char *text = hx_printable_lines(message);
    fflush(stdout); /* what is a result comes first where both go to one place */
    fprintf(stderr, "helixvm: %s\n", text);
}

static int status_of(const GError *error)
{
    int status = error ? hx_error_exit_status(error) : HX_ERROR_FAILED;
    return failure_status && status != HX_ERROR_CANCELLED ? failure_status : status;
}

int hx_verb_end_output(void)
{
    if (fflush(stdout) != EOF)
        return 0;
    if (errno == EPIPE) /* its reader has enough: what SIGPIPE would have said */
        return 128 + SIGPIPE;
    fprintf(stderr, "helixvm: cannot write the output: %s\n", g_strerror(errno));
    return HX_ERROR_FAILED;
}

/* What is opened later must not take the place of a standard stream that is closed: the guest's
 * connection would be read as input, or written to as output. */
static void fill_standard_streams(void)
{
    static const int modes[] = {
        [STDIN_FILENO] = O_RDONLY,  /* ends at once */
        [STDOUT_FILENO] = O_RDONLY, /* cannot be written, as one that is closed */
        [STDERR_FILENO] = O_RDWR,
    };
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", modes[fd]) != fd)
            _exit(HX_ERROR_FAILED);
}

int main(int argc, char **argv)
{
    fill_standard_streams();
    setlocale(LC_ALL, "");
    if (argc < 2) {
        hx_help_print(stderr);
        return HX_ERROR_USAGE;
    }
    take_signals();
    g_autoptr(GError) error = NULL;
    if (!hx_verb_dispatch(argc - 1, argv + 1, &error)) {
        print_error(error ? error->message : "failed, and did not say why");
        return status_of(error);
    }
    int unwritten = hx_verb_end_output();
    return unwritten ? unwritten : exit_status;
}
