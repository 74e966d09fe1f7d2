#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# helixvm-vsock with a Linux guest: messages keep their boundaries, a thousand connections at once,
# and whom nobody listens to hears so at once.
use strict;
use warnings;
use Errno qw(ECONNRESET);
use FindBin;
use lib $FindBin::Bin;
use HelixVM;
use IO::Socket::UNIX;
use Test::More;

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
helixvm_ok('cp', $ends, "$vm:/tmp/vsock-ends.pl");

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
    $result = on_host('refused', $type, "unix:$path:8999");
    like($result->{err}, qr/CONNECT 8999: the answer is ''/, "the host's $type to nobody ends");
}

for my $server (@servers) {
    kill 'TERM', $server->{pid};
    finish($server, 10);
}
unlink "${host}_7000", "${host}_7001";
is(status_of($vm)->{state}, 'running', 'the VM runs on');
down_and_delete($vm);
is_deeply([leftovers($vm)], [], 'and leaves nothing');

done_testing;
