#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# A small HXFR client (encoder/protocol.h) for a guest:
#   hxfr-client.pl tcp HOST:PORT frame|half
#   hxfr-client.pl serial PATH frame|half
# PING until PONG comes; then frame: one raw frame, of which the answer is described, or half: the
# first part of one, and the end.
use strict;
use warnings;
use IO::Select;
use IO::Socket::INET;

use constant {FRAME_REQUEST => 1, FRAME_RESPONSE => 2, PING => 0x10, PONG => 0x11, PIXELS => 1};
use constant {WIDTH => 320, HEIGHT => 240, XR24 => 0x34325258, SESSION => 7};

my ($kind, $address, $what) = @ARGV;
my $line;
if ($kind eq 'tcp') {
    $line = IO::Socket::INET->new(PeerAddr => $address, Timeout => 10) or die "$address: $@\n";
} else {
    open $line, '+<:raw', $address or die "$address: $!\n";
}
my $select = IO::Select->new($line);
my $read = '';

sub send_all {
    my ($data) = @_;
    while (length $data) {
        my $n = syswrite($line, $data) // die "write: $!\n";
        substr $data, 0, $n, '';
    }
}

sub message {
    my ($type, $flags, $payload) = @_;
    return pack('a4 C C v V', 'HXFR', $type, $flags, SESSION, length $payload) . $payload;
}

# The next message, (type, session, payload); what comes before its magic is read over.  Empty where
# none is there within $seconds.
sub receive {
    my ($seconds) = @_;
    my $end = time + $seconds;
    for (;;) {
        my $at = index $read, 'HXFR';
        substr $read, 0, $at, '' if $at > 0;
        if ($at >= 0 && length $read >= 12) {
            my ($type, $session, $size) = unpack 'x4 C x v V', $read;
            if (length $read >= 12 + $size) {
                return ($type, $session, substr(substr($read, 0, 12 + $size, ''), 12));
            }
        }
        return if time > $end || !$select->can_read($end - time + 1);
        sysread($line, $read, 65536, length $read) or die "the line ended\n";
    }
}

my $pong;
for my $attempt (1 .. 20) {
    send_all(message(PING, 0, ''));
    while (my ($type, $session) = receive(1)) {
        $pong = $type == PONG && $session == SESSION or next;
        last;
    }
    last if $pong;
}
$pong or die "no PONG\n";

my $pixels = pack('C4', 10, 20, 200, 255) x (WIDTH * HEIGHT);
my $request = message(FRAME_REQUEST, PIXELS,
    pack('V5 q< q< C x7', 0, WIDTH, HEIGHT, XR24, WIDTH * 4, 123456789, 0, 0) . $pixels);
if ($what eq 'half') {
    send_all(substr $request, 0, length($request) / 2);
    print "half of a frame\n";
    exit 0;
}
send_all($request);
for (;;) {
    my ($type, $session, $payload) = receive(60) or die "no answer\n";
    next if $type == PONG;
    $type == FRAME_RESPONSE or die "message of type $type\n";
    my ($pts, $is_keyframe, $count, $size) = unpack 'q< x8 C x3 V V', $payload;
    my $unit = substr $payload, 28;
    $unit =~ /^\x00{2,3}\x01\x67/ or die "no SPS first\n";
    printf "%s, pts %d, %s\n", $is_keyframe ? 'keyframe' : 'frame', $pts,
        length $unit == $size ? 'whole' : 'not whole';
    last;
}
