#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# list: the VMs of a state directory, none of which runs.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/..";
use File::Temp;
use Files;
use JSON::PP;
use Test::More;

my $helixvm = ($ENV{BUILD} // 'build') . '/helixvm';
my $dir = File::Temp->newdir('helixvm-list-XXXXXX', TMPDIR => 1);
$ENV{HELIXVM_STATE_DIR} = "$dir/state";
$ENV{HELIXVM_RUNTIME_DIR} = "$dir/run";

like(join('', `$helixvm list`), qr/^NAME +STATE +ACCEL +IMAGE +CPUS +MEMORY +DISK +UP FOR\n\z/, 'no VM');
is(join('', `$helixvm list --quiet`), '', 'no names');
is_deeply(decode_json(join '', `$helixvm list --json`), [], 'no VM as JSON');

# Verbs that only read make nothing (doctor may find fault with the host).
system("$helixvm $_ >/dev/null 2>&1") for 'status', 'status --quiet', 'profile show', 'image list', 'image show', 'doctor', 'logs', 'list --json';
is(join('', `$helixvm image list`), join('', `mkdir -p $dir/empty && HELIXVM_STATE_DIR=$dir/empty $helixvm image list`),
    'images of a directory that is not there: none');
put("$dir/file", '');
like(`HELIXVM_STATE_DIR=$dir/file/state $helixvm list 2>&1`, qr/cannot use the directory/, 'but one that cannot be is told');
ok(!-e "$dir/state", 'what only reads does not make the state directory');

# Two VMs, one of which has run, a leftover that is none, and a name that cannot be one.
mkdir $_ or die "$_: $!\n" for "$dir/state", "$dir/state/vms", map { "$dir/state/vms/$_" } qw(b a empty Bad.Name);
put("$dir/state/vms/$_/profile.conf", '') for qw(b Bad.Name);
put("$dir/state/vms/a/profile.conf", "[machine]\ncpus=3\nmemory=1536\n[disk]\nimage=small\n");
put("$dir/state/vms/a/disk.qcow2", 'x' x (3 << 20));
put("$dir/state/vms/b/last-run.json",
    '{"time":"2026-01-01T00:00:00Z","failed":true,"reason":"QEMU failed"}');

my $text = join '', `$helixvm list`;
like($text, qr/^NAME.*\na +stopped +- +small +3 +1\.5 GiB +3 MiB +-\nb +stopped +- +default /, 'two VMs, sorted');
is(join('', `$helixvm list --quiet`), "a\nb\n", 'their names alone');
my $all = decode_json(join '', `$helixvm list --json`);
is(join(' ', map { $_->{name} } @$all), 'a b', 'the same as JSON');
is_deeply($all->[0]{machine}, {cpus => 3, memory_mib => 1536}, 'with what they have');
cmp_ok($all->[0]{disk}{used_bytes}, '>=', 3 << 20, 'and what they take');
is($all->[1]{last_run}{reason}, 'QEMU failed', 'with why the last run ended');
is(system("$helixvm list extra >/dev/null 2>&1") >> 8, 2, 'it takes no argument');

done_testing;
