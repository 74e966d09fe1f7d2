#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# Who may include whom: checks the "..." includes of the sources named as arguments.
use strict;
use warnings;

# Folder of the including file => the folders and files it may include, besides its own.  The
# longest folder that fits counts.
my %DIRECTIONS = (
    'cli' => [
        qw(launcher/base launcher/disk launcher/doctor launcher/domain launcher/download
            launcher/host launcher/image launcher/monitor launcher/profile launcher/vm
            guest-provision encoder/protocol.h guest-provision/session/stream-protocol.h cli/h264)
    ],
    'cli/h264' => [],
    'cli/recorder' => [qw(launcher/base cli/h264 guest-provision/session/stream-protocol.h)],
    # from the ground up
    'launcher/base' => [],
    'launcher/vsock' => ['launcher/base'],
    'launcher/disk' => ['launcher/base'],
    'launcher/download' => ['launcher/base'],
    'launcher/profile' => ['launcher/base'],
    'launcher/image' => [map { "launcher/$_" } qw(base disk download)],
    'launcher/vm' => [map { "launcher/$_" } qw(base disk image profile)],
    'launcher/host' => [map { "launcher/$_" } qw(base vm)],
    'launcher/domain' => [map { "launcher/$_" } qw(base host image profile vm)],
    'launcher/monitor' => [map { "launcher/$_" } qw(base disk domain host image profile vm)],
    'launcher/doctor' => [map { "launcher/$_" } qw(base domain host image profile vm)],
    'guest-provision' => ['launcher/base', 'guest-provision/session/config.h'],
    # for the guest
    'guest-provision/image' => [],
    'guest-provision/session' =>
        ['guest-provision/vsockenc/statistics.h', 'guest-provision/vsockenc/frame-client.h'],
    'guest-provision/vsockenc' => ['encoder/protocol.h'],
    'encoder' => [],
    'encoder/service' => ['launcher/base', 'encoder/protocol.h', 'encoder/export-protocol.h'],
    'encoder/qemu-module' => ['launcher/base', 'encoder/protocol.h', 'encoder/export-protocol.h'],
    'tests' => undef,    # anything
);

sub folder_of {
    my ($path) = @_;
    my $folder = $path;
    while ($folder =~ s{/[^/]*$}{}) {
        return $folder if exists $DIRECTIONS{$folder};
    }
    die "$path: in no folder that tests/check-includes.pl knows\n";
}

my $wrong = 0;
for my $path (@ARGV) {
    my $folder = folder_of($path);
    my $allowed = $DIRECTIONS{$folder} or next;
    open my $file, '<', $path or next;    # removed, but not committed yet
    while (<$file>) {
        next unless /^\s*#\s*include\s+"([^"]+)"/;
        my $included = $1;
        my $from = $included =~ m{/} ? folder_of($included) : $folder;
        next if $from eq $folder or grep { $_ eq $included or $_ eq $from } @$allowed;
        print "$path:$.: $folder/ may not include \"$included\"\n";
        $wrong++;
    }
}
exit($wrong ? 1 : 0);
