#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# delete and status, of VMs that are down.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/..";
use File::Temp;
use Files;
use IO::Pty;
use IO::Socket::UNIX;
use JSON::PP;
use POSIX ();
use Terminal;
use Test::More;

my $helixvm = ($ENV{BUILD} // 'build') . '/helixvm';
my $dir = File::Temp->newdir('helixvm-delete-XXXXXX', TMPDIR => 1);
$ENV{HELIXVM_STATE_DIR} = "$dir/state";
$ENV{HELIXVM_RUNTIME_DIR} = "$dir/run";

sub make_vm {
    my ($name) = @_;
    my $home = "$dir/state/vms/$name";
    system('mkdir', '-p', "$home/secrets", "$home/snapshots/one") == 0 or die "mkdir\n";
    put("$home/$_", '') for qw(profile.conf disk.qcow2 secrets/identity snapshots/one/snapshot.json);
}

sub said {
    my (@words) = @_;
    my $text = join '', `$helixvm @words 2>&1 </dev/null`;
    return ($text, $? >> 8);
}

sub left { return join ' ', sort map { s{.*/}{}r } glob("$dir/state/vms/* $dir/state/vms/.removed*") }

# On a terminal: what it says, with $answer typed when that has come to match $question.
sub on_terminal {
    my ($question, $answer, @words) = @_;
    my $terminal = IO::Pty->new;
    my $pid = fork // die "fork: $!\n";
    if ($pid == 0) {
        take_terminal($terminal);
        exec "$helixvm @words";
    }
    $terminal->close_slave;
    my $text = '';
    my $typed;
    local $SIG{ALRM} = sub { kill 'KILL', $pid };
    alarm 20;
    while (sysread $terminal, my $bytes, 4096) {
        $text .= $bytes;
        next if $typed or $text !~ $question;
        print $terminal $answer;
        $typed = 1;
    }
    alarm 0;
    waitpid $pid, 0;
    return ($text, $? & 127 ? 128 + ($? & 127) : $? >> 8);
}

my $asked = qr{\[y/N\] };
make_vm($_) for qw(a b c default);
my ($text, $status) = said('delete', 'nowhere');
is($status, 4, 'no such VM');
($text, $status) = said('delete', 'a');
is($status, 2, 'nobody can be asked');
like($text, qr/removes VM "a" with its disk and snapshots: say --yes/, 'and what it would have done');
($text, $status) = said('delete', '--yes', 'a', 'nowhere', 'b');
is($status, 4, 'one of three is not there');
is(left(), 'a b c default', 'so none is removed');

($text, $status) = on_terminal($asked, "n\n", 'delete');
is($status, 130, 'no is no');
like($text, qr/Remove VM "default" with its disk and snapshots\? \[y\/N\] .*"default" is kept/s, 'the question');
($text, $status) = on_terminal($asked, "\x03", 'delete', 'c');
is($status, 130, 'Ctrl-C is no, too') or diag($text);
is(left(), 'a b c default', 'all are kept');
($text, $status) = on_terminal($asked, "y\n", 'delete', 'b', 'c');
is($status, 0, 'yes is yes');
like($text, qr/Remove VMs "b", "c" with their disks.*"b" is removed\r\n.*"c" is removed/s, 'for both');
is(left(), 'a default', 'and they are gone');

# What a removal that was killed has left goes with the next.
mkdir "$dir/state/vms/.removed-1" or die "mkdir: $!\n";
mkdir "$dir/state/vms/.removed-1/secrets" or die "mkdir: $!\n";
($text, $status) = said('list', '-q');
is($text, "a\ndefault\n", 'a removal that was killed is no VM');
($text, $status) = said('delete', '--yes', '--json');
is(left(), 'a', 'and it goes with the next, as does the VM "default" where none is named');
is_deeply(decode_json($text), [{name => 'default', removed => JSON::PP::true}], 'as JSON');

# status: an answer for scripts.
is((said('status', 'a'))[1], 0, 'status of a VM that is down succeeds');
($text, $status) = said('status', '--quiet', 'a');
is($text, '', 'status --quiet says nothing');
is($status, 5, 'but that the VM is not running');
is((said('status', '-q', 'nowhere'))[1], 4, 'and where there is none');
is((said('status', '-q', '--json', 'a'))[1], 2, 'it goes with no output');
is((said('status', '--watch', 'nowhere'))[1], 4, 'there is nothing to watch');

($text, $status) = on_terminal(qr/\e\[\d+A.*\e\[\d+A/s, "\x03", 'status', '--watch', 'a');
is($status, 0, 'status --watch on a terminal ends well with Ctrl-C');
my ($first, @more) = split /\e\[(?=\d+A)/, $text;
like($first, qr/^a: stopped\r\n.*seen at \d\d:\d\d:\d\d; Ctrl-C ends\r\n\z/s, 'it shows the status');
like($more[0], qr/^@{[$first =~ tr:\n::]}A\r\e\[Ja: stopped/, 'and again in its place');

# A monitor that is stopped (SIGSTOP) accepts, and does not answer.
mkdir $_ for "$dir/run", "$dir/run/a";
my $stopped = IO::Socket::UNIX->new(Local => "$dir/run/a/control.sock", Listen => 8) or die "listen: $!\n";
open my $listing, '-|', "$helixvm list" or die "list: $!\n";
open my $upping, '-|', "$helixvm up a 2>&1" or die "up: $!\n";
($text, $status) = said('status', 'a');
is($status, 7, 'status waits for a stopped monitor only so long');
like($text, qr/does not answer/, 'and says so');
like(join('', <$listing>), qr/^a +unknown +- /m, 'list lists it all the same');
like(join('', <$upping>), qr/does not answer/, 'up gives up, too');
close $stopped;
system('rm', '-r', "$dir/run/a");

# nohup: SIGHUP is ignored and stays so.
my $nohup = open my $deaf, '-|', "trap '' HUP; exec $helixvm status --watch a" or die "watch: $!\n";
like(scalar(<$deaf>), qr/stopped$/, 'a watch that ignores SIGHUP');
kill 'HUP', $nohup;
system("$helixvm list >/dev/null"); # gives it time to end
is(waitpid($nohup, POSIX::WNOHANG), 0, 'goes on');
kill 'INT', $nohup;
close $deaf;
is($? >> 8, 0, 'until Ctrl-C');

# --watch: a VM that is removed meanwhile.
open my $watch, '-|', "$helixvm status --watch --json a 2>/dev/null" or die "watch: $!\n";
is(decode_json(scalar <$watch>)->{state}, 'stopped', 'status --watch begins with what is');
is((said('delete', '-y', 'a'))[1], 0, 'the VM is removed');
is(join('', <$watch>), '', 'the watch ends');
close $watch;
is($? >> 8, 4, 'and says that there is no VM any more');

done_testing;
