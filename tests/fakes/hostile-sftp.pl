#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# An SFTP server (draft-ietf-secsh-filexfer-02) that lies: below /evil/KIND each directory is what
# KIND says.  It runs in the guest, in the place of the real one.
use strict;
use warnings;

binmode STDIN;
binmode STDOUT;
$| = 1;

my ($DIRECTORY, $FILE, $LINK) = (040755, 0100644, 0120777);

# KIND => [name, mode] of the entries; those of directories below are the same again where it is deep.
my %kinds = (
    dotdot => [['..', $DIRECTORY], ['../escaped', $FILE], ['good', $FILE]],
    slash => [['sub/../../escaped', $FILE]],
    absolute => [['/tmp/escaped', $FILE]],
    empty => [['', $FILE]],
    # A link, and then something that is to be written through it.
    link => [['trap', $LINK], ['trap', $DIRECTORY]],
    linkfile => [['trap', $LINK], ['trap', $FILE]],
    deep => [['d', $DIRECTORY]],
    setuid => [['suid', 0104755]],
    short => [['short', $FILE]],
);

sub send_packet {
    my ($body) = @_;
    print pack('N', length $body), $body;
}

sub string { return pack 'N/a*', $_[0] }
sub status { my ($id, $code) = @_; send_packet(pack('CNN', 101, $id, $code) . string('') . string('')) }
sub attributes { return pack 'NQ>N', 5, 11, $_[0] }    # size and permissions

sub mode_of {
    my ($path) = @_;
    my ($kind, $rest) = $path =~ m{^/evil/(\w+)/?(.*)} or return $DIRECTORY;
    my ($name) = $rest =~ m{([^/]+)$} or return $DIRECTORY;
    my @found = grep { $_->[0] eq $name } @{$kinds{$kind} // []};
    return @found ? $found[-1][1] : undef;
}

my (%open, $handles);
my $content = "from guest\n";

sub take {
    my ($type, $id, $data) = @_;
    if ($type == 1) { return send_packet(pack 'CN', 2, 3) }
    my ($path) = unpack 'N/a*', $data;
    if ($type == 11) {    # OPENDIR
        my ($kind) = $path =~ m{^/evil/(\w+)};
        my @entries = @{$kinds{$kind // ''} // []};
        @entries = ([escaped => $FILE]) if $path =~ m{/trap$};
        my $handle = 'h' . ++$handles;
        $open{$handle} = \@entries;
        return send_packet(pack('CN', 102, $id) . string($handle));
    }
    if ($type == 12) {    # READDIR
        my $entries = $open{$path};
        return status($id, 1) unless $entries && @$entries;
        my $body = pack('CNN', 104, $id, scalar @$entries);
        # libssh reads the owner from what is meant for people.
        $body .= string($_->[0]) . string("?--------- 1 root root 11 Jan 1 00:00 $_->[0]")
            . attributes($_->[1]) for @$entries;
        @$entries = ();
        return send_packet($body);
    }
    if ($type == 3) {     # OPEN
        my $handle = 'f' . ++$handles;
        $open{$handle} = $path;
        return send_packet(pack('CN', 102, $id) . string($handle));
    }
    if ($type == 5) {     # READ
        my (undef, $offset, $length) = unpack 'N/a*Q>N', $data;
        return status($id, 1) if $offset >= length $content;
        # As little as a server may give.
        $length = 1 if $open{$path} =~ /short$/;
        return send_packet(pack('CN', 103, $id) . string(substr $content, $offset, $length));
    }
    if ($type == 7 || $type == 17 || $type == 8) {    # LSTAT, STAT, FSTAT
        my $mode = $type == 8 ? $FILE : mode_of($path);
        return status($id, 2) unless defined $mode;
        return send_packet(pack('CN', 105, $id) . attributes($mode));
    }
    if ($type == 19) {    # READLINK
        return send_packet(pack('CNN', 104, $id, 1) . string('/tmp') . string('') . pack 'N', 0);
    }
    return status($id, $type == 4 ? 0 : 8);
}

while (read(STDIN, my $header, 4) == 4) {
    my $length = unpack 'N', $header;
    read(STDIN, my $packet, $length) == $length or last;
    my ($type, $id) = unpack 'CN', $packet;
    take($type, $id, substr $packet, 5);
}
