#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# Who may include whom: checks the "..." includes of the sources named as arguments.
use strict;
use warnings;

# Folder of the including file => the folders and files it may include, besides its own.  The
# longest folder that fits counts.
my %DIRECTIONS = (
    'cli' => [
        qw(launcher launcher/base guest-provision encoder/protocol.h
            guest-provision/session/stream-protocol.h)
    ],
    'launcher' => ['launcher/base'],
    'launcher/base' => [],
    'launcher/vsock' => ['launcher/base'],
    'guest-provision' => ['launcher/base'],
    # for the guest
    'guest-provision/image' => [],
    'guest-provision/session' => ['guest-provision/vsockenc/statistics.h'],
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
