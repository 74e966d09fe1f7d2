#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# helixvm-vsock with a Linux guest: messages keep their boundaries, a thousand connections at once,
# whom nobody listens to hears so at once, one that is killed is back within a second, and what it is
# used to: a guest that is suspended, whose driver goes and comes back, and that reboots, also while
# nobody takes what it has to say.
use strict;
use warnings;
use Errno qw(ECONNRESET EAGAIN);
use FindBin;
use lib $FindBin::Bin;
use HelixVM;
use IO::Select;
use IO::Socket::UNIX;
use Socket qw(AF_UNIX SOCK_NONBLOCK SOCK_STREAM pack_sockaddr_un);
use Test::More;
use Time::HiRes qw(sleep time);

my $vm = vm_name('vsock');
my $ends = "$FindBin::Bin/vsock-ends.pl";
my $host = runtime_path($vm, 'vsock.sock');
# Around where a buffer, a page and a packet of Linux ends, and what takes several packets.
my @sizes = (1, 2, 4000, 4052, 4053, 5000, 65536, 65537, 70000, 200000, 1);

sub in_guest {
    my (@arguments) = @_;
    return helixvm({seconds => 150}, 'exec', $vm, '--', 'sh', '-c',
        'ulimit -n 4096; exec perl /tmp/vsock-ends.pl "$@"', 'sh', @arguments);
}

sub on_host { return finish(start_command($^X, $ends, @_), 150) }

my @servers;

sub serve_on_host {
    my ($type, $port) = @_;
    push @servers, start_command('sh', '-c', 'ulimit -n 4096; exec "$@"', 'sh', $^X, $ends, 'serve',
        $type, "unix:${host}_$port");
    ok(wait_until(10, sub { -S "${host}_$port" }), "the host listens at $port, $type");
}

sub came_back {
    my ($result, $what) = @_;
    is($result->{out}, "all ${\scalar @sizes} came back\n", $what) or diag($result->{err});
}

helixvm_ok('up', '--quiet', '--set', 'vsock.device=vhost-user', $vm);
my $device = status_of($vm)->{processes}{'helixvm-vsock'}{pid};

# Its connections' sockets and those that stay.
sub sockets_of_device {
    return scalar grep { (readlink // '') =~ /^socket:/ } glob "/proc/$device/fd/*";
}
my $sockets_at_first = sockets_of_device();
helixvm_ok('cp', $ends, "$vm:/tmp/vsock-ends.pl");

# To where the monitor listens for READY, and not a word.
my $ready = runtime_path($vm, 'vsock.sock_5009');
my $silent = start_helixvm('exec', $vm, '--', 'perl', '/tmp/vsock-ends.pl', 'broken', 'stream', 'vsock:2:5009');

serve_on_host('seqpacket', 7000);
serve_on_host('stream', 7001);
came_back(in_guest('check', 'seqpacket', 'vsock:2:7000', @sizes), 'messages of the guest, and back');
came_back(in_guest('check', 'stream', 'vsock:2:7001', @sizes), 'a stream of the guest, and back');

for my $type (qw(seqpacket stream)) {
    my $port = $type eq 'stream' ? 8001 : 8000;
    push @servers, start_helixvm('exec', $vm, '--', 'perl', '/tmp/vsock-ends.pl', 'serve', $type,
        "vsock:4294967295:$port");
    my $address = 'unix:' . ($type eq 'stream' ? $host : "${host}_seqpacket") . ":$port";
    my $result;
    wait_until(60, sub { ($result = on_host('check', $type, $address, @sizes))->{status} == 0 });
    came_back($result, "a host's $type to the guest, and back");
}

my $result = in_guest('many', 'stream', 'vsock:2:7001', 1000);
is($result->{out}, "1000 at once\n", 'a thousand connections at once') or diag($result->{err});

# Nobody there, and nobody for this type.
for my $case (['stream', 7999], ['seqpacket', 7999], ['stream', 7000], ['seqpacket', 7001]) {
    my ($type, $port) = @$case;
    $result = in_guest('refused', $type, "vsock:2:$port");
    my ($error, $ms) = split ' ', $result->{out};
    is($error, ECONNRESET, "the guest's $type to $port is refused") or diag($result->{err});
    cmp_ok($ms, '<', 1000, "... within $ms ms");
}
for my $path ($host, "${host}_seqpacket") {
    my $type = $path eq $host ? 'stream' : 'seqpacket';
    my $start = time;
    $result = on_host('refused', $type, "unix:$path:8999");
    like($result->{err}, qr/CONNECT 8999: the answer is ''/, "the host's $type to nobody ends");
    cmp_ok(time - $start, '<', 1, sprintf '... within %.0f ms', 1000 * (time - $start));
}

is(finish($silent, 60)->{out}, "connected\n0\n", 'the monitor closes on a guest that says nothing');

# --- suspended and resumed -----------------------------------------------------------------------

my $build = $ENV{BUILD} // 'build';
my $pattern = pack 'N*', map { $_ * 2654435761 & 0xffffffff } 1 .. 1 << 20;

# A connection to the guest's server at $port, of four digits, that gives all back.
sub connect_guest {
    my ($port) = @_;
    my $socket = IO::Socket::UNIX->new(Peer => $host) // die "$host: $!";
    print {$socket} "CONNECT $port\n";
    $socket->flush;
    my $answer = '';
    1 while length $answer < 8 && sysread $socket, $answer, 8 - length $answer, length $answer;
    die "CONNECT $port: '$answer'\n" unless $answer eq "OK $port\n";
    return $socket;
}

# Write from $pattern until nothing was taken for a second; how much was.
sub write_until_held {
    my ($socket) = @_;
    my ($done, $since) = (0, time);
    $socket->blocking(0);
    while (time - $since < 1) {
        if (my $n = syswrite $socket, $pattern, 65536, $done) {
            ($done, $since) = ($done + $n, time);
        } else {
            die "write: $!" unless $! == EAGAIN;
            sleep 0.05;
        }
    }
    return $done;
}

# The rest of $pattern behind $done, and all of it back: what came.
sub write_rest {
    my ($socket, $done) = @_;
    my ($back, $end) = ('', time + 60);
    while (length $back < length $pattern && time < $end) {
        my ($can_read, $can_write) = map { $_ // [] } IO::Select->select(IO::Select->new($socket),
            $done < length $pattern ? IO::Select->new($socket) : undef, undef, 1);
        $done += syswrite($socket, $pattern, 65536, $done) // 0 if @$can_write;
        next unless @$can_read;
        last unless sysread $socket, $back, 65536, length $back;
    }
    return $back;
}

# What was written to $socket and not read yet, with the kernel's own share (SIOCOUTQ, unix(7)).
sub unread {
    my ($socket) = @_;
    my $size = pack 'i', 0;
    ioctl $socket, 0x5411, $size or die "SIOCOUTQ: $!";
    return unpack 'i', $size;
}

sub signal_all {
    my ($signal, $process) = @_;
    kill $signal, -$process->{pid};
}

helixvm_ok('cp', "$build/bench/traffic", "$vm:/tmp/traffic");
# The guest opens them: a suspended one could not answer.
my $here = start_command('sh', '-c', 'echo "$1" | "$2"', 'sh', "mixed stream unix-listen:${host}_9000 0 0 0",
    "$build/bench/traffic");
ok(wait_until(60, sub { slurp($here->{out}->filename) =~ /listening/ }), 'traffic on the host');
my $held = connect_guest(8001);
my $before = sockets_of_device();
my $there = start_helixvm('exec', $vm, '--', 'sh', '-c', 'echo "$1" | /tmp/traffic', 'sh',
    'mixed stream vsock:9000 20 200000000 1');
ok(wait_until(60, sub { sockets_of_device() >= $before + 15 }), 'and with the guest');
signal_all('STOP', $here); # so that it is under way whenever the guest stops
system('virsh', '-q', 'suspend', "helixvm-$vm") == 0 or die "virsh suspend\n";
ok(wait_until(10, sub { status_of($vm)->{state} eq 'paused' }), 'the guest is suspended');
signal_all('CONT', $here);
my $taken = write_until_held($held);
ok($taken > 0 && $taken < 1 << 20, "a host's writer is held back, after $taken bytes");
cmp_ok(unread($held), '>=', $taken, 'the device reads nothing that nobody takes');
unlike(slurp($here->{out}->filename), qr/^(done|error)/m, '20 connections both ways are under way');
system('virsh', '-q', 'resume', "helixvm-$vm") == 0 or die "virsh resume\n";
ok(write_rest($held, $taken) eq $pattern, 'it goes on after that, and all comes back');
for my $end ($here, $there) {
    my $result = finish($end, 120);
    like($result->{out}, qr/^done /m, 'and so do the 20') or diag($result->{err});
}

# --- the device is killed ------------------------------------------------------------------------

# Whether nothing but the end comes.
sub ended {
    my ($socket, $seconds) = @_;
    $socket->blocking(1);
    return IO::Select->new($socket)->can_read($seconds) && !sysread $socket, my $bytes, 1;
}

sub in_guest_apart { helixvm_ok('exec', $vm, '--', 'systemd-run', '--quiet', @_) }

# A byte there and back.
sub echoes {
    my ($socket) = @_;
    my $back = '';
    $socket->blocking(1);
    return syswrite($socket, 'x') && sysread($socket, $back, 1) && $back eq 'x';
}

in_guest_apart('perl', '/tmp/vsock-ends.pl', 'serve', 'stream', 'vsock:4294967295:8002');
in_guest_apart('sh', '-c', 'perl /tmp/vsock-ends.pl again stream vsock:2:7001 >/run/again.log 2>&1');
ok(wait_until(30, sub { helixvm('exec', $vm, '--', 'cat', '/run/again.log')->{out} =~ /connected/ }),
    'a connection of the guest');
ok(wait_until(10, sub { ($held) = eval { connect_guest(8002) } }) && echoes($held), 'and one to it');
my $killed = time;
kill 'KILL', $device;
ok(ended($held, 10), "the device is killed: the host's connection ends");
my $took;
ok(wait_until(10, sub { ($held) = eval { connect_guest(8002) };
    my $works = $held && echoes($held);
    $took = time - $killed;
    return $works }), 'a new one works');
cmp_ok($took, '<', 1, sprintf '... %.0f ms after that', 1000 * $took);
my ($error, $ms) = ('', '');
ok(wait_until(30, sub {
    ($error, $ms) = helixvm('exec', $vm, '--', 'cat', '/run/again.log')->{out} =~ /^(\d+) (\d+)$/m }),
    'so does one of the guest');
is($error, 0, "the guest's has ended"); # what Linux makes of an RST
cmp_ok($ms, '<', 1000, "... and the new one answers $ms ms after that");
$device = status_of($vm)->{processes}{'helixvm-vsock'}{pid};

# --- the driver, unloaded and loaded -------------------------------------------------------------

helixvm_ok('cp', "$FindBin::Bin/vsock-reload.sh", "$vm:/tmp/vsock-reload.sh");
in_guest_apart('sh', '/tmp/vsock-reload.sh', 7001);
ok(ended($held, 60), "the driver goes: the host's connection ends");
$result = undef;
ok(wait_until(60, sub {
    $result = helixvm('exec', $vm, '--', 'cat', '/run/reload.log', '/run/reload.broken');
    return $result->{out} =~ /^loaded/m;
}), 'it was unloaded, and loaded again: new connections work') or diag($result->{err});
is($result->{out}, "unloaded\nloaded\nconnected\n${\ECONNRESET}\n", "the guest's was reset");
came_back(in_guest('check', 'stream', 'vsock:2:7001', @sizes), 'a stream of the guest, and back');

# --- the guest reboots ---------------------------------------------------------------------------

in_guest_apart('perl', '/tmp/vsock-ends.pl', 'serve', 'stream', 'vsock:4294967295:8001');
ok(wait_until(10, sub { ($held) = eval { connect_guest(8001) } }), 'a connection to the guest');
# A listener that takes nothing, in the monitor's place until the guest has met it.
rename $ready, "$ready.aside" or die "$ready: $!\n";
my $dead = IO::Socket::UNIX->new(Local => $ready, Listen => 1) // die "$ready: $!\n";
my @waiting;
do {
    socket my $socket, AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0 or die "socket: $!\n";
    push @waiting, $socket;
} while connect $waiting[-1], pack_sockaddr_un($ready);
# At once: no program of the guest's closes anything.
in_guest_apart('systemctl', 'reboot', '-ff');
ok(ended($held, 60), 'the guest reboots: it ends');
ok(wait_until(30, sub { status_of($vm)->{state} eq 'rebooting' }), 'the monitor knows');
ok(wait_until(120, sub {
    slurp(state_path($vm, 'vsock.log')) =~ /to port 5009 is refused: the listener has too many/ }),
    'what it says of its boot nobody takes: the device refuses');
rename "$ready.aside", $ready or die "$ready: $!\n";
is(helixvm_ok('up', '--quiet', $vm)->{err}, '', 'its boot does not wait for that');
helixvm_ok('cp', $ends, "$vm:/tmp/vsock-ends.pl");
came_back(in_guest('check', 'seqpacket', 'vsock:2:7000', @sizes), 'new ones work, with messages');
is(status_of($vm)->{processes}{'helixvm-vsock'}{pid}, $device, 'with the same device');
ok(wait_until(30, sub { sockets_of_device() == $sockets_at_first }), 'which keeps no socket of old ones')
    or diag(sockets_of_device(), " sockets; at first $sockets_at_first");

for my $server (@servers) {
    kill 'TERM', $server->{pid};
    finish($server, 10);
}
unlink map { "${host}_$_" } 7000, 7001, 9000;
is(status_of($vm)->{state}, 'running', 'the VM runs on');
down_and_delete($vm);
is_deeply([leftovers($vm)], [], 'and leaves nothing');

done_testing;
