#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# A VM's life by its verbs: run, restart, up and down as programs see them.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use File::Temp;
use HelixVM;
use IO::Select;
use IO::Socket::UNIX;
use Socket;
use Test::More;
use Time::HiRes qw(sleep time);

my $vm = vm_name('life');

sub stays_clean {
    my ($what) = @_;
    ok(wait_until(45, sub { !leftovers($vm) }), "$what: nothing is left")
        or diag(join "\n", leftovers($vm));
}

# --- run, as a service manager runs it --------------------------------------------------------

my $dir = File::Temp->newdir('helixvm-notify-XXXXXX', TMPDIR => 1);
my $manager = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => "$dir/notify") or die "notify: $!\n";
my $heard = '';

sub hear {
    my ($seconds, $pattern) = @_;
    my $select = IO::Select->new($manager);
    my $end = time + $seconds;
    while ($heard !~ $pattern && time < $end) {
        next unless $select->can_read(0.2);
        $manager->recv(my $message, 4096);
        $heard .= "$message\n";
    }
    return scalar($heard =~ $pattern);
}

sub start_run {
    my (@options) = @_;
    local $ENV{NOTIFY_SOCKET} = "$dir/notify";
    $heard = '';
    return start_helixvm('run', @options, $vm);
}

my $run = start_run('--set', 'machine.memory=1024');
ok(hear(300, qr/^READY=1$/m), 'run: the service manager hears READY=1') or diag($heard);
like($heard, qr/^STATUS=boot$/m, 'and before it the phases');
is(status_of($vm)->{state}, 'running', 'the VM runs');
like(helixvm_ok('up', $vm)->{out}, qr/already up/, 'up finds it up');
my $second = helixvm('run', $vm);
is($second->{status}, 1, 'a second run does not join it');
like($second->{err}, qr/is up already.*helixvm down \Q$vm\E/, 'and says what to do');

is(helixvm('status', '--quiet', $vm)->{status}, 0, 'status --quiet: it is running');
like(helixvm_ok('list')->{out}, qr/^\Q$vm\E +running +tcg +default +2 +1\.0 GiB +\d+ MiB +\d+ \w/m,
    'list: with what it has');
kill 'KILL', status_of($vm)->{processes}{'helixvm-encoder'}{pid};
ok(hear(20, qr/^STATUS=helixvm-encoder .* restarting it$/m), 'it hears that a part was restarted');
helixvm_ok('exec', $vm, '--', 'sh', '-c', 'echo first >/root/mark');
kill 'TERM', $run->{pid};
ok(hear(20, qr/^STOPPING=1\nEXTEND_TIMEOUT_USEC=75000000$/m), 'SIGTERM: it hears STOPPING=1');
my $result = finish($run, 90);
is($result->{status}, 0, 'and run succeeds,') or diag($result->{err});
like($result->{out}, qr/^VM "$vm" is up after .* s\nVM "$vm" is down: the guest powered off in /m,
    'for the guest has powered off');
like($result->{err}, qr/^\d\d:\d\d:\d\d  helixvm-encoder .*restarting it$/m,
    'its lines have the time of day');
unlike($result->{err}, qr/\e/, 'and no escapes where there is no terminal');
stays_clean('SIGTERM');

helixvm_ok('snapshot', 'create', $vm, 'marked', '--description', 'with a mark');
my %watch = map { $_ => start_helixvm('status', '--watch', $_, $vm) } qw(--json --watch);

sub seen {
    my ($pattern) = @_;
    return scalar(slurp($watch{'--watch'}{out}->filename) =~ $pattern);
}

ok(wait_until(10, sub { seen(qr/stopped: the guest powered off/) }), 'watch: the VM is down');
$run = start_run('--timeout', '600');
ok(wait_until(60, sub { (status_of($vm)->{phase} // '') eq 'boot' }), 'run again: the guest boots');
like(helixvm('exec', $vm, '--', 'true')->{err}, qr/is starting: `helixvm up \Q$vm\E`/, 'exec says so');
ok(hear(300, qr/^READY=1$/m), 'it is up');
ok(wait_until(10, sub { seen(qr/running: no session$/m) }), 'watch: it is up');
helixvm_ok('exec', $vm, '--', 'sh', '-c', 'echo second >/root/mark; sync');
helixvm_ok('exec', $vm, '--', 'systemd-run', '--quiet', '--on-active=1', 'systemctl', 'reboot');
ok(wait_until(60, sub { status_of($vm)->{state} eq 'rebooting' }), 'the guest reboots: status says so');
is(status_of($vm)->{guest}{ready}, JSON::PP::false, 'and that it is not ready');
is(helixvm('status', '--quiet', $vm)->{status}, 5, 'nor does it run for a script');
like(helixvm('exec', $vm, '--', 'true')->{err}, qr/is rebooting: `helixvm up \Q$vm\E`/, 'exec says so');
like(helixvm_ok({seconds => 300}, 'up', $vm)->{err}, qr/the guest reboots: waiting/, 'up waits');
is(status_of($vm)->{state}, 'running', 'until its next READY');
ok(seen(qr/^\S+  running.*\n(.*\n)*\S+  rebooting.*\n(.*\n)*\S+  running/m), 'watch: all three');
ok(wait_until(30, sub { helixvm('exec', $vm, '--', 'true')->{status} == 0 }), 'exec reaches it again');
is(system('virsh', '-q', '-c', 'qemu:///system', 'suspend', "helixvm-$vm"), 0, 'virsh suspend');
ok(wait_until(10, sub { status_of($vm)->{state} eq 'paused' }), 'status: it is paused');
ok(status_of($vm)->{guest}{ready}, 'and what the guest said still holds');
is(system('virsh', '-q', '-c', 'qemu:///system', 'resume', "helixvm-$vm"), 0, 'virsh resume');
ok(wait_until(10, sub { status_of($vm)->{state} eq 'running' }), 'status: it runs again');
$result = helixvm('snapshot', 'restore', $vm, 'marked');
is($result->{status}, 1, 'snapshot: a VM that is up is left alone');
like($result->{err}, qr/is up, and its guest writes.*helixvm down/, 'and why');
kill 'KILL', $run->{pid};
finish($run, 10);
stays_clean('SIGKILL');
helixvm_ok('snapshot', 'restore', $vm, 'marked');
is(system('qemu-img', 'check', '-q', state_path($vm, 'disk.qcow2')), 0, 'the disk is clean');
is(status_of($vm)->{last_run}{failed}, JSON::PP::false, 'whose monitor cleaned up itself');
ok(wait_until(10, sub { seen(qr/running.*\n(.*\n)*.*stopped: forced off$/m) }), 'watch: it is down again');
kill 'INT', $_->{pid} for values %watch;
$result = finish($watch{'--watch'}, 10);
is($result->{status}, 0, 'Ctrl-C ends the watch well') or diag($result->{err});
like($result->{out}, qr/^\d\d:\d\d:\d\d  stopped.*^\S+  starting: boot/ms, 'which told each phase on a line');
unlike($result->{out}, qr/\e/, 'without escapes');
my @states = map { json($_)->{state} } split /\n/, finish($watch{'--json'}, 10)->{out};
# The disk that is put back takes other room: a change, too.
like(join(' ', @states), qr/^stopped (starting )+(running |rebooting |paused )+(stopping )*stopped( stopped)*$/,
    'watch --json has them, too');

$run = start_run('--timeout', '300');
ok(hear(300, qr/^READY=1$/m), 'run with the snapshot restored');
is(helixvm_ok('exec', $vm, '--', 'cat', '/root/mark')->{out}, "first\n", 'the disk is as it was then');
kill 'TERM', $run->{pid};
ok(hear(20, qr/^STOPPING=1$/m), 'a first signal');
sleep 0.7; # less is taken for the same
kill 'INT', $run->{pid};
$result = finish($run, 60);
is($result->{status}, 130, 'and a second, which forces it off');
like($result->{err}, qr/forcing the VM off\n.*helixvm: VM "$vm" was forced off$/ms, 'as it says');
stays_clean('two signals');

$run = start_run();
ok(wait_until(60, sub { slurp($run->{err}->filename) =~ / vsock / }), 'run, a third time');
kill 'INT', $run->{pid};
is(finish($run, 60)->{status}, 130, 'interrupted while it starts');
stays_clean('SIGINT');

# --- up, restart and down ---------------------------------------------------------------------

is(helixvm('restart', "$vm-x")->{status}, 4, 'restart: no such VM');
my $up = json(helixvm_ok({seconds => 300}, 'up', $vm, '--json', '--quiet')->{out});
is($up->{state}, 'running', 'up --json: it runs');
ok($up->{changed} && $up->{seconds} > 1, 'and took its time');
ok(!json(helixvm_ok('up', $vm, '--json')->{out})->{changed}, 'a second up changes nothing');
my $timing = helixvm_ok('up', $vm, '--timing')->{out};
like($timing, qr/^ *[\d.]+ +[\d.]+ +host +\S/m, 'up --timing: what the host did');
like($timing, qr/^ *[\d.]+ +[\d.]+ +guest +kernel and/m, 'and the guest');
is(helixvm('restart', $vm, '--set', 'machine.cpus=none')->{status}, 3, 'restart: a wrong setting');
is(helixvm('restart', $vm, '--set', 'share.folders=a:/nonesuch')->{status}, 3,
    'restart: a folder that is not there');
is(helixvm('restart', $vm, '--set', 'disk.extra=a:9000')->{status}, 6,
    'restart: a disk for which there is no room');
is(status_of($vm)->{state}, 'running', 'is said before anything ends');
my $before = status_of($vm)->{processes}{monitor};
my $restart = helixvm_ok({seconds => 300}, 'restart', $vm, '--force', '--set', 'machine.cpus=1');
like($restart->{err}, qr/^  forced off$/m, 'restart --force');
isnt(status_of($vm)->{processes}{monitor}, $before, 'it is another monitor');
is(helixvm_ok('exec', $vm, '--', 'nproc')->{out}, "1\n", 'and the setting holds');

# Its end is waited for, but not for as long as the guest has for its power off.
helixvm_ok('exec', $vm, '--', 'systemd-run', '--quiet', 'sh', '-c', 'trap "" TERM; while :; do sleep 1; done');

# As logind removes the sockets of a user who logs out.
rename runtime_path($vm, ''), runtime_path("$vm-gone", '') or die "rename: $!\n";
$result = helixvm('status', $vm);
like($result->{out}, qr/: unknown\n +reason +the VM runs, but its sockets .*helixvm down \Q$vm\E/,
    'its sockets are removed: status says so');
$result = helixvm('up', $vm);
is($result->{status}, 1, 'up starts no second one');
like($result->{err}, qr/its sockets in .* were removed: .*helixvm down/, 'and says what to do');
my $down = json(helixvm_ok({seconds => 150}, 'down', $vm, '--json')->{out});
system('rm', '-r', runtime_path("$vm-gone", ''));
ok($down->{changed} && !$down->{forced}, 'down --json: the guest powered off, with a process that will not end')
    or diag(slurp(state_path($vm, 'console.log')));
like($down->{reason}, qr/^the guest powered off/, 'with the reason');
ok(!json(helixvm_ok('down', $vm, '--json')->{out})->{changed}, 'a second down changes nothing');
stays_clean('down');
my %earlier = (pid => 1, start_time => 1, boot_id => 'an earlier boot');
put(state_path($vm, 'run.json'), JSON::PP::encode_json(\%earlier));
like(helixvm_ok('status', $vm)->{out}, qr/failed: the host went down while the VM ran/,
    'status after a power loss');
helixvm_ok('down', $vm);
ok(!-e state_path($vm, 'run.json'), 'the next verb mends it');
like(status_of($vm)->{last_run}{reason}, qr/host went down/, 'and it is kept');

# --- delete of a VM that runs -----------------------------------------------------------------

$run = start_helixvm('run', $vm);
ok(wait_until(60, sub { slurp($run->{err}->filename) =~ / vsock / }), 'it starts once more');
$result = helixvm('delete', '--yes', $vm);
is($result->{status}, 1, 'delete refuses');
like($result->{err}, qr/is up, .*--force alone: .*helixvm down/, 'and says how');
helixvm_ok({seconds => 60}, 'delete', '--yes', '--force', $vm);
isnt(finish($run, 30)->{status}, 0, 'run has not succeeded');
is(helixvm('status', $vm)->{status}, 4, 'there is no such VM any more');
stays_clean('delete --force');

done_testing;
