#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# Both architectures, emulated and booted by firmware, to READY: the image with its boot loader, the
# partition that grows, the firmware's own variables.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use HelixVM;
use Test::More;

# The architecture of the host last: its guest takes the least time.
chomp(my $host = `uname -m`);
for my $arch (sort { ($a eq $host) <=> ($b eq $host) } qw(aarch64 x86_64)) {
    # Kept, as the default image is: the next run finds it there.
    my $image = "minimal-$arch";
    my $began = time;
    helixvm_ok({seconds => 1200}, 'image', 'build', '--arch', $arch, '--minimal', '--firmware', $image);
    note(sprintf 'image for %s after %d s', $arch, time - $began);
    my ($listed) = grep { $_->{name} eq $image } @{json(helixvm_ok('image', 'list', '--json')->{out})};
    is($listed->{architecture}, $arch, "image $image is for $arch");

    my $vm = vm_name($arch =~ tr{_}{-}r);
    $began = time;
    my $up = helixvm_ok({seconds => 600}, 'up', $vm, '--profile', "$arch-tcg", '--set',
        "disk.image=$image", '--set', 'boot.mode=firmware', '--set', 'gpu.enabled=false', '--set',
        'machine.memory=1024', '--set', 'boot.cmdline=quiet helixvm.test=1');
    note(sprintf '%s ready after %d s', $arch, time - $began);
    my $status = status_of($vm);
    is($status->{accelerator}, 'tcg', "$arch: it is emulated");
    is($status->{state}, 'running', 'and runs');

    my $said = helixvm_ok('exec', $vm, '--', 'sh', '-c',
        'uname -m; test -d /sys/firmware/efi && echo UEFI; cat /proc/cmdline;'
            . ' df --output=size -BG / | tail -1; findmnt -no SOURCE /; systemctl --failed -q | wc -l')
        ->{out};
    my ($machine, $firmware, $cmdline, $size, $root, $failed) = split /\n/, $said;
    is($machine, $arch, "the guest is $arch");
    is($firmware, 'UEFI', 'it was booted by firmware');
    like($cmdline, qr/\bhelixvm\.test=1\b/, 'its kernel heard boot.cmdline');
    like($size, qr/^\s*(19|20)G$/, 'its root file system has grown to disk.size');
    is($root, '/dev/vda2', 'in its partition');
    is($failed, 0, 'no unit failed');

    cmp_ok(-s state_path($vm, 'nvram.fd'), '>', 2**18, 'the VM has variables of its own');
    is((stat state_path($vm, 'nvram.fd'))[2] & 077, 0, 'which nobody else reads');
    helixvm_ok('down', $vm);
    is(system('qemu-img', 'check', '-q', state_path($vm, 'disk.qcow2')), 0, 'its disk is clean');
    helixvm_ok('delete', '--yes', $vm);
    ok(!-e state_path($vm, 'nvram.fd'), 'deleted with the VM');
    is_deeply([leftovers($vm)], [], 'nothing is left');
}

done_testing;
