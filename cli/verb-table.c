/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The verbs, in the order of `helixvm help`. */
#include "cli/verb.h"

const HxVerb hx_verbs[] = {
    {"up", "start a VM and wait until it is ready", .run = hx_verb_up, .heading = "Run VMs"},
    {"run", "start a VM and stay in the foreground until it ends", .run = hx_verb_run},
    {"down", "power a VM off", .run = hx_verb_down},
    {"restart", "power a VM off and start it anew", .run = hx_verb_restart},
    {"status", "say what a VM is and does", .run = hx_verb_status},
    {"list", "list all VMs with their state", .run = hx_verb_list},

    {"ssh", "open a shell in a VM's guest", .run = hx_verb_ssh, .heading = "Reach the guest"},
    {"ssh-config", "print what OpenSSH needs to reach a VM", .run = hx_verb_ssh_config},
    {"exec", "run a command in a VM's guest", .run = hx_verb_exec},
    {"cp", "copy files between the host and a VM's guest", .run = hx_verb_cp},
    {"logs", "show what a VM's processes and its guest say", .run = hx_verb_logs},
    {"provision", "make a VM's guest serve sessions", .run = hx_verb_provision},
    {"session", "list, start and stop the desktops in a VM's guest",
     .actions = hx_verb_session_actions},
    {"stream", "view a session and count its frames", .run = hx_verb_stream},
    {"view", "show a session in the browser", .run = hx_verb_view},

    {"image", "make, fetch, show and remove base images", .actions = hx_verb_image_actions,
     .heading = "Images and VMs at rest"},
    {"profile", "list, show and check the profiles of VMs", .actions = hx_verb_profile_actions},
    {"define", "print a VM's libvirt domain or QEMU command line", .run = hx_verb_define},
    {"snapshot", "keep, list and restore states of a VM's disks",
     .actions = hx_verb_snapshot_actions},
    {"delete", "remove VMs with their disks and snapshots", .run = hx_verb_delete},

    {"doctor", "check the host as up would use it", .run = hx_verb_doctor,
     .heading = "helixvm itself"},
    {"completion", "print what makes a shell complete helixvm's words", .run = hx_verb_completion},
    {"help", "list the verbs, or tell more of one", .run = hx_verb_help},
    {"version", "print the versions of helixvm, libvirt and QEMU", .run = hx_verb_version},

    {"proxy", NULL, .run = hx_verb_proxy},
    {"complete", NULL, .run = hx_verb_complete},
    {"monitor", NULL, .run = hx_verb_monitor},
    {"try-venus", NULL, .run = hx_verb_try_venus},
    {.name = NULL},
};
