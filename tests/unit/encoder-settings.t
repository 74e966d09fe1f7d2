#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# Each value that a profile's encoder keys allow is one that helixvm-encoder takes.
use strict;
use warnings;
use Test::More;

my $build = $ENV{BUILD} // 'build';
# Keys whose unit is another than the option's.
my %unit = (bitrate => 1000);

# What helixvm-encoder objects to: with good settings, that standard input is no listening socket.
sub objection {
    my (@options) = @_;
    open my $pipe, '-|', "$build/helixvm-encoder --listen-fd=0 @options 2>&1 </dev/null" or die;
    my $text = join '', <$pipe>;
    close $pipe;
    return $text;
}

my $keys = qx{$build/helixvm profile keys --mdoc};
my %values = $keys =~ /^\.It Sy encoder\.(\S+)\n.*?^Values: (.*?); standard/gms;
my %option = (encoders => 'encoder');
for my $key (qw(encoders preset bitrate keyframe-interval threads max-sessions)) {
    my ($low, $high) = ($values{$key} // '') =~ /^(\d+) to (\d+)$/;
    my @all = defined $low ? map { $_ * ($unit{$key} // 1) } $low, $high
        : split /, /, ($values{$key} // '') =~ s/^some of (.*), each once, separated by ';'$/$1/r;
    isnt(scalar @all, 0, "there are values of $key");
    my $option = '--' . ($option{$key} // $key);
    like(objection("$option=$_"), qr/--listen-fd 0 is no listening/, "$option=$_") for @all;
}
like(objection('--threads=0'), qr/--threads is 0, not within 1 and 16/, 'one thread at least');
like(objection('--preset=warp'), qr/no preset warp/, 'a preset that x264 has not');
like(objection('--encoder=x264', '--encoder=nul'), qr/no encoder nul, but there are x264, null; the nearest is null$/,
    'an encoder that is none, with the nearest');
like(objection('--encoder=vaapi'), qr/no encoder vaapi, but there are x264, null$/, '... where none is near');

# Beside vsock no way in is open unless it is asked for.
my %standard = $keys =~ /^\.It Sy encoder\.(\S+)\n.*?^Values: .*?; standard (\S+)\.$/gms;
is_deeply([@standard{qw(tcp tcp-port serial)}], ['false', '15937', 'false'], 'TCP and virtio-serial are opt-in');

done_testing;
