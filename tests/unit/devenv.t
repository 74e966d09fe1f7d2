#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# devenv on a host whose own packages are too old: the host that runs this, under another name.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/..";
use Cwd;
use File::Temp;
use Files;
use Test::More;
use Time::HiRes qw(sleep time);

plan skip_all => 'only root can enter the environment' if $>;

my $dir = File::Temp->newdir('helixvm-devenv-XXXXXX', TMPDIR => 1);
my $devenv = getcwd . '/devenv';

put("$dir/os-release", "ID=debian\nVERSION_ID=12\n");

# A shell command in which devenv sees an old host; $cache is where environments are.
sub on_old_host {
    my ($command, $cache) = @_;
    $cache //= $ENV{HELIXVM_CACHE} // '/var/cache/helixvm';
    return ('unshare', '--mount', 'sh', '-c',
        "mount --bind $dir/os-release /etc/os-release && export HELIXVM_CACHE=$cache && $command");
}

sub run {
    my ($command, $cache) = @_;
    my @command = on_old_host($command, $cache);
    open my $pipe, '-|', @command or die "unshare: $!\n";
    local $/;
    my $output = <$pipe> // '';
    close $pipe;
    return ($? >> 8, $output);
}

sub mounts {
    open my $file, '<', '/proc/self/mounts' or die "mounts: $!\n";
    local $/;
    return scalar <$file>;
}

my $mounts = mounts();
my ($status, $path) = run("$devenv --path");
chomp $path;
SKIP: {
    skip 'the environment is not made: the host itself serves', 11 if !-d $path;
    my @took = sort { $a <=> $b } map {
        my $began = time;
        is((run("$devenv true"))[0], 0, 'it enters');
        time - $began;
    } 1 .. 3;
    cmp_ok($took[0], '<', 1, 'in under a second');
    is((run("$devenv sh -c 'exit 7'"))[0], 7, 'the exit status is the command\'s');
    is((run("$devenv sh -c 'kill -9 \$\$'"))[0], 137, 'also where a signal ended it');
    put("$dir/a file", 'of the caller');
    is((run("cd $dir && $devenv sh -c 'pwd; cat \"a file\"; echo new >other'"))[1],
        "$dir\nof the caller", 'the directory and the files are the caller\'s');
    ok(-e "$dir/other", 'and what it writes is there');
    is((run("$devenv cat /etc/os-release | grep -c trixie"))[1] =~ /^[1-9]/ ? 1 : 0, 1,
        'inside is Debian 13');
    is((run("$devenv sh -c 'mountpoint -q / && test -w /dev/null && test -d /proc/1 && echo ok'"))[1],
        "ok\n", '/ is a mount point; /dev and /proc are there');
    # Each is in as long as the other is.
    my @both = map {
        my ($own, $other) = ("$dir/in-$_", "$dir/in-" . (3 - $_));
        open my $pipe, '-|', on_old_host("$devenv timeout 20 sh -c "
                . "'touch $own; until test -e $other; do sleep 0.1; done; echo in'");
        $pipe;
    } 1 .. 2;
    is(join('', map { <$_> } @both), "in\nin\n", 'two at once');
}

is(mounts(), $mounts, 'no mount is left');

# A root directory that cannot be entered is devenv's failure, not the command's.
my $cache = "$dir/cache";
chomp(my $root = (run("$devenv --path", $cache))[1]);
system('mkdir', '-p', $root) == 0 or die "mkdir\n";
my ($code, $why) = run("$devenv true 2>&1", $cache);
is($code, 125, 'where a mount fails: exit status 125');
like($why, qr/cannot enter .*: mount/, 'and what failed');
system('rm', '-rf', '--one-file-system', $cache);

sub builders {
    return grep { contents($_) =~ m{\Q$cache\E/.*\.building} } glob '/proc/[0-9]*/cmdline';
}

# A build that ends in the middle is not taken for an environment, nothing of it stays mounted, and
# who takes the lock after it is alone.  $signal goes to the group, or to devenv alone.
for my $round (['INT', 'group'], ['KILL', 'group'], ['TERM', 'alone'], ['KILL', 'alone']) {
    my ($signal, $to) = @$round;
    my $what = "SIG$signal, $to";
    my $pid = fork // die "fork: $!\n";
    if ($pid == 0) {
        setpgrp;
        open STDOUT, '>', "$dir/log";
        open STDERR, '>&', \*STDOUT;
        exec on_old_host("exec $devenv echo entered", $cache);
    }
    my $end = time + 60;
    my $going = 0;
    until ($going or time > $end) {
        sleep 0.1;
        $going = () = glob "$cache/*.building/*";
    }
    ok($going, "$what: a build goes on");
    cmp_ok(scalar(builders()), '>', 0, "$what: of processes that are seen");
    kill $signal, $to eq 'group' ? -$pid : $pid;
    waitpid $pid, 0;
    isnt($?, 0, "$what: ends devenv");
    is(system('flock', '--timeout', 20, "$cache/devenv.lock", 'true'), 0, "$what: the lock is free");
    is(scalar(builders()), 0, "$what: and nobody builds");
    ok(!(grep { -d } glob "$cache/devenv-trixie-????????????"), "$what: it is no environment");
    unlike(slurp("$dir/log"), qr/entered/, "$what: and was not entered");
    system('rm', '-rf', '--one-file-system', $cache);
    ok(!-e $cache, "$what: what is there can be removed");
}
is(mounts(), $mounts, 'and no mount is left of them');

# Who may not make one is told what to do.
my ($other, $said) = run("setpriv --reuid 65534 --clear-groups $devenv true 2>&1", $cache);
is($other, 125, 'without root: exit status 125');
like($said, qr/root.*libvirt-dev/s, 'and what to install');

done_testing;
