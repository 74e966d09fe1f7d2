#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# The vsock device with a guest's driver at full speed: no size of write hangs, an idle device takes
# no CPU time, and all bytes of connections that come and go are as they were sent.  Short forms of
# tests/bench/vsock and tests/stress/vsock-guest; prints its figures.
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
my $descriptors = $guest->descriptors;

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

# 200 MB; another seed each time, and the one to repeat it with.
my $seed = $ENV{SEED} // time;
for my $opener (qw(guest host)) {
    for my $type (qw(stream seqpacket)) {
        my $mixed = $guest->mixed($opener, $type, 50, 50e6, $seed, 120);
        my @sides = @$mixed{qw(guest host)};
        ok(!(grep { $_->{status} ne 'done' } @sides), "mixed sizes both ways, $type, opened by the $opener")
            or diag("SEED=$seed: ", explain([map { $_->{text} } @sides]));
        next if grep { $_->{status} ne 'done' } @sides;
        cmp_ok($sides[0]{bytes} + $sides[1]{bytes}, '>=', 50e6, '... all of them');
        is($sides[0]{$_}, $sides[1]{$_}, "... in $sides[0]{$_} connections ($_)") for qw(connections cut);
        note(sprintf '%.0f MB/s', 1000 * ($sides[0]{bytes} + $sides[1]{bytes}) / $sides[0]{ns});
    }
}
is($guest->descriptors_become($descriptors), $descriptors, 'no descriptor of theirs is left');
$guest->detach;
done_testing;
