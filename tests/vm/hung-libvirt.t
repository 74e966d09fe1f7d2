#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# A libvirtd that hangs while a VM runs: status is answered, what needs libvirtd has an end and names
# it, and the VM can be ended all the same.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use HelixVM;
use Test::More;
use Time::HiRes 'time';

# With a libvirtd of its own, which may hang.
plan skip_all => 'only root has a libvirtd of its own' if $>;
if (!$ENV{HELIXVM_ENCLOSED}) {
    exec "$FindBin::Bin/../stress/enclosed", $^X, "$FindBin::Bin/$FindBin::Script"
        or die "enclosed: $!\n";
}

my $vm = vm_name('hung');
my $libvirtd;

sub up {
    helixvm_ok({seconds => 400}, 'up', $vm, '--profile', 'headless');
    $libvirtd = own_libvirtd() // die "no libvirtd\n";
}
sub hang { kill 'STOP', $libvirtd or die "libvirtd: $!\n" }
sub go_on { kill 'CONT', $libvirtd }
END { go_on() if $libvirtd }

up();
my $qemu = qemu_pid($vm);
hang();
my $begun = time;
is(status_of($vm)->{state}, 'running', 'status says that the VM runs');
cmp_ok(time - $begun, '<', 2, 'at once');
my $restart = helixvm({seconds => 120}, 'restart', $vm);
is($restart->{status}, 6, 'restart gives up') or diag($restart->{err});
like($restart->{err}, qr/libvirtd does not answer.*restart it/, 'and says what to do');
go_on();
is(status_of($vm)->{state}, 'running', 'it has left the VM alone');
is(qemu_pid($vm), $qemu, 'which runs on');

hang();
my $down = start_helixvm('down', $vm);
ok(wait_until(30, sub { slurp($down->{err}->filename) =~ /libvirtd does not answer/ }),
    'down says what it waits for') or diag(slurp($down->{err}->filename));
is(status_of($vm)->{state}, 'stopping', 'and status is answered');
go_on();
my $ended = finish($down, 60);
is($ended->{status}, 0, 'down ends') or diag($ended->{err});
like($ended->{out}, qr/the guest powered off/, 'by the guest, when libvirtd goes on');

up();
$qemu = qemu_pid($vm);
hang();
$begun = time;
$down = start_helixvm('down', $vm);
ok(wait_until(30, sub { slurp($down->{err}->filename) =~ /libvirtd does not answer/ }), 'down waits');
my $force = helixvm({seconds => 90}, 'down', '--force', $vm);
is($force->{status}, 0, 'down --force does not need libvirtd') or diag($force->{err});
cmp_ok(time - $begun, '<', 50, 'and has an end');
like($force->{err}, qr/libvirtd does not answer.*ended by a signal/, 'it says how');
is(finish($down, 20)->{status}, 0, 'it is the end that the other waits for');
ok(!-e "/proc/$qemu", 'QEMU is gone');
is_deeply([leftovers($vm)], [], 'and nothing is left');
go_on();

up();
$qemu = qemu_pid($vm);
my $processes = status_of($vm)->{processes};
hang();
kill 'KILL', $processes->{monitor};
ok(wait_until(20, sub { !-e "/proc/$qemu" }), 'a killed monitor: its guard ends QEMU');
# It waits as long for libvirtd as every verb does.
ok(wait_until(100, sub { !-e "/proc/$processes->{guard}{pid}" }), 'and itself');
is_deeply([leftovers($vm)], [], 'and nothing is left');
go_on();
is(helixvm('down', $vm)->{status}, 0, 'libvirtd goes on, and the VM is down');

down_and_delete($vm);
done_testing;
