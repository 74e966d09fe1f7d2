#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# helixvm-vsock keeps QEMU's "Backend program conventions": options, descriptors, exit status.
use strict;
use warnings;
use Fcntl;
use File::Temp;
use IO::Select;
use JSON::PP;
use POSIX ();
use Socket;
use Test::More;

my $build = $ENV{BUILD} // 'build';
my $program = "$build/helixvm-vsock";
my $dir = File::Temp->newdir('helixvm-vsock-XXXXXX', TMPDIR => 1);
my @needed = ('--guest-cid=42', "--host-socket=$dir/host");
my ($get_features, $version, $reply) = (1, 1, 4);

# Starts it with $socket, where there is one, as descriptor 3.
sub start {
    my ($socket, @arguments) = @_;
    my $pid = fork() // die "fork: $!\n";
    return $pid if $pid;
    if ($socket) {
        my $fd = fileno $socket;
        POSIX::dup2($fd, 3) // die "dup2: $!\n" if $fd != 3;
        # dup2() leaves it open across exec only where it made a copy.
        fcntl $socket, Fcntl::F_SETFD(), 0 if $fd == 3;
    }
    exec $program, @arguments or POSIX::_exit(127);
}

sub exit_status {
    my ($pid) = @_;
    for (1 .. 100) {
        return $? >> 8 if waitpid($pid, POSIX::WNOHANG()) == $pid;
        select undef, undef, undef, 0.1;
    }
    kill 'KILL', $pid;
    waitpid $pid, 0;
    return 'none within 10 s';
}

# What the back end offers, as a front end asks.
sub features {
    my ($socket) = @_;
    syswrite $socket, pack 'LLL', $get_features, $version, 0;
    my $answer = '';
    while (length $answer < 20 and IO::Select->new($socket)->can_read(10)) {
        sysread $socket, $answer, 20 - length $answer, length $answer or last;
    }
    my ($request, $flags, $size, $features) = unpack 'LLLQ', $answer;
    is_deeply([$request, $flags, $size], [$get_features, $version | $reply, 8], 'an answer comes');
    return $features // 0;
}

# What the process has open beside the standard descriptors, without the numbers of sockets.
sub open_descriptors {
    my ($pid) = @_;
    return [sort map { s/:\[\d+\]//r } map { readlink } grep { m{/(\d+)$} && $1 > 2 } glob "/proc/$pid/fd/*"];
}

my $said = `$program --nonsense --print-capabilities left over`;
is($?, 0, '--print-capabilities exits with 0, whatever else is there');
is(decode_json($said)->{type}, 'vsock', 'and says what this is');

socketpair my $ours, my $theirs, AF_UNIX, SOCK_STREAM, 0 or die "socketpair: $!\n";
# Left open by who starts it.
open my $stray, '<', $0 or die "$0: $!\n";
fcntl $stray, Fcntl::F_SETFD(), 0;
my $pid = start($theirs, '--fd=3', @needed);
close $stray;
close $theirs;
ok(features($ours) & 1 << 1, 'a connected --fd is served: messages are offered');
# The front end's twice, the host's two that listen, and the one to spare.
is_deeply(open_descriptors($pid), ['anon_inode:[eventpoll]', 'anon_inode:[signalfd]', ('socket') x 5],
    'it has nothing open but what it needs');
ok(-S "$dir/host" && -S "$dir/host_seqpacket", "the host's sockets are there");
close $ours;
is(exit_status($pid), 0, 'it ends with its front end');
is_deeply([glob "$dir/*"], [], 'and leaves nothing');

$pid = start(undef, "--socket-path=$dir/front-end", @needed);
for my $time (1, 2) {
    socket my $front_end, AF_UNIX, SOCK_STREAM, 0 or die "socket: $!\n";
    my $connected;
    for (1 .. 100) {
        last if $connected = connect $front_end, sockaddr_un("$dir/front-end");
        select undef, undef, undef, 0.1;
    }
    ok($connected && features($front_end), "--socket-path serves front end $time");
}
kill 'TERM', $pid;
is(exit_status($pid), 0, 'SIGTERM ends it');
is_deeply([glob "$dir/*"], [], 'without its sockets');

open my $null, '<', '/dev/null' or die "/dev/null: $!\n";
is(exit_status(start($null, '--fd=3', @needed)), 2, '--fd of another kind is a usage error');
is(exit_status(start(undef, @needed)), 2, 'and so is no socket');
is(exit_status(start($null, '--fd=3', "--socket-path=$dir/front-end", @needed)), 2, 'and both');
my @socket = "--socket-path=$dir/front-end";
for my $case (
    ['no CID', "--host-socket=$dir/host"],
    ['the host\'s CID', '--guest-cid=2', "--host-socket=$dir/host"],
    ['a CID of more than 32 bits', '--guest-cid=4294967296', "--host-socket=$dir/host"],
    ['no socket for the host', '--guest-cid=42'],
    ['a path that leaves no room for ports', '--guest-cid=42', "--host-socket=$dir/" . 'x' x 96],
    ['an option that nobody knows', @needed, '--nonsense'],
    ['an argument', @needed, 'nonsense'],
) {
    my ($what, @arguments) = @$case;
    is(exit_status(start(undef, @socket, @arguments)), 2, $what);
}
# The host lacks something: helixvm(1), EXIT STATUS.
is(exit_status(start(undef, "--socket-path=$dir/no/where", @needed)), 6, 'a directory that is not there');
is_deeply([glob "$dir/*"], [], 'none of them leaves anything');

done_testing;
