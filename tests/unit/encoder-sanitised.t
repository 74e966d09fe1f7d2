#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# helixvm-encoder with AddressSanitizer and UBSan, and the clients that mean it no good: their tests
# again, of which none may end it or have the sanitisers say anything.
use strict;
use warnings;
use Test::More;

my $build = $ENV{BUILD} // 'build';
my $sanitised = "$build/asan-encoder";
$ENV{ASAN_OPTIONS} = join ':', $ENV{ASAN_OPTIONS} // (), 'abort_on_error=0';
$ENV{UBSAN_OPTIONS} = 'halt_on_error=1:print_stacktrace=1';
$ENV{BUILD} = $sanitised;

sub begin {
    my ($program, @arguments) = @_;
    open my $pipe, '-|', "exec 2>&1; exec $program @arguments" or die "$program: $!";
    return $pipe;
}

sub finish {
    my ($name, $pipe) = @_;
    my $said = join '', <$pipe>;
    close $pipe;
    is($?, 0, $name) or diag($said);
    unlike($said, qr/AddressSanitizer|LeakSanitizer|runtime error/, '... with nothing found');
    note($said);
}

like(scalar(qx{ldd $sanitised/helixvm-encoder}), qr/libasan.*libubsan/s, 'it has the sanitisers');
my $tests = "$build/tests/unit/encoder";
my $stalled = begin("$tests/greedy", '-m', 'slow', '-p', '/greedy/stalled');
finish($_, begin("$tests/$_")) for qw(greedy service telling stream serial fallback);
finish('pictures and digests', begin("$sanitised/tests/unit/encoder/picture"));
finish('clients that stall', $stalled);

done_testing;
