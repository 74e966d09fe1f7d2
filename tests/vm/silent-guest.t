#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# A guest that comes up and then does nothing, and says nothing: the wait for it has an end.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use HelixVM;
use Test::More;
use Time::HiRes 'time';

my $vm = vm_name('silent');
my $begun;

sub up {
    my (@words) = @_;
    $begun = time;
    return helixvm({seconds => 300}, 'up', $vm, '--set', 'gpu.enabled=false',
        # cat as the first process: it reads the console, on which nothing comes.
        '--set', 'boot.cmdline=quiet init=/bin/cat', @words);
}

my $result = up('--boot-timeout', '3', '--set', 'machine.accelerators=tcg');
is($result->{status}, 7, 'a guest that is not ready in --boot-timeout') or diag($result->{err});
like($result->{err}, qr/did not report READY within 3 s \(.*--boot-timeout\)/, 'the error names it');
cmp_ok(time - $begun, '<', 60, 'and it is not the standard one');

# An accelerator that is not the last is left for silence, and for silence alone; on a host whose KVM
# works the guest is silent there, too.
$result = up('--boot-timeout', '150', '--set', 'machine.accelerators=tcg;kvm');
like($result->{err}, qr/tcg: no sign of life from the guest in 30 s/, 'silence is the reason') or diag($result->{err});
cmp_ok(time - $begun, '>', 30, 'it has had its time');
is_deeply([grep { !/^X socket / } leftovers($vm)], [], 'nothing is left');

is(helixvm('up', $vm, '--boot-timeout', '0')->{status}, 2, 'no time at all is a mistake');

# A kernel that panics is not waited for.
$begun = time;
$result = helixvm({seconds => 200}, 'up', $vm, '--profile', 'headless', '--set', 'machine.accelerators=tcg',
    '--set', 'boot.cmdline=quiet loglevel=5 init=/nonexistent');
is($result->{status}, 8, 'a guest that panics') or diag($result->{err});
like($result->{err}, qr/Kernel panic - not syncing: .*helixvm-init: cannot start \/nonexistent: .*console\.log/,
    'the error says of what');
cmp_ok(time - $begun, '<', 120, 'soon');
my $story = helixvm_ok('logs', $vm, 'console')->{out};
like($story, qr/cannot start \/nonexistent.*Kernel panic.*Call Trace.*---\[ end Kernel panic/s,
    'and its console tells the story, to the end of the panic') or diag($story);

down_and_delete($vm);
done_testing;
