#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# A guest that takes no credentials from its host: cloud-init sets it up from the seed, and `up` works
# as with any other.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use File::Temp;
use HelixVM;
use Test::More;

my $main = $$;
my $image = "t$$-seed";
my $vm = vm_name('seed');
my $dir = File::Temp->newdir('helixvm-seed-XXXXXX', TMPDIR => 1);
put("$dir/from-host", "host\n");

# The VM lies on the image, and so goes first.
END {
    if ($$ == $main) {
        my $status = $?;
        down_and_delete($vm);
        helixvm('image', 'remove', $image);
        $? = $status;
    }
}

sub in_guest {
    my (@command) = @_;
    return helixvm_ok({seconds => 60}, 'exec', $vm, '--', @command)->{out};
}

helixvm_ok({seconds => 600}, 'image', 'build', $image, '--minimal', '--package', 'cloud-init');
helixvm_ok({seconds => 400}, 'up', $vm, map { ('--set', $_) } "disk.image=$image", 'boot.seed=nocloud',
    'gpu.enabled=false', 'machine.accelerators=tcg', "share.folders=work:$dir",
    'boot.cmdline=root=/dev/vda rw console=ttyS0 quiet systemd.import_credentials=no');

my $given = in_guest('sh', '-c', 'ls /run/credentials/@system 2>/dev/null; true');
is($given, '', 'the guest took no credential');
is(in_guest('hostname'), "$vm\n", 'it has its name from the seed');
is(in_guest('cat', '/mnt/work/from-host'), "host\n", 'the host\'s folder is mounted');
like(in_guest('cat', '/root/.ssh/authorized_keys'), qr/^ssh-ed25519 /, 'root admits the VM\'s key');
like(in_guest('cloud-id'), qr/^nocloud$/m, 'cloud-init has found the seed');
is(in_guest('systemctl', 'is-active', 'helixvm-guest.service'), "active\n", 'the word READY is sent');
my $first = in_guest('cat', '/var/lib/cloud/data/instance-id', '/etc/ssh/ssh_host_ed25519_key.pub');

my $seed = state_path($vm, 'seed.iso');
is(sprintf('%o', (stat $seed)[2] & 07777), '600', 'nobody else may read the seed');
isnt(helixvm('exec', $vm, '--', 'sh', '-c',
    'dd if=/dev/zero of=/dev/disk/by-id/virtio-helixvm-seed count=1 2>/dev/null')->{status}, 0,
    'nor may the guest write to it');

# Every boot, and where SSH on vsock is for the seed to make.
in_guest('sh', '-c', 'mkdir -p /etc/systemd/system-generators && ' .
    'ln -sf /dev/null /etc/systemd/system-generators/systemd-ssh-generator && sync');
helixvm_ok('down', $vm);
helixvm_ok({seconds => 400}, 'up', $vm);
is(in_guest('cat', '/var/lib/cloud/data/instance-id', '/etc/ssh/ssh_host_ed25519_key.pub'), $first,
    'the same instance boots again, with the same host key');
is(in_guest('systemctl', 'is-active', 'helixvm-ssh.socket'), "active\n",
    'a guest whose systemd makes no SSH socket on vsock has the seed\'s');
is(in_guest('cat', '/mnt/work/from-host'), "host\n", 'the host\'s folder is mounted again');
helixvm_ok('down', $vm);
is_deeply([grep { !/^X socket/ } leftovers($vm)], [], 'nothing is left');

done_testing;
