#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# A short form of `make stress`, and two VMs that are started at the same moment.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use HelixVM;
use Test::More;

plan skip_all => 'only root can mount what encloses it' if $>;

my $rounds = 6;
my $stress = finish(start_command("$FindBin::Bin/../stress/enclosed", "$FindBin::Bin/../stress/killed",
    $rounds), 900);
is($stress->{status}, 0, "$rounds random kills") or diag($stress->{out}, $stress->{err});
like($stress->{out}, qr/^$rounds rounds with seed \d+ in \d+ s, 0 failures$/m, 'all without a failure');
note($stress->{out});

my @vms = map { vm_name($_) } qw(one two);
my @ups = map {
    start_helixvm('up', $_, '-s', 'machine.accelerators=tcg', '-s', 'machine.memory=1024')
} @vms;
my @results = map { finish($_, 400) } @ups;
is($_->{status}, 0, 'one of two VMs at once is up') or diag($_->{err}) for @results;
my @cids = map { status_of($_)->{vsock}{cid} } @vms;
isnt($cids[0], $cids[1], 'they have CIDs of their own');
is(helixvm_ok('exec', $_, '--', 'cat', '/proc/sys/kernel/hostname')->{status}, 0, 'and answer') for @vms;

done_testing;
