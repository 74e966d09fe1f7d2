#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# status: what answers slowly does not hold it.
use strict;
use warnings;
use File::Temp;
use IO::Socket::UNIX;
use JSON::PP;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

my $helixvm = ($ENV{BUILD} // 'build') . '/helixvm';
my $dir = File::Temp->newdir('helixvm-status-XXXXXX', TMPDIR => 1);
$ENV{HELIXVM_STATE_DIR} = "$dir/state";
$ENV{HELIXVM_RUNTIME_DIR} = "$dir/run";
system('mkdir', '-p', '-m', '700', "$dir/state/vms/vm", "$dir/run/vm") == 0 or die "mkdir\n";
open my $profile, '>', "$dir/state/vms/vm/profile.conf" or die "profile.conf: $!\n";
close $profile;

my @servers;
my $main = $$;
END { if ($main && $main == $$) { local $?; kill 'TERM', @servers } }

# Answers everybody at @$name by @$answer ($client), in a process of its own.
sub serve {
    my ($name, $answer) = @_;
    unlink "$dir/run/vm/$name";
    my $socket = IO::Socket::UNIX->new(Local => "$dir/run/vm/$name", Listen => 5) or die "$name: $!\n";
    my $pid = fork // die "fork: $!\n";
    if ($pid == 0) {
        $SIG{PIPE} = 'IGNORE';
        while (my $client = $socket->accept) {
            $client->autoflush(1);
            $answer->($client);
        }
        POSIX::_exit(0);
    }
    push @servers, $pid;
}

# A byte at a time, for ten seconds.
sub drip {
    my ($client, $byte) = @_;
    for (1 .. 50) { print $client $byte or last; sleep 0.2 }
}

sub status {
    my $begun = time;
    my $text = `$helixvm status vm --json 2>&1`;
    return ($? >> 8, $text, time - $begun);
}

serve('control.sock', sub { readline $_[0]; print {$_[0]} qq({"name":"vm","state":"running"}\n) });
serve('encoder.sock', sub { print {$_[0]} '{"sessions":[]}' });
my ($status, $text, $took) = status();
is($status, 0, 'monitor and encoder answer') or diag($text);
is_deeply(decode_json($text)->{encoder}, {sessions => []}, '... with what the encoder says');

serve('encoder.sock', sub { drip($_[0], ' ') });
($status, $text, $took) = status();
is($status, 0, 'an encoder that drips') or diag($text);
is(decode_json($text)->{encoder}, undef, '... says nothing');
cmp_ok($took, '<', 4, '... and holds status for a second');

serve('control.sock', sub { readline $_[0]; drip($_[0], ' ') });
($status, $text, $took) = status();
is($status, 7, 'a monitor that drips') or diag($text);
like($text, qr/monitor does not answer/, '... does not answer');
cmp_ok($took, '<', 8, '... and holds status for five seconds');

done_testing;
