#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# Ctrl-C at any point: nothing stays behind, and the next command works.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use HelixVM;
use Test::More;
use Time::HiRes qw(sleep time);

my $vm = vm_name('int');

sub stays_clean {
    my ($what) = @_;
    ok(wait_until(45, sub { !leftovers($vm) }), "$what: nothing is left")
        or diag(join "\n", leftovers($vm));
}

# Start `up`, send it $signal $seconds after its output has matched $pattern.
sub interrupt_up {
    my ($signal, $pattern, $seconds) = @_;
    my $what = "SIG$signal $seconds s after \"$pattern\"";
    my $up = start_helixvm('up', $vm);
    ok(wait_until(120, sub { slurp($up->{err}->filename) =~ /$pattern/ }), "$what: it came so far");
    sleep $seconds;
    kill $signal, -$up->{pid};
    my $result = finish($up, 60);
    if ($signal eq 'KILL') {
        is($result->{status}, 137, "$what: up is gone");
    } else {
        is($result->{status}, 130, "$what: up exits with 130") or diag($result->{err});
    }
    stays_clean($what);
}

interrupt_up('INT', '^', 0.05);
interrupt_up('INT', '^', 0.4);
interrupt_up('INT', ' vsock ', 0);
interrupt_up('TERM', ' start \(tcg\) ', 0.2);
interrupt_up('INT', ' start \(tcg\) ', 6);
interrupt_up('KILL', ' start \(tcg\) ', 1);

# Two at once: one starts the VM, the other waits with it; who only waits may leave.
my $up = start_helixvm('up', $vm);
ok(wait_until(60, sub { slurp($up->{err}->filename) =~ / vsock / }), 'up, for good now');
my $other = start_helixvm('up', $vm);
my $third = start_helixvm('up', $vm);
sleep 1;
kill 'INT', -$third->{pid};
is(finish($third, 20)->{status}, 130, 'a third up that only waits is interrupted');
is(finish($up, 400)->{status}, 0, 'up succeeds after all the interrupted ones');
is(finish($other, 20)->{status}, 0, 'an up beside it waits for the same VM');

# Interrupted work on a running VM leaves the VM as it is.
for my $seconds (0.3, 3) {
    my $provision = start_helixvm('provision', $vm);
    sleep $seconds;
    kill 'INT', -$provision->{pid};
    is(finish($provision, 30)->{status}, 130, "provision interrupted after $seconds s");
}
helixvm_ok({seconds => 300}, 'provision', $vm);
my $stream = start_helixvm('stream', $vm, '--quiet', '--json');
ok(wait_until(120, sub {
    my $encoder = status_of($vm)->{encoder} or return 0;
    return grep { $_->{frames} > 30 } @{$encoder->{sessions} // []};
}), 'a stream without end flows');
kill 'INT', -$stream->{pid};
my $result = finish($stream, 30);
is($result->{status}, 0, 'Ctrl-C ends it well');
cmp_ok(json($result->{out})->{frames}, '>', 20, 'and it says what came');
is(status_of($vm)->{state}, 'running', 'the VM runs on');

# A down that is interrupted goes on in the monitor.  A paused guest cannot power off: it is resumed.
system("virsh -q suspend helixvm-$vm >/dev/null") == 0 or die "virsh suspend\n";
ok(wait_until(10, sub { status_of($vm)->{state} eq 'paused' }), 'the guest is paused');
my $down = start_helixvm('down', $vm);
ok(wait_until(10, sub { status_of($vm)->{state} eq 'stopping' }), 'down has been asked for');
kill 'INT', -$down->{pid};
is(finish($down, 10)->{status}, 130, 'down is interrupted');
ok(wait_until(90, sub { status_of($vm)->{state} eq 'stopped' }), 'and the VM stops all the same');
like(helixvm('status', $vm)->{out}, qr/the guest powered off/, 'by its own power off');
stays_clean('down');

done_testing;
