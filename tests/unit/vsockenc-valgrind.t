#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# The element and what it is made of under valgrind: nothing is read that is not there or not
# written, and nothing is left behind.  GLib's own suppressions are the only ones.
use strict;
use warnings;
use Test::More;

my $build = $ENV{BUILD} // 'build';
my $tests = "$build/tests/unit/vsockenc";
plan skip_all => 'the sanitisers are in it already' if qx{ldd $tests/harness} =~ /libasan/;

my $suppressions = '/usr/share/glib-2.0/valgrind/glib.supp';
ok(-e $suppressions, 'GLib\'s suppressions are there');

for my $run ('frame-client', 'statistics', 'harness', 'element -p /vsockenc/formats/BGRx -p /vsockenc/restart') {
    my $said = qx{valgrind --quiet --leak-check=full --show-leak-kinds=definite,indirect \\
        --errors-for-leak-kinds=definite,indirect --error-exitcode=99 --suppressions=$suppressions \\
        $tests/$run 2>&1};
    is($?, 0, $run) or diag($said);
    unlike($said, qr/^==\d+==/m, '... with nothing found') or diag($said);
}

done_testing;
