#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# The domain that `up` would start: valid, and one that libvirt can translate for QEMU.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use File::Basename;
use File::Path qw(make_path);
use File::Temp;

# An image that is there, but empty: nothing is started.
my $dir;

BEGIN {
    $dir = File::Temp->newdir('helixvm-define-XXXXXX', TMPDIR => 1);
    $ENV{HELIXVM_STATE_DIR} = "$dir/state";
    $ENV{HELIXVM_RUNTIME_DIR} = "$dir/run";
}
use HelixVM;
use Test::More;

make_hollow_image("$dir/state");
make_hollow_image("$dir/state", name => 'arm', architecture => 'aarch64', boot => 'firmware');
make_hollow_image("$dir/state", name => 'uefi', boot => 'firmware');
my $vm = 'defined';

# The image that profile $name wants.
sub image_for {
    my ($name) = @_;
    return ('--set', 'disk.image=' . ($name =~ /^(aarch64|macos)/ ? 'arm' : 'default'));
}

for my $profile (map { basename($_, '.conf') } glob 'qemu-profiles/*.conf') {
    my @profile = ('--profile', $profile, image_for($profile));
    for my $settings ([], ['gpu.enabled=false'], ['gpu.venus=false'], ['network.mode=none'],
        ['vsock.device=kernel'], ['gpu.display=egl-headless'], ['machine.cpus=1'],
        ['disk.extra=data:2', 'share.folders=a:/srv;b:/usr:ro', 'network.forward=tcp:8080:80']) {
        my $what = "profile $profile @$settings";
        my $result = helixvm_ok('define', $vm, @profile, map { ('--set', $_) } @$settings);
        put("$dir/domain.xml", $result->{out});
        my $said = `virt-xml-validate $dir/domain.xml domain 2>&1`;
        is($?, 0, "$what: validates") or diag($said);
    }
}

sub argv_of {
    my @args = @_;
    return helixvm_ok('define', $vm, @args, '--format', 'argv')->{out};
}

my $arm = argv_of('--profile', 'aarch64-tcg', '--set', 'disk.image=arm');
like($arm, qr/qemu-system-aarch64/, 'an aarch64 guest has the QEMU of its architecture');
like($arm, qr{AAVMF_CODE}, 'and its firmware');
like($arm, qr{\Q$dir\E/state/vms/$vm/nvram\.fd}, 'with its own variables');
like($arm, qr/kernel-cmdline-extra=[^']*\bquiet\b/, 'which hears of boot.cmdline');
my $uefi = argv_of('--set', 'disk.image=uefi');
like($uefi, qr/OVMF_CODE/, 'an image without kernel boots by firmware');
unlike($uefi, qr/-kernel/, 'and by nothing else');
my $wrong = helixvm('define', $vm, '--profile', 'aarch64-tcg');
is($wrong->{status}, 3, 'an image of another architecture is refused');
like($wrong->{err}, qr/"default" is for x86_64.*aarch64.*image build/, 'saying how to get one');
$wrong = helixvm('define', $vm, '--set', 'boot.mode=firmware');
is($wrong->{status}, 3, 'as is firmware for an image that it cannot boot');
$wrong = helixvm('define', $vm, '--set', 'disk.image=uefi', '--set', 'boot.mode=direct');
is($wrong->{status}, 3, 'and direct boot of one without a kernel');

my $argv = helixvm_ok('define', $vm, '--set', 'vsock.device=vhost-user', '--format', 'argv')->{out};
like($argv, qr/\bvhost-user-vsock-pci\b/, 'for QEMU it has the vhost-user vsock device');
like($argv, qr/\bvirtio-vga-gl\b.*\bvenus\b/s, 'and the GPU with Venus');
like($argv, qr/-sandbox on,/, 'in the sandbox');
like($argv, qr/memory-backend-memfd.*"?share"?[:=](true|yes)/s, 'its memory is shared');
unlike($argv, qr/hostfwd|-vnc|-spice|tcp:/, 'no port of the host is opened');
unlike(helixvm_ok('define', $vm, '--set', 'gpu.enabled=false', '--format', 'argv')->{out},
    qr/virtio-vga-gl/, 'without gpu.enabled there is none');

$argv = helixvm_ok('define', $vm, map({ ('--set', $_) } 'disk.extra=data:2;logs:1',
    'network.forward=tcp:8080:80;udp:5300:53', 'share.folders=work:/srv;docs:/usr:ro'),
    '--format', 'argv')->{out};
like($argv, qr/"serial"\s*:\s*"data".*"serial"\s*:\s*"logs"/s, 'disks have their names as serial numbers');
like($argv, qr/vhost-user-fs-pci.*"tag"\s*:\s*"work".*"tag"\s*:\s*"docs"/s, 'folders their tags');
unlike($argv, qr/hostfwd/, 'a forwarded port is none of QEMU\'s');

my $bad = helixvm('define', $vm, '--format', 'yaml');
is($bad->{status}, 2, 'another format is a usage error');
like($bad->{err}, qr/xml or argv.*yaml/, 'that says what there is');
is(helixvm('define', $vm, '--set', 'machine.cpus=0')->{status}, 3, 'a value out of bounds is refused');
is_deeply([leftovers($vm)], [], 'nothing was started');

# Where libvirt is not there: a new VM goes again, one that was there stays.
make_path("$dir/state/vms/old");
put("$dir/state/vms/old/profile.conf", "[machine]\nmemory=256\n");
for my $name ('new', 'old') {
    my $failed = helixvm('up', $name, '--connect', 'nowhere:///');
    is($failed->{status}, 6, "up $name without libvirt fails");
    like($failed->{err}, qr{cannot connect to libvirt at nowhere:///}, 'for that');
    # Its lock goes last.
    my $gone = wait_until(60, sub { !-e "$dir/state/locks/$name" });
    ok($gone, 'its monitor has ended');
}
is(helixvm_ok('list', '--quiet')->{out}, "old\n", 'the new VM is none, the other is one');
ok(!-e "$dir/state/vms/new", 'nothing is left of it');

done_testing;
