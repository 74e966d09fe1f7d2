#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# What is started again where QEMU ends before the guest is ready: programs that end as QEMU does.
use strict;
use warnings;
use File::Temp ();
use FindBin;
use lib map { "$FindBin::Bin/..$_" } '', '/vm', '/bench';
use Files;
use PlainQemu;
use SwapGuest;
use Test::More;

use constant PORT => 5009;

my $tmp = File::Temp->newdir('helixvm-fault-XXXXXX', TMPDIR => 1);
my $fault = 'qemu: ../system/physmem.c:2671: iotlb_to_section: Assertion `section_index < 9\' failed.';
my $other = 'qemu: ../hw/core/qdev.c:1: device_set_realized: Assertion `x\' failed.';

sub starts { return scalar(() = contents("$tmp/starts") =~ /^start$/mg) }

# A shell that counts its starts, of which the first @$endings end by these words.
sub script {
    my ($last, @endings) = @_;
    put("$tmp/starts", '');
    my $number = 0;
    my $cases = join '', map { $number++; "$number) $_;;\n" } @endings;
    return put("$tmp/qemu", "#!/bin/sh\necho start >>$tmp/starts\n"
            . "case \$(grep -c start $tmp/starts) in\n$cases*) $last;;\nesac\n");
}

sub aborts {
    my ($line) = @_;
    put("$tmp/line", "$line\n");
    return "cat $tmp/line; kill -ABRT \$\$";
}

# Whether the guest was ready, and what was said meanwhile.
sub boots {
    my (@endings) = @_;
    my $ready = q{perl -MIO::Socket::UNIX -e 'print {IO::Socket::UNIX->new(Peer => shift)} "READY=1\n"'};
    my $script = script("$ready \$1/v_" . PORT . '; exec sleep 60', @endings);
    my $guest = PlainQemu->new(port => PORT, command => sub { return ('sh', $script, $_[0]) });
    open my $kept, '>&', \*STDERR or die "stderr: $!\n";
    open STDERR, '>', "$tmp/said" or die "stderr: $!\n";
    my $at = $guest->wait_ready(30);
    open STDERR, '>&', $kept or die "stderr: $!\n";
    return (defined $at, contents("$tmp/said"), $guest);
}

my ($ready, $said, $guest) = boots((aborts($fault)) x 2);
ok($ready, 'a guest that is there after two ends by that fault');
is(starts(), 3, 'with the third start');
is((() = $said =~ /^# QEMU is started again \(\d of 2\): \Q$fault\E$/mg), 2, 'both are told') or diag($said);
is_deeply([map { $_->[1] } @{$guest->{lines}}], ['READY=1'], 'and its messages are the last one\'s');

($ready, $said) = boots((aborts($fault)) x 3);
ok(!$ready, 'three are too many');
is(starts(), 3, 'nothing is started a fourth time');

for ([aborts($other), 'another assertion'], ["cat $tmp/line; exit 1", 'that word without an abort'],
    ['kill -ABRT $$', 'an abort without a word'], ["cat $tmp/line; kill -KILL \$\$", 'a kill']) {
    my ($ending, $name) = @$_;
    put("$tmp/line", "$fault\n") if $name ne 'another assertion';
    ($ready, $said) = boots($ending);
    ok(!$ready, "$name fails");
    is(starts(), 1, 'at once');
    is($said, '', 'with nothing said');
}

# An earlier run's word is not this one's.
($ready) = boots(aborts($fault), 'kill -ABRT $$');
ok(!$ready, 'an abort after that fault fails');
is(starts(), 2, 'at once');

done_testing;
