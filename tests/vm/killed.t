#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# SIGKILL for each process that a VM stands on: it is told, nothing stays, and the next `up` works.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use HelixVM;
use Test::More;

# With a libvirtd of its own, which can be killed, too.
if (!$> && !$ENV{HELIXVM_ENCLOSED}) {
    exec "$FindBin::Bin/../stress/enclosed", $^X, "$FindBin::Bin/$FindBin::Script"
        or die "enclosed: $!\n";
}

my $vm = vm_name('killed');

sub up {
    my ($what) = @_;
    helixvm_ok({seconds => 400}, 'up', $vm);
    my $pid = qemu_pid($vm);
    ok($pid, "$what: QEMU runs") or die "no QEMU\n";
    return $pid;
}

sub runs {
    my ($pid) = @_;
    return contents("/proc/$pid/stat") =~ /\) [^ZX] /;
}

# The VM stops with a reason that matches $pattern in at most $seconds, and QEMU $qemu is no more.
sub stops {
    my ($what, $qemu, $pattern, $seconds) = @_;
    my $status = {};
    ok(wait_until($seconds, sub { ($status = status_of($vm))->{state} eq 'stopped' }),
        "$what: status says stopped");
    like($status->{last_run}{reason}, $pattern, "$what: and why");
    ok($status->{last_run}{failed}, "$what: that it failed");
    ok(wait_until(15, sub { !runs($qemu) }), "$what: QEMU is gone");
}

# QEMU that dies while an emulated guest boots is started again, at most twice.
sub kill_boots {
    my ($up, $times, $signal) = @_;
    my %killed;
    wait_until(120, sub { slurp($up->{err}->filename) =~ /start \(tcg\)/ });
    while (keys %killed < $times) {
        my $pid;
        wait_until(60, sub { ($pid = qemu_pid($vm)) && !$killed{$pid} }) or last;
        # Seen to run by the monitor, and not merely by this test.
        wait_until(60, sub { my $says = slurp($up->{err}->filename);
            (() = $says =~ /QEMU runs on tcg/g) > keys %killed }) or last;
        kill $signal, $pid;
        $killed{$pid} = 1;
    }
    return scalar keys %killed;
}

my $start = start_helixvm('up', $vm);
is(kill_boots($start, 3, 'KILL'), 3, 'QEMU is killed in three boots');
my $said = finish($start, 120);
is($said->{status}, 8, 'three times: up fails');
like($said->{err}, qr/QEMU failed.* before the guest was ready.*: see \S+\.log/, 'and says why');
is((() = $said->{err} =~ /starting QEMU again/g), 2, 'after two more starts');
ok(wait_until(45, sub { !leftovers($vm) }), 'and leaves nothing') or diag(join "\n", leftovers($vm));

$start = start_helixvm('up', $vm);
is(kill_boots($start, 1, 'ABRT'), 1, 'QEMU aborts once');
$said = finish($start, 300);
is($said->{status}, 0, 'once: up succeeds') or diag($said->{err});
is(scalar @{status_of($vm)->{boot_crashes}}, 1, 'status knows of it');

my $qemu = up('at first');
helixvm_ok('exec', $vm, '--', 'sh', '-c', 'echo kept >/root/kept; sync');
kill 'KILL', status_of($vm)->{processes}{monitor};
stops('the monitor is killed', $qemu, qr/monitor was killed/, 1);

$qemu = up('after the monitor');
is(helixvm_ok('exec', $vm, '--', 'cat', '/root/kept')->{out}, "kept\n",
    'the disk and the key are those from before');
kill 'KILL', $qemu;
stops('QEMU is killed', $qemu, qr/QEMU (ended|failed)/, 30);

$qemu = up('after QEMU');
# An upgrade puts another file into the program's place.
my $program = ($ENV{BUILD} // 'build') . '/helixvm';
is(system('cp', '-p', $program, "$program.new"), 0, 'another helixvm');
ok(rename("$program.new", $program), 'is put into its place');
kill 'KILL', status_of($vm)->{processes}{guard}{pid};
ok(wait_until(10, sub { my $guard = status_of($vm)->{processes}{guard};
    $guard->{restarts} == 1 && $guard->{state} eq 'running' }), 'the guard is started again all the same');
# The guest's connections end, and new ones work at once.
for my $time (1 .. 3) {
    my $session = start_helixvm('exec', $vm, '--', 'sh', '-c', 'echo begun; exec sleep 100');
    ok(wait_until(60, sub { slurp($session->{out}->filename) =~ /begun/ }), 'a command runs');
    kill 'KILL', status_of($vm)->{processes}{'helixvm-vsock'}{pid};
    my $ended = finish($session, 20);
    cmp_ok($ended->{status}, '>', 0, "helixvm-vsock is killed, $time: what ran over it fails");
    is(helixvm_ok({seconds => 30}, 'exec', $vm, '--', 'echo', 'back')->{out}, "back\n",
        'a new command runs');
    is(status_of($vm)->{processes}{'helixvm-vsock'}{restarts}, $time, 'status counts it');
}
is(helixvm_ok({seconds => 60}, 'exec', $vm, '--', 'sh', '-c',
        'for i in $(seq 30); do pgrep -x sshd-session >/dev/null || break;
             [ $(pgrep -cx sshd-session) -gt 2 ] || break; sleep 1; done;
         [ $(pgrep -cx sshd-session) -le 2 ] && echo ended')->{out}, "ended\n",
    'the guest, too, saw the connections end');
is(qemu_pid($vm), $qemu, 'QEMU went on');
# One that ends again and again is given up.
my ($device, $last) = (0, 0);
for (1 .. 8) {
    wait_until(10, sub {
        my $told = status_of($vm);
        $device = ($told->{processes} // {})->{'helixvm-vsock'}{pid} // 0;
        $told->{state} ne 'running' || ($device && $device != $last) });
    last if !$device || $device == $last;
    kill 'KILL', $last = $device;
}
stops('helixvm-vsock is killed again and again', $qemu, qr/helixvm-vsock/, 30);

# A VM that fails while it is to be powered off is down all the same.
$qemu = up('after helixvm-vsock');
kill 'KILL', status_of($vm)->{processes}{xvfb}{pid};
my $down = helixvm({seconds => 120}, 'down', $vm);
is($down->{status}, 0, 'the X server is killed: down succeeds') or diag($down->{err});
stops('the X server is killed', $qemu, qr{X server}, 1);

$qemu = up('after the X server');
powers_off($vm, 'down as ever');
ok(wait_until(45, sub { !leftovers($vm) }), 'nothing is left') or diag(join "\n", leftovers($vm));

SKIP: {
    # Last, as it takes the ground from under a VM that runs.
    $qemu = up('once more');
    my $libvirtd = own_libvirtd() or skip "libvirtd is not of this test", 12;
    kill 'KILL', $libvirtd;
    is(helixvm_ok('exec', $vm, '--', 'cat', '/root/kept')->{out}, "kept\n",
        'libvirtd is killed: the guest does not notice');
    ok(wait_until(40, sub { (own_libvirtd() // $libvirtd) != $libvirtd }), 'it is started again');
    is(status_of($vm)->{state}, 'running', 'the VM runs');
    powers_off($vm, 'down as ever');
    $qemu = up('after libvirtd');
    kill 'KILL', own_libvirtd(), status_of($vm)->{processes}{monitor};
    stops('libvirtd and the monitor are killed', $qemu, qr/monitor was killed/, 1);
    ok(wait_until(45, sub { !leftovers($vm) }), 'nothing is left') or diag(join "\n", leftovers($vm), slurp(state_path($vm, 'monitor.log')));
}

done_testing;
