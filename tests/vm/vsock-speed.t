#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# The vsock device with a guest's driver at full speed: no size of write hangs, and an idle device
# takes no CPU time.  A short form of tests/bench/vsock; prints its figures.
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename;
use JSON::PP;
use Test::More;
use lib dirname(abs_path(__FILE__)) . '/../bench';
use SwapGuest qw(DIRECTIONS SIZES);

my $build = $ENV{BUILD} // 'build';
my ($image) = grep { $_->{name} eq 'default' } @{decode_json(scalar `$build/helixvm image list --json`)};
BAIL_OUT('no image "default"') unless $image;
my $guest = SwapGuest->new(image => $image, build => $build);
my $transport = $guest->own_transport;
$guest->attach(@{$transport->{backend}});

my $ping = $guest->together($transport, 'echo {address} 0 0', 'ping {address} 64 1')->{guest};
is($ping->{status}, 'done', 'round trips');
ok($ping->{rounds} > 100, "$ping->{rounds} of them in 1 s");
note(sprintf 'median %.0f us, p99 %.0f us', $ping->{median} / 1000, $ping->{p99} / 1000);

for my $direction (@{+DIRECTIONS}) {
    for my $size (@{+SIZES}) {
        my $figures = $guest->transfer($transport, $direction, $size, 0.3);
        ok(defined $figures->{speed}, sprintf '%s, writes of %d KiB', $direction, $size / 1024)
            or diag($figures->{text});
        note(sprintf '%.0f MB/s, %.2f CPU s/GB', @$figures{qw(speed backend_cpu)}) if $figures->{speed};
    }
}

my $idle = $guest->idle_cpu($transport, 100, 3);
ok(defined $idle && $idle < 0.001, '100 connections that say nothing take no CPU time') or diag($idle);
$guest->detach;
done_testing;
