#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# The ends of a test of vsock, in the guest and on the host; perl-base alone is enough for it.
#   serve TYPE ADDRESS           give back all that comes, message by message or as a stream
#   check TYPE ADDRESS SIZE...   send messages (or bytes) of each size and expect them back
#   many TYPE ADDRESS COUNT      COUNT connections at once, each with its own number
#   broken TYPE ADDRESS          connect, say so, and print what ends the wait for data: an error's
#                                number, or 0 for the end
#   again TYPE ADDRESS           the same, but then connect anew until a byte comes back, and print the
#                                milliseconds from the end to there behind the number
#   refused TYPE ADDRESS         print the error's number and the milliseconds until it came
# TYPE is stream or seqpacket; ADDRESS vsock:CID:PORT, unix:PATH, or unix:PATH:PORT to say CONNECT.
use strict;
use warnings;
use POSIX ();
use Socket;

use constant AF_VSOCK => 40;

my ($what, $type, $address, @rest) = @ARGV;
my $messages = $type eq 'seqpacket';
$SIG{ALRM} = sub { die "$what $type $address: no end within 120 s\n" };
alarm 120 unless $what eq 'serve';

sub open_socket {
    my ($family) = @_;
    socket my $socket, $family, $messages ? SOCK_SEQPACKET : SOCK_STREAM, 0 or die "socket: $!\n";
    return $socket;
}

sub parsed {
    my ($kind, $where, $port) = split /:/, $address;
    return (AF_VSOCK, pack 'SSLLx4', AF_VSOCK, 0, $port, $where) if $kind eq 'vsock';
    return (AF_UNIX, pack_sockaddr_un($where), $port);
}

# What comes next, at most $size bytes; of messages the whole next one.
sub receive {
    my ($socket, $size) = @_;
    defined recv $socket, my $bytes, $messages ? 1 << 20 : $size, 0 or die "recv: $!\n";
    return $bytes;
}

sub send_all {
    my ($socket, $bytes) = @_;
    while (length $bytes) {
        my $n = send $socket, $bytes, MSG_NOSIGNAL;
        die "send: $!\n" unless defined $n;
        die "a message was cut\n" if $messages and $n != length $bytes;
        substr $bytes, 0, $n, '';
    }
}

sub connected {
    my ($family, $name, $port) = parsed();
    my $socket = open_socket($family);
    connect $socket, $name or return;
    if (defined $port) {
        send_all($socket, "CONNECT $port\n");
        my $answer = receive($socket, length "OK $port\n");
        die "CONNECT $port: the answer is '$answer'\n" if $answer ne "OK $port\n";
    }
    return $socket;
}

sub serve {
    my ($family, $name) = parsed();
    my $listener = open_socket($family);
    bind $listener, $name or die "bind: $!\n";
    listen $listener, 2000 or die "listen: $!\n";
    my %open = (fileno $listener => $listener);
    my $watched = '';
    vec($watched, fileno $listener, 1) = 1;
    while (1) {
        select my $ready = $watched, undef, undef, undef;
        for my $fd (grep { vec $ready, $_, 1 } keys %open) {
            my $socket = $open{$fd};
            if ($socket == $listener) {
                accept my $new, $listener or die "accept: $!\n";
                $open{fileno $new} = $new;
                vec($watched, fileno $new, 1) = 1;
                next;
            }
            my $bytes = eval { receive($socket, 65536) };
            next if length $bytes and eval { send_all($socket, $bytes); 1 };
            vec($watched, $fd, 1) = 0;
            close delete $open{$fd};
        }
    }
}

sub check {
    my $socket = connected() // die "connect: $!\n";
    my $n = 0;
    for my $size (@rest) {
        my $bytes = join '', map { chr($n++ * 167 % 251) } 1 .. $size;
        send_all($socket, $bytes);
        my $back = '';
        do {
            my $part = receive($socket, $size - length $back);
            die "the end after $n bytes\n" unless length $part;
            $back .= $part;
        } until $messages or length $back >= $size;
        die "of $size bytes ", length $back, " come back\n" if length $back != $size;
        die "$size bytes come back as others\n" if $back ne $bytes;
    }
    print 'all ', scalar @rest, " came back\n";
}

sub many {
    my ($count) = @rest;
    my @sockets = map { connected() // die "connection $_: $!\n" } 1 .. $count;
    send_all($sockets[$_], pack 'N', $_) for 0 .. $#sockets;
    for my $i (reverse 0 .. $#sockets) {
        my $got = unpack 'N', receive($sockets[$i], 4);
        die "connection $i has what $got sent\n" if $got != $i;
    }
    print "$count at once\n";
}

sub milliseconds { return (POSIX::times)[0] * 1000 / POSIX::sysconf(POSIX::_SC_CLK_TCK()) }

sub refused {
    my $start = milliseconds();
    die "somebody listens\n" if connected();
    printf "%d %d\n", $!, milliseconds() - $start;
}

# What ends the wait for data on a new connection.
sub end_of_connection {
    my $socket = connected() // die "connect: $!\n";
    $| = 1;
    print "connected\n";
    my $n = sysread $socket, my $bytes, 1;
    return defined $n ? $n : $! + 0;
}

sub broken { print end_of_connection(), "\n" }

sub again {
    my $error = end_of_connection();
    my ($start, $back) = (milliseconds(), '');
    until ($back eq 'x') {
        my $socket = connected() or select(undef, undef, undef, 0.01), next;
        $back = eval { send_all($socket, 'x'); receive($socket, 1) } // '';
    }
    printf "%d %d\n", $error, milliseconds() - $start;
}

{
    serve => \&serve, check => \&check, many => \&many, refused => \&refused, broken => \&broken,
    again => \&again,
}->{$what}->();
