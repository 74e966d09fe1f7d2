#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# Each built-in profile's domain under the QEMU of its architecture: started by libvirt, paused before
# the first instruction, with the vsock device, the display and the preloaded module that `up` would
# give it.  Where this host lacks the profile's accelerator or render node, these alone are replaced,
# and the test's name says so.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use File::Basename;
use File::Copy;
use File::Temp;
use IO::Socket::UNIX;
use POSIX ();

my $dir;

BEGIN {
    $dir = File::Temp->newdir('helixvm-profiles-XXXXXX', TMPDIR => 1);
    chmod 0711, $dir; # QEMU's user goes through
    $ENV{HELIXVM_STATE_DIR} = "$dir/state";
    $ENV{HELIXVM_RUNTIME_DIR} = "$dir/run";
}
use HelixVM;
use Test::More;

my $build = $ENV{BUILD} // 'build';
my $images = $ENV{HELIXVM_TEST_IMAGES} // '/var/lib/helixvm/images';
my $vm = "accepted-$$";
my $state = "$dir/state/vms/$vm";
my $run = "$dir/run/$vm";

# The default image's kernel and ramdisk; the disks are empty.
make_hollow_image("$dir/state");
make_hollow_image("$dir/state", name => 'arm', architecture => 'aarch64', boot => 'firmware');
for my $image (qw(default arm)) {
    system('qemu-img', 'create', '-q', '-f', 'qcow2', "$dir/state/images/$image/disk.qcow2", '1G') == 0
        or BAIL_OUT('qemu-img');
}
for my $file (qw(kernel initrd)) {
    copy("$images/default/$file", "$dir/state/images/default/$file")
        or BAIL_OUT("no default image: $build/helixvm image build");
}
system('mkdir', '-p', $state, "$run/qemu") == 0 or die;
chmod 0711, $state, $run, "$dir/run", "$dir/state/vms";
chmod 0777, "$run/qemu", $state;
copy("$build/libhelixvm-export.so", "$state/libhelixvm-export.so") or die "module: $!\n";

# Start @command with @fds from descriptor 3 on: its process.
sub spawn {
    my ($fds, @command) = @_;
    my $pid = fork // die "fork: $!\n";
    return $pid if $pid;
    my @high = map { POSIX::dup2(fileno $fds->[$_], 100 + $_) } 0 .. $#$fds;
    $^F = 200;
    POSIX::dup2($high[$_], 3 + $_) for 0 .. $#high;
    exec @command or POSIX::_exit(127);
}

my @started;
pipe my $display_read, my $display_write or die;
push @started, spawn([$display_write], 'Xvfb', '-displayfd', '3', '-ac', '-nolisten', 'tcp');
close $display_write;
chomp(my $display = <$display_read> // '');
like($display, qr/^\d+$/, "an X server runs as :$display") or BAIL_OUT('no Xvfb');

sub virsh {
    my @args = @_;
    my $said = `virsh @args 2>&1`;
    return ($?, $said);
}

# The vsock device for one run of QEMU.
sub start_vsock {
    unlink "$run/vsock-device.sock", glob "$run/vsock.sock*";
    my $listener = IO::Socket::UNIX->new(Local => "$run/vsock-device.sock", Listen => 1)
        or die "listen: $!\n";
    chmod 0666, "$run/vsock-device.sock";
    pipe my $ready_read, my $ready_write or die;
    my $pid = spawn([$listener, $ready_write], "$build/helixvm-vsock", '--fd=3', '--ready-fd=4',
        '--guest-cid=3', "--host-socket=$run/vsock.sock");
    close $ready_write;
    <$ready_read>;
    return $pid;
}

for my $profile (map { basename($_, '.conf') } glob 'qemu-profiles/*.conf') {
    my $is_arm = $profile =~ /^(aarch64|macos)/;
    my $shown = json(helixvm_ok('profile', 'show', '--json', $profile)->{out});
    my @settings = ("disk.image=" . ($is_arm ? 'arm' : 'default'), 'vsock.device=vhost-user',
        'machine.memory=256');
    my @replaced;
    if ($shown->{'machine.accelerators'}{value} !~ /tcg/) {
        push @replaced, "$shown->{'machine.accelerators'}{value} replaced by tcg";
    }
    push @settings, 'machine.accelerators=tcg';
    if ($shown->{'gpu.display'}{value} eq 'egl-headless' and !glob '/dev/dri/renderD*') {
        push @settings, 'gpu.display=xvfb';
        push @replaced, 'render node replaced by Xvfb';
    }
    my $what = @replaced ? "$profile (" . join(', ', @replaced) . ')' : $profile;
    my $xml = helixvm_ok('define', $vm, '--profile', $profile, map { ('--set', $_) } @settings)->{out};
    # The monitor's X server has another number and a cookie.
    $xml =~ s/ display=":0" xauth="[^"]*"/ display=":$display"/;
    system("qemu-img create -q -f qcow2 $state/disk.qcow2 1G && chmod 0666 $state/disk.qcow2") == 0
        or die;
    put("$dir/domain.xml", $xml);
    # virsh starts no daemon where no init system does; helixvm starts libvirtd for itself.
    helixvm_ok('define', $vm, '--set', 'disk.image=default', '--format', 'argv');
    system('virtlogd', '-d', '--timeout', '20') if $> == 0 and !-S '/run/libvirt/virtlogd-sock';
    my $vsock = start_vsock();
    my ($failed, $said) = virsh('create', '--paused', "$dir/domain.xml");
    is($failed, 0, "$what: QEMU accepts it") or diag($said);
    my $domain = "helixvm-$vm";
    if (!$failed) {
        like((virsh('domstate', $domain))[1], qr/paused/, "$profile: it waits for its first instruction");
        my $pid = qemu_pid($vm);
        my ($emulator) = (readlink("/proc/$pid/exe") // '') =~ m{([^/]+)$};
        is($emulator, 'qemu-system-' . ($is_arm ? 'aarch64' : 'x86_64'), "$profile: by the right QEMU");
        my $pci = (virsh('qemu-monitor-command', $domain, '--hmp', "'info qtree'"))[1];
        like($pci, qr/dev: vhost-user-vsock-pci/, "$profile: with the vsock device");
        my $gpu = qr/dev: virtio-(vga|gpu)-gl/;
        if ($shown->{'gpu.enabled'}{value}) {
            like($pci, $gpu, "$profile: with the GPU");
        } else {
            unlike($pci, $gpu, "$profile: without a GPU");
        }
        virsh('destroy', $domain);
    }
    kill 'TERM', $vsock;
    waitpid $vsock, 0;
    unlink "$state/nvram.fd", "$state/disk.qcow2";
}

END {
    my $status = $?;
    virsh('destroy', "helixvm-$vm") if defined $vm and qemu_pid($vm);
    kill 'TERM', $_ for @started;
    waitpid $_, 0 for @started;
    $? = $status;
}

done_testing;
