/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/terminal.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "launcher/base/error.h"

static struct termios before;
static atomic_int is_raw;
static int size_fd = -1;

/* tcsetattr(3) is async-signal-safe, and stops a background process but for a blocked SIGTTOU. */
static void set_attributes(const struct termios *attributes)
{
    sigset_t ttou, old;
    sigemptyset(&ttou);
    sigaddset(&ttou, SIGTTOU);
    pthread_sigmask(SIG_BLOCK, &ttou, &old);
    while (tcsetattr(STDIN_FILENO, TCSADRAIN, attributes) < 0 && errno == EINTR) {
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

void hx_terminal_restore(void)
{
    if (atomic_exchange(&is_raw, FALSE))
        set_attributes(&before);
}

static void set_raw(void)
{
    struct termios raw = before;
    cfmakeraw(&raw);
    atomic_store(&is_raw, TRUE);
    set_attributes(&raw);
}

/* The action is the default's again by now (SA_RESETHAND). */
static void restore_and_die(int number)
{
    hx_terminal_restore();
    raise(number);
}

gboolean hx_terminal_begin_raw(GError **error)
{
    if (tcgetattr(STDIN_FILENO, &before) < 0) {
        hx_set_error_errno(error, HX_ERROR_HOST, errno, "cannot ask the terminal for its modes");
        return FALSE;
    }
    /* Those that end a verb otherwise, cli/main.c takes. */
    static const int deadly[] = {SIGQUIT, SIGABRT, SIGSEGV, SIGBUS,  SIGILL,
                                 SIGFPE,  SIGALRM, SIGUSR1, SIGUSR2, SIGSYS};
    struct sigaction action = {.sa_handler = restore_and_die,
                               .sa_flags = SA_RESETHAND | SA_NODEFER};
    for (size_t i = 0; i < G_N_ELEMENTS(deadly); i++)
        sigaction(deadly[i], &action, NULL);
    set_raw();
    return TRUE;
}

void hx_terminal_size(guint *ret_columns, guint *ret_rows)
{
    struct winsize size = {0};
    if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0 || size.ws_row == 0)
        size = (struct winsize){.ws_col = 80, .ws_row = 24};
    *ret_columns = size.ws_col;
    *ret_rows = size.ws_row;
}

static void on_size_changed(int number)
{
    int saved = errno;
    eventfd_write(size_fd, 1);
    errno = saved;
}

int hx_terminal_watch_size(void)
{
    if (size_fd < 0)
        size_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct sigaction action = {.sa_handler = on_size_changed, .sa_flags = SA_RESTART};
    if (size_fd >= 0)
        sigaction(SIGWINCH, &action, NULL);
    return size_fd;
}

void hx_terminal_suspend(void)
{
    gboolean was_raw = atomic_load(&is_raw);
    hx_terminal_restore();
    raise(SIGTSTP);
    /* It goes on: perhaps with another modes' terminal, perhaps with another size. */
    if (was_raw) {
        tcgetattr(STDIN_FILENO, &before);
        set_raw();
    }
    if (size_fd >= 0)
        eventfd_write(size_fd, 1);
}
