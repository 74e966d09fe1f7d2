#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# proxy: bytes between a program and a guest's SSH port, each direction for itself.
use strict;
use warnings;
use File::Temp;
use IO::Select;
use IO::Socket::UNIX;
use POSIX ();
use Socket;
use Test::More;
use Time::HiRes qw(sleep time);

my $helixvm = ($ENV{BUILD} // 'build') . '/helixvm';
my $dir = File::Temp->newdir('helixvm-proxy-XXXXXX', TMPDIR => 1);
$ENV{HELIXVM_STATE_DIR} = "$dir/state";
$ENV{HELIXVM_RUNTIME_DIR} = "$dir/run";
system('mkdir', '-p', '-m', '700', "$dir/state/vms/vm/secrets", "$dir/run/vm") == 0 or die "mkdir\n";
for my $name (qw(profile.conf secrets/known_hosts)) {
    open my $file, '>', "$dir/state/vms/vm/$name" or die "$name: $!\n";
}
my $listening = IO::Socket::UNIX->new(Local => "$dir/run/vm/vsock.sock", Listen => 5) or die "listen: $!\n";
$SIG{PIPE} = 'IGNORE';

# A proxy: its process, its stdin, its stdout, and the guest's end.
my $pid;
END { local $?; kill 'KILL', $pid if $pid }

sub start {
    pipe my $its_in, my $in or die "pipe: $!\n";
    pipe my $out, my $its_out or die "pipe: $!\n";
    $pid = fork // die "fork: $!\n";
    if ($pid == 0) {
        close $_ for $in, $out;
        open STDIN, '<&', $its_in;
        open STDOUT, '>&', $its_out;
        open STDERR, '>', "$dir/said";
        exec $helixvm, 'proxy', 'vm' or POSIX::_exit(127);
    }
    close $_ for $its_in, $its_out;
    my $guest = $listening->accept or die "accept: $!\n";
    sysread $guest, my $asked, 64;
    is($asked, "CONNECT 22\n", 'it asks for the SSH port');
    syswrite $guest, "OK 1024\n";
    return ($in, $out, $guest);
}

# What comes from $from within five seconds; undef for nothing, '' for its end.
sub got {
    my ($from) = @_;
    IO::Select->new($from)->can_read(5) or return undef;
    defined sysread $from, my $bytes, 65536 or return undef;
    return $bytes;
}

# Its exit status, where it ends within five seconds.
sub ended {
    for (1 .. 100) {
        next unless waitpid $pid, POSIX::WNOHANG;
        my $status = $? & 127 ? 'signal ' . ($? & 127) : $? >> 8;
        undef $pid;
        return $status;
    } continue { sleep 0.05 }
    kill 'KILL', $pid;
    waitpid $pid, 0;
    undef $pid;
    return 'never';
}

sub said {
    open my $file, '<', "$dir/said" or die "said: $!\n";
    return join '', <$file>;
}

# Write to $to until it takes no more for a while.
sub fill {
    my ($to) = @_;
    $to->blocking(0);
    my $tried = 0;
    while ($tried < 3) {
        (syswrite $to, 'x' x 65536) ? ($tried = 0) : ($tried++, sleep 0.1);
    }
}

{
    my ($in, $out, $guest) = start();
    syswrite $in, 'question';
    is(got($guest), 'question', 'what the program says');
    close $in;
    is(got($guest), '', '... and its end');
    syswrite $guest, 'answer';
    is(got($out), 'answer', 'what the guest says then');
    close $guest;
    is(got($out), '', '... and its end');
    is(ended(), 0, '... which is its own');
}
{
    my ($in, $out, $guest) = start();
    fill($in);
    syswrite $guest, 'unasked';
    is(got($out), 'unasked', 'a guest that reads nothing is heard');
    close $guest;
    is(ended(), 10, '... until it ends with what it was sent unread');
    like(said(), qr/connection to the guest broke/, '... which is said');
}
{
    my ($in, $out, $guest) = start();
    fill($guest);
    syswrite $in, 'stop';
    is(got($guest), 'stop', 'a program that reads nothing is heard');
    kill 'TERM', $pid;
    is(ended(), 0, '... and SIGTERM');
}
{
    my ($in, $out, $guest) = start();
    shutdown $guest, SHUT_RD;
    syswrite $in, 'too late';
    sleep 0.3;
    syswrite $guest, 'last words';
    is(got($out), 'last words', 'a guest that takes no more still says something');
    close $guest;
    is(ended(), 0, '... and ends well');
}
{
    my ($in, $out, $guest) = start();
    close $out;
    is(ended(), 0, 'a program that reads no more ends it');
    is(got($guest), '', '... and the guest hears of it');
}

done_testing;
