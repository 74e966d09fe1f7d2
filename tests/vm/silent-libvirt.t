#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# A libvirtd that takes connections and never answers: every wait for it has an end, and Ctrl-C ends
# it at once.
use strict;
use warnings;
use File::Temp;
use FindBin;
use lib $FindBin::Bin;
use HelixVM;
use IO::Socket::UNIX;
use Test::More;
use Time::HiRes 'time';

my $vm = vm_name('silent');
my $scratch = File::Temp->newdir('helixvm-silent-XXXXXX', TMPDIR => 1);
my $socket;

# One that listens: connections are taken, and that is all.
sub listen_silently {
    my ($name) = @_;
    $socket = "$scratch/$name";
    return IO::Socket::UNIX->new(Local => $socket, Listen => 64) || die "listen: $!\n";
}

sub start_before_silence {
    my @words = @_;
    local $ENV{LIBVIRT_DEFAULT_URI} = "qemu:///system?socket=$socket";
    return start_helixvm(@words);
}

# It says nothing while it waits: its threads tell.
sub waits_for_libvirt {
    my ($started) = @_;
    return scalar grep { contents($_) =~ /^libvirt$/m } glob "/proc/$started->{pid}/task/*/comm";
}

# What waits longest goes first, and the rest beside it.
my $silent = listen_silently('one');
my $patient = start_before_silence('define', '--format', 'argv');
my $patient_begun = time;

my $define = start_before_silence('define', '--format', 'argv');
ok(wait_until(30, sub { waits_for_libvirt($define) }), 'define waits for libvirtd');
my $begun = time;
kill 'INT', -$define->{pid};
my $ended = finish($define, 20);
is($ended->{status}, 130, 'Ctrl-C ends it') or diag($ended->{err});
cmp_ok(time - $begun, '<', 5, 'at once');
is($ended->{err}, "helixvm: interrupted\n", 'and it says no more');

# up: the monitor waits, and gives up with it.
sub start_up {
    my $up = start_before_silence('up', $vm);
    ok(wait_until(30, sub { ((eval { status_of($vm) } // {})->{phase} // '') eq 'libvirt' }), 'up has come to libvirt')
        or diag(slurp($up->{err}->filename));
    return $up;
}
my $up = start_up();
$begun = time;
kill 'INT', -$up->{pid};
is(finish($up, 40)->{status}, 130, 'Ctrl-C ends up');
cmp_ok(time - $begun, '<', 10, 'soon');
is_deeply([leftovers($vm)], [], 'its monitor has ended, and left nothing');

# down, of one that comes up.
$up = start_up();
$begun = time;
my $down = helixvm({seconds => 40}, 'down', $vm);
is($down->{status}, 0, 'down ends it, too') or diag($down->{err});
cmp_ok(time - $begun, '<', 10, 'soon');
is(finish($up, 20)->{status}, 1, 'and up says that it was stopped');

# What a killed monitor left cannot be ended without libvirtd: its guard waits for that, and so does
# the next verb, for the guard or, where that was killed, too, for libvirtd.
for my $guard ('waiting', 'killed') {
    my $another = listen_silently($guard);
    $up = start_up();
    my $processes = status_of($vm)->{processes};
    kill 'KILL', $processes->{monitor};
    kill 'KILL', $processes->{guard}{pid} if $guard eq 'killed';
    is(finish($up, 20)->{status}, 1, "guard $guard: up without its monitor ends");
    my $mending = start_before_silence('down', $vm);
    sleep 1;
    kill 'INT', -$mending->{pid};
    is(finish($mending, 20)->{status}, 130, 'Ctrl-C ends a down that waits to mend');
    close $another;
    my $mended = helixvm({seconds => 60}, 'down', $vm);
    is($mended->{status}, 0, 'the next one mends, with a libvirtd that answers')
        or diag($mended->{err});
    # An X server that dies with its monitor before it has named its display leaves its socket.
    is_deeply([grep { !/^X socket / } leftovers($vm)], [], 'and no process or directory is left');
}

$ended = finish($patient, 90);
is($ended->{status}, 6, 'without Ctrl-C the wait ends by itself');
cmp_ok(time - $patient_begun, '>', 50, 'after what a slow one needs');
like($ended->{err}, qr/libvirtd does not answer at \S+, not in 60 s: restart it/, 'and says what to do');

down_and_delete($vm);
done_testing;
