#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# snapshot: on a VM's disks as `up` makes them, without the VM.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/..";
use File::Temp;
use Files;
use JSON::PP;
use Test::More;
use Time::HiRes qw(sleep);

my $helixvm = ($ENV{BUILD} // 'build') . '/helixvm';
my $dir = File::Temp->newdir('helixvm-snapshot-XXXXXX', TMPDIR => 1);
$ENV{HELIXVM_STATE_DIR} = "$dir/state";
$ENV{HELIXVM_RUNTIME_DIR} = "$dir/run";

# What it says on both outputs, and its exit status.
sub said {
    my (@words) = @_;
    my $text = join '', `$helixvm snapshot @words 2>&1`;
    return ($text, $? >> 8);
}

sub fails {
    my ($status, $pattern, @words) = @_;
    my ($text, $code) = said(@words);
    is($code, $status, "snapshot @words: exit status $status") or diag($text);
    like($text, $pattern, 'and why');
}

sub works {
    my (@words) = @_;
    my ($text, $code) = said(@words);
    is($code, 0, "snapshot @words") or diag($text);
    return $text;
}

my $home = "$dir/state/vms/a";
my @disks = map { "$home/$_.qcow2" } qw(disk extra-1);

sub make_vm {
    system('mkdir', '-p', "$home/secrets") == 0 or die "mkdir\n";
    put("$home/profile.conf", '');
    system("qemu-img create -q -f qcow2 $_ 64M") == 0 or die "qemu-img\n" for @disks;
}

# Fill both disks with the byte $pattern.
sub write_disks {
    my ($pattern) = @_;
    system("qemu-io -c 'write -P $pattern 0 8M' $_ >/dev/null") == 0 or die "qemu-io\n" for @disks;
}

sub disks_hold {
    my ($pattern) = @_;
    return !grep { system("qemu-io -r -c 'read -P $pattern 0 8M' $_ 2>&1 | grep -q failed") == 0 } @disks;
}

sub tags { return join ' ', map { `qemu-img snapshot -l $_` =~ /(helixvm-\S+)/g } @disks }

sub disks_are_clean { return !grep { system("qemu-img check -q $_") != 0 } @disks }

fails(4, qr/there is no VM "a"/, 'create', 'a', 'first');
make_vm();
fails(2, qr/"a" is a VM: name its snapshot.*create a NAME/, 'create', 'a');
fails(4, qr/there is no VM "default"/, 'create', 'first');
fails(4, qr/there is no VM "default"/, 'restore', 'first');
fails(2, qr/"\.hidden" is no name for a snapshot/, 'create', 'a', '.hidden');
fails(2, qr/is no name/, 'create', 'a', "'x y'");
fails(2, qr/a description is one line/, 'create', 'a', 'x', '-d', "'a\nb'");
fails(4, qr/has no snapshot "first"/, 'restore', 'a', 'first');
like(works('list', 'a'), qr/has no snapshot.*snapshot create a/, 'an empty list says how to begin');
is_deeply(decode_json(works('list', 'a', '--json')), [], 'as JSON it is empty');

write_disks(1);
put("$home/secrets/known_hosts", "key 1\n");
put("$home/guest.json", '{"gl":1}');
my $made = decode_json(works('create', 'a', 'first', '--json', '-d', "'before the upgrade'"));
is($made->{name}, 'first', 'it is made');
is_deeply($made->{disks}, ['disk.qcow2', 'extra-1.qcow2'], 'of both disks');
cmp_ok($made->{disk_bytes}, '>', 16 << 20, 'with what they take');
fails(1, qr/has a snapshot "first" of 20.*snapshot delete a first/, 'create', 'a', 'first');

write_disks(2);
put("$home/secrets/known_hosts", "key 2\n");
unlink "$home/guest.json";
my $default = "$dir/state/vms/default";
rename $home, $default or die "rename: $!\n";
like(works('create'), qr/^VM "default": snapshot \d{8}-\d{6} is taken$/, 'one without a name has the time');
like(works('create', 'third'), qr/^VM "default": snapshot third is taken$/, 'one argument is its name,');
like(works('delete', 'third'), qr/^VM "default": snapshot third is deleted$/, 'here as well');
rename $default, $home or die "rename: $!\n";
like(works('list', 'a'),
    qr/^NAME +TIME +DISK +DESCRIPTION\n(\d.*\n)?first +20\S+Z +[\d.]+\D+MiB  before the upgrade$/m, 'both are listed');
write_disks(3);

like(works('restore', 'a', 'first'), qr/last changed 20\S+, is replaced by that of 20.*is restored/s,
    'restore says what it replaces');
ok(disks_hold(1), 'both disks hold what they did');
is(slurp("$home/secrets/known_hosts"), "key 1\n", "the guest's host key goes with them");
is(slurp("$home/guest.json"), '{"gl":1}', 'and what it reported');
my ($second) = map { $_->{name} } grep { $_->{name} ne 'first' } @{decode_json(works('list', 'a', '--json'))};
works('restore', 'a', $second);
ok(disks_hold(2), 'forwards again');
ok(!-e "$home/guest.json", 'where there was no report there is none');
works('delete', 'a', $second);
fails(4, qr/has no snapshot/, 'delete', 'a', $second);
ok(disks_hold(2), 'delete keeps the disks as they are');
is(tags(), 'helixvm-first helixvm-first', 'and leaves the other snapshot');

# Others' snapshots are not ours.
system("qemu-img snapshot -c foreign $disks[0]");
fails(4, qr/has no snapshot "foreign"/, 'delete', 'a', 'foreign');

# One disk of which there can be none: then there is none of the other.
put("$home/z.qcow2", 'no qcow2');
fails(3, qr/z\.qcow2 is no qcow2 disk/, 'create', 'a', 'half');
unlink "$home/z.qcow2";
system("qemu-img create -q -f qcow2 -o data_file=$dir/others $home/z.qcow2 1M") == 0
    or die "qemu-img\n";
fails(3, qr/z\.qcow2: the disk cannot be used: its data is in another file/, 'create', 'a', 'half');
unlink "$home/z.qcow2";
system("qemu-img create -q -f qcow2 -F qcow2 -b $disks[0] $home/z.qcow2") == 0 or die "qemu-img\n";
fails(3, qr/z\.qcow2 lies on \S+, which is no image/, 'create', 'a', 'half');
is(tags(), 'helixvm-first helixvm-first', 'all disks or none');
unlink "$home/z.qcow2";
like(works('create', 'a', 'half'), qr/is taken/, 'and then it can be taken');
works('delete', 'a', 'half');

# A disk that was made anew has no snapshots.
rename $disks[1], "$disks[1].away";
system("qemu-img create -q -f qcow2 $disks[1] 64M");
fails(4, qr/extra-1\.qcow2 does not have the snapshot "first" any more/, 'restore', 'a', 'first');
rename "$disks[1].away", $disks[1];
ok(disks_hold(2), 'nothing was changed');

# Killed in the middle.
system("qemu-img snapshot -c helixvm-cut $disks[0]");
mkdir "$home/snapshots/cut";
put("$home/snapshots/.pending", "create cut\n");
unlike(works('list', 'a'), qr/cut/, 'a snapshot that was not completed is not listed');
works('create', 'a', 'next');
is(tags(), join(' ', ('helixvm-first helixvm-next') x 2), 'and gone with the next action');
ok(!-e "$home/snapshots/.pending", 'which is finished');
put("$home/snapshots/.pending", "restore first\n");
system("qemu-img snapshot -a helixvm-first $disks[0]");
works('delete', 'a', 'next');
ok(disks_hold(1), 'a restoration that was cut short is completed');

my ($wrong, $cut) = (0, 0);
for my $round (1 .. 5) {
    for my $words ("create a k$round", 'restore a first', "delete a k$round") {
        my $pid = fork // die "fork: $!\n";
        if ($pid == 0) {
            open STDOUT, '>', '/dev/null';
            open STDERR, '>&', \*STDOUT;
            exec "$helixvm snapshot $words";
        }
        sleep rand 0.12;
        kill 'KILL', $pid;
        waitpid $pid, 0;
        $cut++ if -e "$home/snapshots/.pending";
        works('create', 'a', 'after');
        works('delete', 'a', 'after');
        my @listed = map { $_->{name} } @{decode_json(works('list', 'a', '--json'))};
        $wrong++ if join(' ', map { "helixvm-$_" } (@listed) x 2) ne tags();
        $wrong++ unless disks_are_clean();
    }
}
is($wrong, 0, "after 15 kills ($cut in the middle) list and disks agree, and qemu-img check is clean");
works('restore', 'a', 'first');
ok(disks_hold(1), 'and the first snapshot is whole');

done_testing;
