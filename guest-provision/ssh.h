/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SSH to a guest over a connection that already stands: commands, a terminal and files. */
#pragma once

#include <gio/gio.h>

typedef struct HxSsh HxSsh;

typedef struct {
    const char *vm;          /* the VM's name, for messages */
    const char *user;        /* NULL: root */
    const char *identity;    /* path of the private key */
    const char *known_hosts; /* path of the file that pins the guest's host key */
    guint timeout;           /* seconds for the key exchange and the login; 0: 60 */
} HxSshLogin;

/* The name under which the guest's key is pinned: a file belongs to one VM (OpenSSH: HostKeyAlias).
 */
#define HX_SSH_HOST_ALIAS "helixvm"

/* Log in over the connected stream socket @fd, which is taken over also where this fails.  The host
 * key is pinned at the first contact (RFC 4251, 4.1) and a changed one refused.  Reads no
 * configuration and asks no agent.  @cancel, where not NULL, interrupts this and all later calls
 * (HX_ERROR_CANCELLED).  NULL with HX_ERROR_ACCESS (key refused or changed), HX_ERROR_PROTOCOL,
 * HX_ERROR_TIMEOUT.  All calls on one HxSsh come from one thread at a time. */
HxSsh *hx_ssh_open(int fd, const HxSshLogin *login, GCancellable *cancel, GError **error);
void hx_ssh_close(HxSsh *ssh);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HxSsh, hx_ssh_close)

typedef struct {
    int exit_status; /* the command's; 128 + the signal's number where one ended it */
    GString *out;    /* any bytes, a NUL after them */
    GString *err;
} HxSshOutput;

void hx_ssh_output_clear(HxSshOutput *output);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HxSshOutput, hx_ssh_output_clear)

/* What hx_ssh_run keeps of each of stdout and stderr; a command that writes more is an error. */
#define HX_SSH_OUTPUT_MAX (4 * 1024 * 1024)

/* Run @command by the guest's login shell with @input (NULL: none) as its stdin and wait @timeout
 * seconds (0: any time) for its end and that of its output.  Any exit status is success here. FALSE
 * with HX_ERROR_TIMEOUT, HX_ERROR_PROTOCOL (connection lost) or HX_ERROR_GUEST; @ret_output is
 * set where TRUE is returned. */
gboolean hx_ssh_run(HxSsh *ssh, const char *command, GBytes *input, guint timeout,
                    HxSshOutput *ret_output, GError **error);

/* A line of a command's stdout, without its end. */
typedef void (*HxSshLine)(const char *line, void *data);

/* The same, with @line (NULL: nobody) told each whole line of stdout as it comes. */
gboolean hx_ssh_run_told(HxSsh *ssh, const char *command, GBytes *input, guint timeout,
                         HxSshLine line, void *data, HxSshOutput *ret_output, GError **error);

/* The terminal that a command in the guest gets. */
typedef struct {
    const char *type; /* the value of TERM */
    int changed_fd; /* an eventfd(2) that is counted up where the size may have changed; -1: none */
    void (*size)(guint *ret_columns, guint *ret_rows);
    /* Called when the guest has its terminal, which gets the modes that stdin's has until then;
     * NULL: nothing to do. */
    gboolean (*begin)(GError **error);
    void (*suspend)(void); /* stop this process, with its terminal as it was, until it goes on */
} HxSshTerminal;

/* A command in the guest and what it is joined to. */
typedef struct {
    const char *command; /* NULL: the login shell */
    int input_fd;        /* its stdin; -1: none */
    int output_fd;       /* its stdout; with a terminal its stderr too; -1: thrown away */
    int error_fd;        /* its stderr; -1: thrown away */
    /* NULL: none.  With one, what is typed after "~" at the begin of a line is for this side, as in
     * ssh(1): "~." ends the connection, "~^Z" suspends, "~?" tells. */
    const HxSshTerminal *terminal;
    /* NULL: never; else without a terminal alone: where it is cancelled, the command gets the
     * signal that @interrupt_signal names ("INT"), and grace_seconds (hx_ssh_set_grace) to end. */
    GCancellable *interrupt;
    const char *(*interrupt_signal)(void);
} HxSshJoin;

/* Run what @join says, until it ends.  Bytes are passed on as they come, and no further than
 * the reader takes them; the descriptors stay the caller's own and may be blocking or not.  Where
 * nobody reads the output any more, the status is that of a command that SIGPIPE ended, 141.
 * HX_ERROR_CANCELLED after "~.", HX_ERROR_FAILED where the output cannot be written,
 * HX_ERROR_PROTOCOL, HX_ERROR_GUEST. */
gboolean hx_ssh_join(HxSsh *ssh, const HxSshJoin *join, int *ret_exit_status, GError **error);

/* From now on, what cancels @ssh leaves the running call @seconds to end by itself. */
void hx_ssh_set_grace(HxSsh *ssh, guint seconds);

/* Put @content at the absolute @path of the guest with the permissions @mode: under another name
 * first, then renamed over it.  By SFTP, or through a shell where the guest has none.
 * HX_ERROR_GUEST tells what the guest said, a full disk among it. */
gboolean hx_ssh_upload(HxSsh *ssh, GBytes *content, const char *path, guint mode, guint timeout,
                       GError **error);
