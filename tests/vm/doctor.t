#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# doctor: on this host as it is, and with each thing missing in turn.  What is hidden is hidden in a
# mount namespace of the test's own.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/..";
use Cwd 'abs_path';
use File::Copy;
use File::Temp;
use Files;
use IO::Pty;
use IO::Socket::UNIX;
use JSON::PP;
use Test::More;
use Time::HiRes 'time';

my $build = abs_path($ENV{BUILD} // 'build');
my $top = abs_path('.');
my $scratch = File::Temp->newdir('helixvm-doctor-XXXXXX', TMPDIR => 1);
mkdir "$scratch/$_" or die "$_: $!\n" for qw(empty state run);
my $empty = "$scratch/empty";

# The state of each check, by its name, with what is given hidden:
#   files => [...]       /dev/null is over them
#   folders => [...]     an empty folder is over them
#   own_libvirt => 1     libvirtd's sockets are hidden too: doctor starts one of its own
#   before => COMMAND    is run first
#   program, environment, options
# and its exit status as "exit".
sub doctor {
    my (%with) = @_;
    my @commands = ('set -e');
    push @commands, "mount -t tmpfs tmpfs /run" if $with{own_libvirt};
    push @commands, $with{before} if $with{before};
    push @commands, "mount --bind $empty $_" for @{ $with{folders} // [] };
    push @commands, "mount --bind /dev/null \$(readlink -f $_)" for @{ $with{files} // [] };
    my $program = $with{program} // "$build/helixvm";
    push @commands, 'exec env ' . ($with{environment} // '') . " $program doctor --json " . ($with{options} // '');
    put("$scratch/script", join "\n", @commands, '');
    my $text = join '', `unshare --mount --propagation private sh $scratch/script`;
    my $status = $? >> 8;
    my $found = eval { decode_json($text) } or return { exit => "$status: $text" };
    return { exit => $status, map { $_->{check} => $_ } @$found };
}

# One line says what is wrong, and how it is mended.
sub check_finding {
    my ($found, $check, $state, $text, $remedy) = @_;
    my $finding = $found->{$check} // { state => "nothing: $found->{exit}", text => '' };
    is($finding->{state}, $state, "  $check is $state");
    like($finding->{text}, $text, '  it says why');
    if ($remedy) {
        like($finding->{remedy} // 'none', $remedy, '  and what mends it');
    }
}

# --- as it is

my $whole = doctor();
is($whole->{exit}, 0, 'this host will do');
my $arm = doctor(options => '--set machine.arch=aarch64');
like($arm->{accelerators}{text}, qr/^tcg runs a machine/, 'the ARM emulator was tried');
my @checks = sort grep { $_ ne 'exit' } keys %$whole;
cmp_ok(scalar @checks, '>=', 18, 'many things are looked at');
is_deeply([grep { $whole->{$_}{state} eq 'broken' } @checks], [], 'nothing is broken');
like($whole->{libvirt}{text}, qr/libvirt \d+\.\d+\.\d+ at qemu:.*QEMU runs as \w/, 'libvirt and its user');
like($whole->{QEMU}{text}, qr/QEMU \d+\.\d+\.\d+/, 'the version of QEMU');
like($whole->{Venus}{text}, qr/libvirglrenderer \d.* on \w/, 'Venus was tried');
like($whole->{system}{text}, qr/Debian.*Linux \d/, 'the system is named');

my $table = join '', `$build/helixvm doctor`;
is($?, 0, 'as a table');
is(scalar(() = $table =~ /^(?:fine|degraded|broken) +\S/mg), scalar @checks, 'a line for each');
unlike($table, qr/\033/, 'without colours where there is no terminal');

# On a terminal it has colours, unless they are not wanted.
sub on_terminal {
    my (%environment) = @_;
    my $pty = IO::Pty->new;
    my $pid = fork // die "fork: $!\n";
    if ($pid == 0) {
        open STDOUT, '>&', $pty->slave;
        $ENV{$_} = $environment{$_} for keys %environment;
        exec "$build/helixvm", 'doctor' or die "exec: $!\n";
    }
    $pty->close_slave;
    my $screen = '';
    while (sysread $pty, $screen, 65536, length $screen) { }
    waitpid $pid, 0;
    return $screen;
}
like(on_terminal(TERM => 'xterm'), qr/^\033\[32mfine +\033\[0m +system /, 'colours on a terminal');
unlike(on_terminal(TERM => 'xterm', NO_COLOR => 1), qr/\033/, 'unless NO_COLOR is set');
unlike(on_terminal(TERM => 'dumb'), qr/\033/, 'or the terminal has none');

# --- each thing missing in turn

my @missing = (
    # what, how it is hidden, the check, its state, why, what mends it
    ['QEMU', { files => ['/usr/bin/qemu-system-x86_64'] },
        'QEMU', 'broken', qr/no QEMU/, qr/install qemu-system-x86/],
    ['libvirtd', { files => ['/usr/sbin/libvirtd'], own_libvirt => 1 },
        'libvirt', 'broken', qr/libvirtd does not run/, qr/install libvirt-daemon-system/],
    ['virtlogd', { files => ['/usr/sbin/virtlogd'] },
        'libvirt', 'broken', qr/no virtlogd/, qr/install libvirt-daemon-system/],
    ['/dev/kvm', { files => ['/dev/kvm'] },
        'accelerators', 'degraded', qr/kvm fails .*VMs run on tcg/],
    ['the right to use /dev/kvm',
        { before => "mknod $scratch/kvm c 10 232; chgrp video $scratch/kvm; chmod 0660 $scratch/kvm; mount --bind $scratch/kvm /dev/kvm" },
        'accelerators', 'degraded', qr/kvm fails .*VMs run on tcg/, qr/^usermod --append --groups video \w/],
    ['a group that has the right',
        { before => "mknod $scratch/kvm0 c 10 232; chmod 0 $scratch/kvm0; mount --bind $scratch/kvm0 /dev/kvm" },
        'accelerators', 'degraded', qr/kvm fails .*VMs run on tcg/, qr{^setfacl -m u:\d+:rw /dev/kvm$}],
    ['any accelerator', { files => ['/dev/kvm'], options => '--set machine.accelerators=kvm' },
        'accelerators', 'broken', qr/kvm fails/, qr/machine\.accelerators=kvm;tcg/],
    ['SDL in QEMU', { files => ['/usr/lib/x86_64-linux-gnu/qemu/ui-sdl.so'] },
        'GPU', 'broken', qr/does not start/, qr/install qemu-system-gui/],
    ['the GL device of QEMU',
        { files => ['/usr/lib/x86_64-linux-gnu/qemu/hw-display-virtio-gpu-gl.so'] },
        'GPU', 'broken', qr/does not start/, qr/install .*qemu-system-modules-opengl/],
    ['Xvfb', { files => ['/usr/bin/Xvfb'] },
        'display', 'broken', qr/Xvfb/, qr/install xvfb/],
    ['the render server', { files => ['/usr/libexec/virgl_render_server'] },
        'Venus', 'degraded', qr/no Vulkan in guests/, qr/install virgl-server/],
    ['virglrenderer', { files => ['/usr/lib/x86_64-linux-gnu/libvirglrenderer.so.1'] },
        'Venus', 'degraded', qr/virglrenderer\.so/, qr/install libvirglrenderer1/],
    ['a Vulkan driver', { folders => ['/usr/share/vulkan/icd.d'] },
        'Venus', 'degraded', qr/no Vulkan driver/, qr/install mesa-vulkan-drivers/],
    ['qemu-img', { files => ['/usr/bin/qemu-img'] },
        'image tools', 'broken', qr/no qemu-img/, qr/install qemu-utils/],
    ['mmdebstrap', { files => ['/usr/bin/mmdebstrap'] },
        'image tools', 'degraded', qr/no mmdebstrap: .*image build/, qr/install mmdebstrap/],
    ['mke2fs', { files => ['/sbin/mke2fs'] },
        'image tools', 'degraded', qr/no mke2fs/, qr/install e2fsprogs/],
    ['the image', { environment => "HELIXVM_STATE_DIR=$scratch/state" },
        'image', 'broken', qr/no base image/, qr/^helixvm image build default$/],
    ['firmware', { folders => ['/usr/share/qemu/firmware'], own_libvirt => 1 },
        'firmware', 'degraded', qr/no UEFI/, qr/install ovmf/],
    ['virtiofsd', { files => ['/usr/libexec/virtiofsd'] },
        'shared folders', 'degraded', qr/no virtiofsd: no folder/, qr/install virtiofsd/],
    ['passt', { files => ['/usr/bin/passt'] },
        'port forwards', 'degraded', qr/no passt: no port/, qr/install passt/],
    ['memory', { options => '--set machine.memory=1048576' },
        'memory', 'broken', qr/wants 1048576 MiB of memory.*the host has \d+ MiB available/, qr/--set machine\.memory=\d+$/],
    ['an image for the architecture', { options => '--set machine.arch=aarch64' },
        'image', 'broken', qr/aarch64/, qr/machine\.arch=auto/],
    ['QEMU for another architecture',
        { files => ['/usr/bin/qemu-system-aarch64'], options => '--set machine.arch=aarch64' },
        'QEMU', 'broken', qr/no QEMU/, qr/install qemu-system-arm/],
    ['a render node', { options => '--set gpu.display=egl-headless' },
        'display', 'broken', qr/no DRM render node/, qr/gpu\.display=auto/],
    ['vhost-vsock', { options => '--set vsock.device=kernel' },
        'vsock', 'broken', qr{/dev/vhost-vsock}, qr/modprobe vhost_vsock/],
    ['a usable state directory', { environment => "HELIXVM_STATE_DIR=$top/Makefile" },
        'directories', 'broken', qr/Not a directory/, qr/^unset HELIXVM_STATE_DIR$/],
);
for my $case (@missing) {
    my ($what, $how, $check, $state, $text, $remedy) = @$case;
    SKIP: {
        skip "a host with a render node", 4
            if $what =~ /^(SDL|Xvfb|a render)/ and $whole->{display}{state} eq 'fine';
        skip 'a host with vhost-vsock', 4 if $what eq 'vhost-vsock' and -c '/dev/vhost-vsock';
        my $found = doctor(%$how);
        note("without $what");
        check_finding($found, $check, $state, $text, $remedy);
        is_deeply([grep { ref $found->{$_} and $found->{$_}{state} eq 'broken' and !$found->{$_}{remedy} } keys %$found],
            [], '  and what is broken has a command that mends it');
        my $broken = grep { ref $found->{$_} and $found->{$_}{state} eq 'broken' } keys %$found;
        is($found->{exit}, $broken ? 6 : 0, '  the exit status tells whether something is broken');
    }
}

# --- a render node that is another group's

# There is none behind it, which nobody asks: only who may open it.  /dev and /etc are the test's own.
my $own_node = <<"END";
mkdir -p $scratch/dev $scratch/etc
mount -t tmpfs -o mode=755 dev $scratch/dev
for entry in /dev/*; do
    name=$scratch/dev/\${entry##*/}
    if [ -L \$entry ]; then cp -a \$entry \$name
    elif [ -d \$entry ]; then mkdir \$name; mount --rbind \$entry \$name
    elif [ -c \$entry ]; then touch \$name; mount --bind \$entry \$name
    fi
done
mkdir -p $scratch/dev/dri
mknod $scratch/dev/dri/renderD128 c 226 128
chgrp video $scratch/dev/dri/renderD128
mount --rbind $scratch/dev /dev
mount -t tmpfs etc $scratch/etc
cp -a /etc/. $scratch/etc/
mount --bind $scratch/etc /etc
END
SKIP: {
    skip 'a host with render nodes', 10 if -d '/dev/dri';
    for my $user ('', 'nobody') {
        my $before = $own_node . ($user ? qq(echo 'user = "$user"' >>/etc/libvirt/qemu.conf\n) : '') . 'chmod %s /dev/dri/renderD128';
        my @own = $user ? (own_libvirt => 1) : ();
        note($user ? "QEMU runs as $user, uid 65534" : "QEMU runs as libvirt's own user");
        my $found = doctor(@own, before => sprintf $before, '0660');
        my $remedy = qr/^usermod --append --groups video \Q$user\E/;
        check_finding($found, 'display', 'broken', qr{may not use /dev/dri/renderD128}, $remedy);
        $found = doctor(@own, before => sprintf "$before\n$found->{display}{remedy} >&2", '0660');
        check_finding($found, 'display', 'fine', qr{^/dev/dri/renderD128$});
        $found = doctor(@own, before => sprintf $before, '0600');
        check_finding($found, 'display', 'broken', qr/may not use/, qr{^setfacl -m u:\d+:rw /dev/dri/renderD128$});
        # setfacl(1) is of a package that helixvm does not need: what it does is said by chmod(1).
        $found = doctor(@own, before => sprintf $before, '0606');
        check_finding($found, 'display', 'fine', qr{^/dev/dri/renderD128$});
        like($found->{libvirt}{text}, qr/QEMU runs as nobody$/, '  libvirt runs QEMU as nobody') if $user;
    }
}

# --- helixvm's own parts, in a build of which one is missing

for my $case (
    ['helixvm-vsock', 'vsock', 'broken', qr/helixvm-vsock, a part of helixvm/, qr/make install/],
    ['helixvm-encoder', 'encoder', 'broken', qr/helixvm-encoder, a part/, qr/make install/],
    ['libhelixvm-export.so', 'export module', 'broken', qr/libhelixvm-export.so, a part/, qr/make install/],
) {
    my ($part, @expected) = @$case;
    my $copy = "$scratch/without-$part";
    mkdir $_ or die "$_: $!\n" for $copy, "$copy/build";
    copy("$build/helixvm", "$copy/build/helixvm") or die "copy: $!\n";
    chmod 0755, "$copy/build/helixvm";
    symlink "$top/qemu-profiles", "$copy/qemu-profiles";
    for my $other (qw(helixvm-vsock helixvm-encoder libhelixvm-export.so)) {
        symlink "$build/$other", "$copy/build/$other" if $other ne $part;
    }
    note("without $part");
    check_finding(doctor(program => "$copy/build/helixvm"), @expected);
}
my $spoilt = doctor(files => ["$build/libhelixvm-export.so"]);
check_finding($spoilt, 'export module', 'degraded', qr/cannot be preloaded/, qr/make install/);

# --- a libvirtd that never answers

# One that listens, in the place of libvirtd's own socket: connections are taken, and that is all.
my $silent = IO::Socket::UNIX->new(Local => "$scratch/silent", Listen => 5) or die "listen: $!\n";
my $begun = time;
my $hung = doctor(
    before => "mount -t tmpfs tmpfs /run && mkdir /run/libvirt && touch /run/libvirt/libvirt-sock"
        . " && mount --bind $scratch/silent /run/libvirt/libvirt-sock");
cmp_ok(time - $begun, '<', 40, 'a libvirtd that hangs does not hang doctor');
check_finding($hung, 'libvirt', 'broken', qr/no answer within \d+ s/, qr/libvirtd/);
is($hung->{QEMU}{state}, 'fine', 'what needs no libvirt has its answer');
is($hung->{exit}, 6, 'and something is broken');

# Ctrl-C does not wait for it.
$begun = time;
my $interrupted = fork // die "fork: $!\n";
if ($interrupted == 0) {
    $ENV{LIBVIRT_DEFAULT_URI} = "qemu:///system?socket=$scratch/silent";
    open STDERR, '>', "$scratch/interrupted";
    exec "$build/helixvm", 'doctor' or die "exec: $!\n";
}
until ((eval { scalar `cat /proc/$interrupted/task/*/comm 2>/dev/null` } // '') =~ /^libvirt$/m or time > $begun + 15) { }
my $asked = time;
kill 'INT', $interrupted;
waitpid $interrupted, 0;
is($? >> 8, 130, 'Ctrl-C ends doctor');
cmp_ok(time - $asked, '<', 5, 'at once');

done_testing;
