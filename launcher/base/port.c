/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/base/port.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

#include "launcher/base/fd.h"

/* What a socket that waits for the first packet has in the tables' column "st": the kernel's
 * include/net/tcp_states.h. */
#define STATE_TCP_LISTEN 0x0a
#define STATE_UDP_BOUND 0x07

guint64 hx_port_listener(const char *table, gboolean udp, guint16 port)
{
    g_auto(GStrv) lines = g_strsplit(table, "\n", -1);
    for (char **line = lines; *line; line++) {
        unsigned local_port, state;
        guint64 inode;
        /* sl local:port remote:port st tx:rx tr:when retrnsmt uid timeout inode */
        if (sscanf(*line,
                   " %*u: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*x:%*x %*x:%*x %*x %*u %*u "
                   "%" G_GUINT64_FORMAT,
                   &local_port, &state, &inode) == 3 &&
            local_port == port && state == (udp ? STATE_UDP_BOUND : STATE_TCP_LISTEN))
            return inode;
    }
    return 0;
}

static guint64 find_listener(gboolean udp, guint16 port)
{
    static const char *const tables[2][2] = {{"/proc/net/tcp", "/proc/net/tcp6"},
                                             {"/proc/net/udp", "/proc/net/udp6"}};
    for (size_t i = 0; i < 2; i++) {
        g_autofree char *table = NULL;
        if (!g_file_get_contents(tables[udp][i], &table, NULL, NULL))
            continue;
        guint64 inode = hx_port_listener(table, udp, port);
        if (inode)
            return inode;
    }
    return 0;
}

/* Whether process @pid has a descriptor that leads to @target; of others' processes nobody but root
 * gets to know. */
static gboolean has_descriptor(const char *pid, const char *target)
{
    g_autofree char *path = g_build_filename("/proc", pid, "fd", NULL);
    g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);
    for (const char *name; directory && (name = g_dir_read_name(directory));) {
        g_autofree char *descriptor = g_build_filename(path, name, NULL);
        g_autofree char *leads_to = g_file_read_link(descriptor, NULL);
        if (g_strcmp0(leads_to, target) == 0)
            return TRUE;
    }
    return FALSE;
}

/* The process that has the port, as text for g_free; NULL where it is not known. */
static char *describe_owner(gboolean udp, guint16 port)
{
    guint64 inode = find_listener(udp, port);
    g_autofree char *target = g_strdup_printf("socket:[%" G_GUINT64_FORMAT "]", inode);
    g_autoptr(GDir) processes = inode ? g_dir_open("/proc", 0, NULL) : NULL;
    for (const char *pid; processes && (pid = g_dir_read_name(processes));) {
        if (!g_ascii_isdigit(*pid) || !has_descriptor(pid, target))
            continue;
        g_autofree char *path = g_build_filename("/proc", pid, "comm", NULL);
        g_autofree char *name = NULL;
        if (!g_file_get_contents(path, &name, NULL, NULL))
            return g_strdup_printf("process %s", pid);
        /* A process may call itself what it likes. */
        g_autofree char *printable = g_strescape(g_strchomp(name), NULL);
        return g_strdup_printf("process %s (%s)", pid, printable);
    }
    return NULL;
}

/* The first port that a process without privileges may listen on: ip(7). */
static guint16 first_port(void)
{
    g_autofree char *text = NULL;
    return g_file_get_contents("/proc/sys/net/ipv4/ip_unprivileged_port_start", &text, NULL, NULL)
               ? g_ascii_strtoull(text, NULL, 10)
               : 1024;
}

static int bind_port(gboolean udp, guint16 port)
{
    hx_autofd int fd = socket(AF_INET, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    /* A connection that has just ended keeps nobody from listening; see tcp(7). */
    int on = 1;
    if (!udp)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
        return -errno;
    return hx_steal_fd(&fd);
}

char *hx_port_objection(gboolean udp, guint16 port)
{
    /* Whoever starts the VM, the process that listens has no privileges. */
    if (port < first_port())
        return g_strdup_printf("ports below %u are privileged", first_port());
    hx_autofd int fd = bind_port(udp, port);
    if (fd >= 0)
        return NULL;
    if (fd != -EADDRINUSE)
        return g_strdup(g_strerror(-fd));
    g_autofree char *owner = describe_owner(udp, port);
    return g_strdup_printf("%s has it", owner ? owner : "another process");
}

int hx_port_listen(guint16 port)
{
    hx_autofd int fd = bind_port(FALSE, port);
    if (fd < 0)
        return hx_steal_fd(&fd);
    return listen(fd, SOMAXCONN) < 0 ? -errno : hx_steal_fd(&fd);
}
