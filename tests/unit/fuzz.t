#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# The fuzz targets for a few seconds each: they build, run, and find nothing.  `make fuzz` is the long
# form.
use strict;
use warnings;
use Test::More;

my $fuzzer = grep { -e } glob '/usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer-*.a';
plan skip_all => "no clang with libFuzzer (Debian's clang, libclang-rt-dev and llvm)"
    unless $fuzzer && `sh -c 'command -v clang llvm-cov'`;

delete @ENV{qw(MAKEFLAGS MFLAGS MAKELEVEL)};
my $build = $ENV{BUILD} // 'build';
my @lines = `make BUILD=$build SECONDS=3 fuzz 2>&1`;
is $?, 0, 'nothing found' or diag @lines;
for my $target (qw(vhost-user rings packets hxfr export-client export-module sps stream)) {
    my ($line) = grep { /^$target\s/ } @lines;
    like $line, qr/^$target\s+\d{3,}\s+\d+\s+\d+\s+\d{3,}\s+\d{3,}\s+\d+\s+\d+\.\d+% of \S+$/,
        "$target: executions, CPU time and coverage are printed";
    note $line;
}
done_testing;
