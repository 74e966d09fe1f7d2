#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# The ways to the frame-export service beside vsock: TCP and a virtio-serial port, each with a client
# in the guest; the settings that the service gets from the profile; and frames that are blob resources.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use File::Temp ();
use HelixVM;
use IO::Socket::INET;
use List::Util qw(max);
use Test::More;

my $vm = vm_name('ways');
my $serial = '/dev/virtio-ports/com.helix.frame-export';
my $answered = "keyframe, pts 123456789, whole\n";

sub free_socket {
    return IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1', ReuseAddr => 1);
}

sub client {
    my (@arguments) = @_;
    return helixvm({seconds => 90}, 'exec', $vm, '--', 'perl', '/tmp/hxfr-client.pl', @arguments);
}

sub set { return map { ('--set', $_) } @_ }

# --- what is refused before anything starts -----------------------------------------------------------
my $taken = free_socket();
my $port = $taken->sockport;
for my $case (
    [[ 'encoder.tcp=true', "encoder.tcp-port=$port" ], 6, qr/TCP port $port of 127\.0\.0\.1: process $$ \(/],
    [[ 'encoder.tcp=true', 'network.mode=none' ], 3, qr/encoder\.tcp needs network\.mode=user/],
    [[ 'encoder.tcp=true', 'encoder.tcp-port=2345', 'network.forward=tcp:2345:80' ], 3,
        qr/both want TCP port 2345/],
    [['encoder.tcp-port=80'], 3, qr/from 1024 to 65535/],
    [['encoder.threads=0'], 3, qr/from 1 to 16/],
    [['encoder.encoders=x264;nul'], 3, qr/a list of x264, null, separated by ';'; the nearest is null/],
) {
    my ($settings, $status, $message) = @$case;
    my $result = helixvm('up', '--quiet', $vm, set(@$settings));
    is($result->{status}, $status, "@$settings: refused");
    like($result->{err}, $message, 'and why');
    ok(!-e state_path($vm, ''), 'nothing is there of the VM') or last;
}
close $taken;

# --- in the guest -----------------------------------------------------------------------------------
helixvm_ok('up', '--quiet', $vm, set('encoder.tcp=true', "encoder.tcp-port=$port",
    'encoder.serial=true', 'encoder.encoders=x264;null', 'encoder.preset=ultrafast', 'encoder.threads=2', 'encoder.max-sessions=3'));
my $told = status_of($vm)->{encoder};
is_deeply([@$told{qw(encoders preset threads max_sessions)}], [['x264', 'null'], 'ultrafast', 2, 3],
    'its settings reach the encoder');
my @local = slurp('/proc/net/tcp') =~ /: ([0-9A-F]{8}):@{[sprintf '%04X', $port]} 0+:0+ 0A /g;
is_deeply(\@local, ['0100007F'], 'TCP is on 127.0.0.1 alone');
unlike(slurp('/proc/net/tcp6'), qr/:@{[sprintf '%04X', $port]} 0+:0+ 0A /, '... and on no other address');
is((stat runtime_path($vm, 'encoder.sock'))[2] & 07777, 0600, 'the statistics are on a socket of its user alone');
helixvm_ok('cp', "$FindBin::Bin/hxfr-client.pl", "$vm:/tmp/hxfr-client.pl");

my $line = connect_port($vm, 5000);
$line->autoflush;

# Ask for a keyframe of a resource, as XR24: the answer's type, and the error's code or the H.264.
sub ask {
    my ($id, $width, $height, $stride) = @_;
    print $line pack('a4 C C v V', 'HXFR', 1, 0, 1, 44),
        pack('V5 q< q< C x7', $id, $width, $height, 0x34325258, $stride, 1, 0, 1);
    read($line, my $head, 12) == 12 or die "no answer\n";
    my ($type, $size) = unpack 'x4 C x3 V', $head;
    read($line, my $payload, $size);
    return ($type, $type == 0xff ? unpack 'l<', $payload : substr $payload, 28);
}

# From its sandbox, without root's capabilities, the encoder reaches the module in QEMU.
is_deeply([ask(0xffffff, 0, 0, 0)], [0xff, -2], 'a resource that is not there is told as such');
ok(status_of($vm)->{encoder}{module}{connected}, 'by the module in QEMU');

# --- blobs: bytes, of which the request tells the layout -----------------------------------------------
my $dir = File::Temp->newdir;
helixvm_ok('cp', ($ENV{BUILD} // 'build') . '/stress/blobs', "$vm:/tmp/blobs");
helixvm_ok('exec', $vm, '--', 'systemd-run', '--quiet', '--unit=blobs',
    '--property=StandardOutput=truncate:/tmp/made', '/tmp/blobs');
my $made = helixvm_ok({seconds => 60}, 'exec', $vm, '--', 'sh', '-c',
    'until grep -q "^made$" /tmp/made || systemctl is-failed -q blobs; do sleep 0.1; done;'
        . 'cat /tmp/made; journalctl -q -o cat -u blobs')->{out};
like($made, qr/^made$/m, 'the guest makes blobs of each kind') or diag($made);
my %blob = map { /^(\S+) (\d+) (\d+) (\d+) (\d+) (.*)/ ? ($1 => [$2, $3, $4, $5, split ' ', $6]) : () }
    split /\n/, $made;

# The middles of the quarters of the first picture of a stream, as RRGGBB, and how far they may be off.
sub quarters {
    my ($stream, $width, $height) = @_;
    put("$dir/blob.h264", $stream);
    my $rgb = `ffmpeg -v error -f h264 -i $dir/blob.h264 -frames:v 1 -f rawvideo -pix_fmt rgb24 \\
        -vf scale=in_color_matrix=bt709:in_range=tv -`;
    return map { pixel($rgb, $width, $$_[0], $$_[1]) } map {
        my $y = $_;
        map { [$_, $y] } $width / 4, 3 * $width / 4
    } $height / 4, 3 * $height / 4;
}

for my $kind (qw(guest guest-shareable virgl venus)) {
    my ($id, $width, $height, $stride, @colours) = @{$blob{$kind}};
    my ($type, $stream) = ask($id, $width, $height, $stride);
    is($type, 2, "$kind: there is a frame") or diag($stream);
    my @seen = $type == 2 ? quarters($stream, $width, $height) : ();
    for my $quarter (0 .. 3) {
        my @wanted = unpack 'C3', pack 'H6', $colours[$quarter];
        my $off = max(map { abs($seen[$quarter][$_] - $wanted[$_]) } 0 .. 2);
        cmp_ok($off, '<=', 6, "$kind: quarter $quarter has its colour");
    }
    is_deeply([ask($id, $width, $height + 1, $stride)], [0xff, -3], "$kind: a line more than it has");
    is_deeply([ask($id, $width, $height, 0xfffffffc)], [0xff, -3], "$kind: a stride that is too long");
    is_deeply([ask($id, $width, $height, 4 * $width - 4)], [0xff, -3], "$kind: one that is too short");
    is_deeply([ask($id, 8192, 2048, 32768)], [0xff, -3], "$kind: as much as a frame may have");
    is_deeply([ask($id, 0, 0, 0)], [0xff, -3], "$kind: no layout");
}
is_deeply([ask(@{$blob{unmapped}}[0 .. 3])], [0xff, -3], "a buffer on the host's GPU that nothing maps");
my $qemu = qemu_pid($vm);
helixvm_ok('exec', $vm, '--', 'systemctl', 'kill', '--signal=KILL', 'blobs');
for my $kind (sort keys %blob) {
    my ($id, @layout) = @{$blob{$kind}};
    ok(wait_until(20, sub { join(' ', ask($id, @layout)) eq '255 -2' }), "$kind: it is gone with its program");
}
is(qemu_pid($vm), $qemu, 'QEMU runs on');
close $line;

# A short form of `make stress-blobs`.
helixvm_ok('cp', "$FindBin::Bin/../stress/blob-rounds.sh", "$vm:/tmp/");
is(helixvm({seconds => 240}, 'exec', $vm, '--', 'sh', '/tmp/blob-rounds.sh', 20)->{out}, "done\n",
    'three programs at once map blobs and are killed: no CPU of the guest loses what it writes');

# --- the ways -------------------------------------------------------------------------------------------
my @ways = (['tcp', "10.0.2.2:$port"], ['serial', $serial]);
for my $way (@ways) {
    my $result = client(@$way, 'frame');
    is($result->{out}, $answered, "a frame by $way->[0]") or diag($result->{err});
}
is(client(@{$ways[1]}, 'half')->{out}, "half of a frame\n", 'a client that ends within a message');
my $result = client(@{$ways[1]}, 'frame');
is($result->{out}, $answered, '... and the next one on the same port') or diag($result->{err});

my $pid = status_of($vm)->{processes}{'helixvm-encoder'}{pid};
kill 'KILL', $pid;
ok(wait_until(30, sub { (status_of($vm)->{processes}{'helixvm-encoder'}{pid} // $pid) != $pid }),
    'the encoder is killed, and there is another');
for my $way (@ways) {
    $result = client(@$way, 'frame');
    is($result->{out}, $answered, "a frame by $way->[0] again") or diag($result->{err});
}

my $second = helixvm('up', '--quiet', "$vm-2", set('encoder.tcp=true', "encoder.tcp-port=$port"));
is($second->{status}, 6, "a second VM cannot have the first one's port");
like($second->{err}, qr/TCP port $port of 127\.0\.0\.1: process \d+ \(helixvm/, 'and is told who has it');

down_and_delete($vm);
is_deeply([leftovers($vm)], [], 'nothing is left');
ok(IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1', LocalPort => $port, ReuseAddr => 1),
    'the port is free again');

done_testing;
