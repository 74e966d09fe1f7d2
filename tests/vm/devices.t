#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# Disks, ports and folders: in the guest as the profile says, and refused where the host has not got
# what they take.  The guest has no GPU: its frames go to the host as pixels.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use File::Temp;
use HelixVM;
use IO::Socket::INET;
use Test::More;

my $vm = vm_name('devices');
my $dir = File::Temp->newdir('helixvm-devices-XXXXXX', TMPDIR => 1);
mkdir "$dir/$_" or die "$_: $!\n" for qw(work docs);
my @quick = map { ('--set', $_) } 'gpu.enabled=false', 'machine.accelerators=tcg';

sub settings { return map { ('--set', $_) } @_ }

sub listener {
    my ($protocol) = @_;
    return IO::Socket::INET->new(LocalAddr => '127.0.0.1', Proto => $protocol,
        $protocol eq 'tcp' ? (Listen => 1) : ()) // die "listen: $!\n";
}

# A port that nobody has now.
sub free_port { return listener($_[0])->sockport }

sub in_guest {
    my (@command) = @_;
    return helixvm_ok({seconds => 60}, 'exec', $vm, '--', @command)->{out};
}

# --- refused, before anything is there of the VM ------------------------------------------------
my $taken = listener('tcp');
my $port = $taken->sockport;
for my $case (
    ['machine.memory=1048576', 6, qr/1048576 MiB of memory.*the host has \d+ MiB available/],
    ['disk.size=65536', 6, qr/may grow by 65536\.0 GiB.* has \d+\.\d GiB/],
    ['disk.extra=data:65536', 6, qr/may grow by 655\d\d\.\d GiB/],
    ["network.forward=tcp:$port:80", 6, qr/tcp port $port of 127\.0\.0\.1.*process $$ \(/],
    ['network.forward=tcp:80:80', 6, qr/tcp port 80 .*privileged/],
    ["network.forward=tcp:$port:80;tcp:$port:81", 3, qr/tcp port $port is there twice/],
    ["share.folders=a:$dir/nothing", 3, qr{cannot share \Q$dir\E/nothing.*No such file}],
    ['share.folders=a:/', 3, qr/helixvm's own/],
) {
    my ($setting, $status, $message) = @$case;
    my $result = helixvm('up', $vm, @quick, settings($setting));
    is($result->{status}, $status, "$setting: refused");
    like($result->{err}, $message, 'with the figures, or who has it');
    ok(!-e state_path($vm, ''), 'nothing is there of the VM') or last;
}
is(helixvm('up', $vm, @quick, settings('network.mode=none', 'network.forward=tcp:2000:80'))->{status},
    3, 'a forward without a network is refused');
is_deeply([leftovers($vm)], [], 'and nothing runs');

# --- in the guest ---------------------------------------------------------------------------------
my ($tcp, $udp) = (free_port('tcp'), free_port('udp'));
put("$dir/work/from-host", "host\n");
put("$dir/docs/page", "read\n");
put("$dir/work/server.pl", <<'SERVER');
use IO::Socket::INET;
my $tcp = IO::Socket::INET->new(LocalPort => 80, Listen => 5, ReuseAddr => 1) or die "tcp: $!";
my $udp = IO::Socket::INET->new(LocalPort => 5300, Proto => 'udp') or die "udp: $!";
exit 0 if fork;
if (fork) {
    while (my $client = $tcp->accept) { print $client 'tcp ', scalar <$client>; close $client }
} else {
    while (defined $udp->recv(my $message, 100)) { $udp->send("udp $message") }
}
SERVER
helixvm_ok('up', $vm, @quick, settings('disk.extra=data:2;logs:1',
    "network.forward=tcp:$tcp:80;udp:$udp:5300", "share.folders=work:$dir/work;docs:$dir/docs:ro"));

my $disks = in_guest('sh', '-c',
    'for d in data logs; do blockdev --getsize64 /dev/disk/by-id/virtio-$d; done');
is($disks, 2 * 2**30 . "\n" . 2**30 . "\n", 'the disks are there by their names, with their sizes');
in_guest('sh', '-c', 'echo kept | dd of=/dev/disk/by-id/virtio-data conv=fsync status=none');

is(in_guest('cat', '/mnt/work/from-host', '/mnt/docs/page'), "host\nread\n",
    'the folders are mounted, and have what the host put there');
in_guest('sh', '-c', 'echo guest >/mnt/work/from-guest');
is(contents("$dir/work/from-guest"), "guest\n", 'the host sees what the guest wrote');
my $written = helixvm('exec', $vm, '--', 'sh', '-c', 'mount -o remount,rw /mnt/docs; touch /mnt/docs/x');
isnt($written->{status}, 0, 'a read-only folder cannot be written to');
ok(!-e "$dir/docs/x", 'whatever the guest mounts it as');

in_guest(qw(systemd-run --quiet --service-type=forking perl /mnt/work/server.pl));
my $client = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $tcp, Timeout => 10);
ok($client, 'the forwarded TCP port is open') and print $client "hello\n";
is($client ? scalar <$client> : undef, "tcp hello\n", 'and the guest answers');
my $packet = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $udp, Proto => 'udp');
$packet->send("hello\n");
my $waiting = '';
vec($waiting, fileno $packet, 1) = 1;
my $answer = select($waiting, undef, undef, 10) ? do { $packet->recv(my $text, 100); $text } : undef;
is($answer, "udp hello\n", 'so does the UDP port');
my @addresses = ('127.0.0.2', `ip -4 -o addr show scope global` =~ /inet ([0-9.]+)/g);
ok(!IO::Socket::INET->new(PeerAddr => $_, PeerPort => $tcp, Timeout => 5), "not on $_")
    for @addresses;
my ($listening) = slurp('/proc/net/udp') =~ /: ([0-9A-F]{8}):@{[sprintf '%04X', $udp]} /;
is($listening, '0100007F', 'UDP listens on 127.0.0.1 alone');

my $second = helixvm('up', "$vm-2", @quick, settings("network.forward=tcp:$tcp:81"));
is($second->{status}, 6, 'another VM cannot have the port');
like($second->{err}, qr/process \d+ \(passt/, 'and is told who has it');
ok(!-e state_path("$vm-2", ''), 'it is not there');

# --- frames without a GPU ------------------------------------------------------------------------
helixvm_ok({seconds => 300}, 'provision', $vm);
my $stream = "$dir/no-gpu.h264";
my $seen = json(helixvm_ok({seconds => 120}, 'stream', $vm, '--duration', 2, '--output', $stream, '--quiet', '--json')->{out});
is("$seen->{source}, $seen->{encoder}", 'pixels, vsockenc', 'the host encodes, from pixels');
is(`ffmpeg -v warning -f h264 -i $stream -f null - 2>&1`, '', 'ffmpeg decodes it');
my $told = status_of($vm);
is($told->{display}, 'none', 'status: there is no display');
is($told->{encoder}{module}{reason}, 'not configured', 'and so nothing to be read by the module');
like(helixvm_ok('status', $vm)->{out}, qr/frames from pixels, .* by x264\n +ms \(p99\): read .*, send [\d.]+ \([\d.]+\)\n +[1-9]\d* keyframes, .* 0 dropped, 0 errors;/,
    'and what becomes of its frames');

# --- kept, and grown ------------------------------------------------------------------------------
helixvm_ok('down', $vm);
for my $file (qw(disk.qcow2 extra-data.qcow2 extra-logs.qcow2)) {
    my $said = `qemu-img check @{[state_path($vm, $file)]} 2>&1`;
    is($?, 0, "$file is clean") or diag($said);
}
my $shrunk = helixvm('up', $vm, settings('disk.size=19'));
is($shrunk->{status}, 3, 'no disk is shrunk');
like($shrunk->{err}, qr/has 20\.0 GiB and cannot be shrunk to 19\.0 GiB/, 'which is said');
unlike(slurp(state_path($vm, 'profile.conf')), qr/^size=19$/m, 'and not kept as what it wants');
helixvm_ok('up', $vm, settings('disk.size=22', 'disk.extra=data:3', 'network.forward=',
    'share.folders='));
is(in_guest('sh', '-c', 'blockdev --getsize64 /dev/vda; head -n 1 /dev/disk/by-id/virtio-data;' .
    'blockdev --getsize64 /dev/disk/by-id/virtio-data; ls /dev/disk/by-id'),
    22 * 2**30 . "\nkept\n" . 3 * 2**30 . "\nvirtio-data\n",
    'the disks have grown and kept what they had; one that is not listed is not there');
cmp_ok(in_guest('df', '--output=size', '-BG', '/') =~ /^\s*(\d+)G$/m ? $1 : 0, '>', 20,
    'the guest\'s file system has grown, too');
ok(-e state_path($vm, 'extra-logs.qcow2'), 'its file is kept');
helixvm_ok('down', $vm);
helixvm_ok('delete', '--yes', $vm);
ok(!-e state_path($vm, ''), 'all disks go with the VM');
# It had no display.
is_deeply([grep { !/^X socket/ } leftovers($vm)], [], 'nothing is left');
is(`ps -e -o args=` =~ /(virtiofsd .*\Q$dir\E.*)/ ? $1 : undef, undef, 'no virtiofsd is');

done_testing;
