#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# list: the VMs of a state directory, none of which runs.
use strict;
use warnings;
use File::Temp;
use JSON::PP;
use Test::More;

my $helixvm = ($ENV{BUILD} // 'build') . '/helixvm';
my $dir = File::Temp->newdir('helixvm-list-XXXXXX', TMPDIR => 1);
$ENV{HELIXVM_STATE_DIR} = "$dir/state";
$ENV{HELIXVM_RUNTIME_DIR} = "$dir/run";

is(join('', `$helixvm list`), sprintf("%-24s %-10s %s\n", qw(NAME STATE ACCELERATOR)), 'no VM');
is_deeply(decode_json(join '', `$helixvm list --json`), [], 'no VM as JSON');

# Two VMs, one of which has run, a leftover that is none, and a name that cannot be one.
mkdir $_ or die "$_: $!\n" for "$dir/state/vms", map { "$dir/state/vms/$_" } qw(b a empty Bad.Name);
for my $path ("$dir/state/vms/b/profile.conf", "$dir/state/vms/a/profile.conf",
    "$dir/state/vms/Bad.Name/profile.conf") {
    open my $file, '>', $path or die "$path: $!\n";
}
open my $last, '>', "$dir/state/vms/b/last-run.json" or die "last-run.json: $!\n";
print $last '{"time":"2026-01-01T00:00:00Z","failed":true,"reason":"QEMU failed"}';
close $last;

my $text = join '', `$helixvm list`;
like($text, qr/^NAME.*\na +stopped +-\nb +stopped +-\n\z/, 'two VMs, sorted');
my $all = decode_json(join '', `$helixvm list --json`);
is(join(' ', map { $_->{name} } @$all), 'a b', 'the same as JSON');
is($all->[1]{last_run}{reason}, 'QEMU failed', 'with why the last run ended');
is(system("$helixvm list extra >/dev/null 2>&1") >> 8, 2, 'it takes no argument');

done_testing;
