#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# The verb profile: which profiles there are, what they say and where from, and what is wrong.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/..";
use File::Path 'make_path';
use File::Temp;
use Files;
use JSON::PP 'decode_json';
use POSIX ();
use Test::More;

my $helixvm = ($ENV{BUILD} // 'build') . '/helixvm';
my $dir = File::Temp->newdir('helixvm-profile-XXXXXX', TMPDIR => 1);
$ENV{XDG_CONFIG_HOME} = "$dir/config";
make_path("$dir/config/helixvm/profiles");

# What it prints on standard output, and its exit status; standard error goes to $dir/err.
sub run {
    my @args = @_;
    my $out = qx{$helixvm @args 2>$dir/err};
    return ($out, $? >> 8);
}

sub said { return slurp("$dir/err") }

my ($out, $status) = run('profile', 'list', '--json');
my %built_in = map { $_->{name} => $_ } @{decode_json($out)};
for my $path (glob 'qemu-profiles/*.conf') {
    my ($name) = $path =~ m{/([^/]+)\.conf$};
    is($built_in{$name}{kind}, 'built-in', "$name is listed");
    like($built_in{$name}{summary}, qr/^\w.*\w$/, "$name says what it is");
    ($out, $status) = run('profile', 'check', $path);
    is("$status $out", "0 $path: no mistake\n", "$path has no mistake") or diag($out, said());
}

my $own = put("$dir/config/helixvm/profiles/big.conf",
    "# Much of all\n[machine]\ncpus=8\n");
($out) = run('profile', 'list', '--json');
my ($big) = grep { $_->{name} eq 'big' } @{decode_json($out)};
is_deeply($big, {name => 'big', kind => 'user', path => $own, summary => 'Much of all'},
    "the user's own is listed");
($out) = run('profile', 'list');
like($out, qr/^big +user +Much of all$/m, 'in the table too');

($out) = run('profile', 'show', 'big', '--set', 'machine.memory=512', '--json');
my $shown = decode_json($out);
is_deeply($shown->{'machine.cpus'}, {value => 8, from => "$own:3"}, 'a value with its line');
is_deeply($shown->{'machine.memory'}, {value => 512, from => '--set'}, 'one that is set');
is_deeply($shown->{'gpu.hostmem'}, {value => 256, from => 'standard'}, 'one that nobody set');
($out) = run('profile', 'show', 'big');
like($out, qr/^machine\.cpus +8 +\Q$own\E:3$/m, 'the table says the same');
($out) = run('profile', 'show', $own);
like($out, qr/^machine\.cpus +8 +\Q$own\E:3$/m, 'as does the file by its path');
put("$dir/config/helixvm/profiles/default.conf", "[disk]\nsize=33\n");
($out) = run('profile', 'show');
like($out, qr/^disk\.size +33 /m, "a default of the user's own comes over the built-in one");

my $bad = put("$dir/bad.conf", "[machine]\ncpus=0\nmemroy=4\n[gpu]\ndisplay=vga\n");
($out, $status) = run('profile', 'check', $own, $bad);
is($status, 3, 'a file with mistakes is status 3');
my @lines = split /\n/, $out;
is(shift @lines, "$own: no mistake", 'one without a mistake is said to have none');
is(scalar(@lines), 3, 'each mistake has a line') or diag($out);
like($lines[0], qr/^\Q$bad\E:2: .*from 1 to 64/, 'a value out of bounds');
like($lines[1], qr/^\Q$bad\E:3: .*machine\.memory/, 'an unknown key');
like($lines[2], qr/^\Q$bad\E:5: .*auto, xvfb, egl-headless/, 'a word that is none of the choice');
like(said(), qr/3 mistakes/, 'the number of them');
is(scalar(qx{$helixvm profile check $bad 2>&1}), join("\n", @lines, 'helixvm: 3 mistakes', ''),
    'at the end, also in a pipe');
($out, $status) = run('profile', 'check', '--json', 'big', $bad);
is($status, 3, 'as JSON');
my $mistakes = decode_json($out);
is_deeply([map { [@$_{qw(file line key)}] } @$mistakes],
    [[$bad, 2, 'machine.cpus'], [$bad, 3, 'machine.memroy'], [$bad, 5, 'gpu.display']],
    'each has its file, line and key');
is_deeply([map { "$_->{file}:$_->{line}: $_->{message}" } @$mistakes], \@lines, 'and the same text');
($out, $status) = run('profile', 'check', 'big');
is("$status $out", "0 $own: no mistake\n", 'a profile by its name');
is((run('profile', 'check', 'missing'))[1], 4, 'there is no such profile');
run('profile', 'show', '--set', 'foo.bar=1');
like(said(), qr/unknown key "foo\.bar": `helixvm profile keys`/, 'no key is near');
run('profile', 'show', '--set', 'machine.hostmem=1');
like(said(), qr/nearest known one is "gpu\.hostmem"/, 'one in another section is');
for my $verb ('profile show', 'up --quiet unborn') {
    is((run($verb, '--set', "'encoder.encoders=x265;null'"))[1], 3, "an encoder that is none: $verb");
    like(said(), qr/"x265;null", but must be a list of x264, null, separated by ';'; the nearest is x264$/,
        '... says which there are, and the nearest');
}
is((run('profile', 'check', "$dir/missing.conf"))[1], 4, 'a missing file is status 4');
is((run('profile', 'show', 'missing'))[1], 4, 'as is a missing profile');
like(said(), qr/profile list/, 'which says how to see all');
is((run('profile', 'show', '.hidden'))[1], 2, 'what is no name is a usage error');

# What is given as a file without being one.
POSIX::mkfifo("$dir/fifo", 0600) or die "$dir/fifo: $!";
for my $case (
    ["$dir/fifo", 'nobody writes to it'],
    ['/dev/zero', 'it is larger than 1 MiB'],
    ["$dir", 'it cannot be read: Is a directory'],
) {
    my ($path, $why) = @$case;
    is((run('profile', 'check', $path))[1], 3, "$path is no profile");
    is(said(), "helixvm: cannot read the profile $path: $why\n", '... and why');
}
is(scalar(`bash -c '$helixvm profile check <(cat $bad)' 2>/dev/null` =~ s{^/dev/fd/\d+}{}gmr),
    join('', map { s/^\Q$bad\E//r . "\n" } @lines), 'what a command prints is one');

($out) = run('profile', 'keys', '--json');
my %keys = map { $_->{key} => $_ } @{decode_json($out)};
is($keys{'machine.cpus'}{values}, '1 to 64', 'the bounds of a key');
is($keys{'machine.cpus'}{standard}, '2', 'and its standard');

done_testing;
