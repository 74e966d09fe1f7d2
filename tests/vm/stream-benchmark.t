#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# `helixvm stream`: what --benchmark says limits a stream, with stages slowed on purpose; what a viewer
# asks for; and what is said where no frame comes.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use File::Temp;
use HelixVM;
use SlowThread;
use Test::More;
use Time::HiRes qw(sleep);

my $vm = vm_name('benchmark');
my $dir = File::Temp->newdir('helixvm-benchmark-XXXXXX', TMPDIR => 1);
helixvm_ok({seconds => 400}, 'up', $vm);
helixvm_ok({seconds => 300}, 'provision', $vm);

sub benchmark { return ('stream', $vm, '--benchmark', '--quiet', '--json', @_) }
sub sessions { return map { $_->{name} => $_ } @{json(helixvm_ok('session', 'list', $vm, '--json')->{out})} }

# It does not reach its rate, and $stage limits.
sub limited {
    my ($result, $stage, $what) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is($result->{status}, 13, "$what: exit status 13") or diag($result->{err});
    my $told = $result->{out} ? json($result->{out})->{benchmark} : {};
    is($told->{limit}, $stage, "$what: $stage limits") or diag($result->{out});
    ok(defined $told->{reached} && !$told->{reached}, "$what: the rate is not reached");
    diag("$what: $told->{verdict}");
    return $told;
}

# --- it is fast enough ----------------------------------------------------------------------------
# 24 of the demo's frames a second at 1280x720, for 30 s, with a session of its own.

# Of three times it is enough that one does: others on the host may be busy.
my ($good, $told);
for (1 .. 3) {
    $good = helixvm({seconds => 120}, benchmark('--duration', 30));
    note($good->{err}, $good->{out});
    $told = json($good->{out});
    last if $told->{benchmark}{fps} >= 24;
}
SKIP: {
    skip 'the host is busy', 1 if !$ENV{CI} && $told->{benchmark}{host_busy} > 0.9;
    cmp_ok($told->{benchmark}{fps}, '>=', 24, 'at least 24 frames a second come');
}
is($told->{benchmark}{wanted_fps}, 30, 'of 30 that are asked for');
is($good->{status}, $told->{benchmark}{reached} ? 0 : 13, 'the exit status tells whether they are reached');
is($told->{source}, 'resource', 'from resource');
is("$told->{width}x$told->{height}", '1280x720', 'of that size');
diag("30 s: $told->{benchmark}{fps}, $told->{benchmark}{verdict}");
my %now = sessions();
is_deeply([sort keys %now], ['desktop'], 'its session is gone');

my $slow = helixvm({seconds => 90}, benchmark('--fps', 5, '--duration', 4));
is($slow->{status}, 0, 'what is reached: exit status 0') or diag($slow->{out}, $slow->{err});
$slow = json($slow->{out})->{benchmark};
ok($slow->{reached}, 'it says so');
is($slow->{limit}, undef, 'nothing limits');
cmp_ok($slow->{fps}, '<', 6, 'no more come than are asked for');

# --- a stage that is slow -------------------------------------------------------------------------

# Weston draws 30 at the most.
my $render = limited(helixvm({seconds => 90}, benchmark('--fps', 60, '--duration', 5)), 'guest_render', '60 fps');
cmp_ok($render->{stages}{guest_render}{fps}, '<', 33, 'of which the compositor draws less');

# An emulated CPU encodes.
helixvm_ok('session', 'start', $vm, 'guest', '--size', '1920x1080', '--set', 'encoder=guest');
my $encode = limited(helixvm({seconds => 90}, benchmark('--session', 'guest', '--duration', 6)), 'encode', 'x264enc');
cmp_ok($encode->{stages}{encode}{ms}, '>', 33, 'it takes longer than a frame lasts');
helixvm_ok('session', 'stop', $vm, 'guest', '--remove');

# A viewer that does not run: what comes in its time it never sees.
my $viewer = start_helixvm(benchmark('--fps', 20, '--duration', 6, '--output', "$dir/viewer.h264"));
ok(wait_until(60, sub { -s "$dir/viewer.h264" }), 'a benchmark streams');
sleep 4;
kill 'STOP', $viewer->{pid};
sleep 7;
kill 'CONT', $viewer->{pid};
limited(finish($viewer, 60), 'viewer', 'a stopped viewer');

# The device's thread, which each frame is to pass, runs for a moment at a time.
SKIP: {
    my $vsock = status_of($vm)->{processes}{'helixvm-vsock'}{pid};
    skip 'the vsock device is the kernel\'s', 5 if !$vsock;
    my $run = start_helixvm(benchmark('--duration', 6, '--output', "$dir/transport.h264"));
    ok(wait_until(60, sub { -s "$dir/transport.h264" }), 'a benchmark streams');
    my $slow = SlowThread->new(SlowThread->find($vsock, 'helixvm-vsock'), 0.3, 0.005);
    my $limited = limited(finish($run, 90), 'transport', 'a slow vsock device');
    cmp_ok($limited->{stages}{transport}{ms}, '>', 100, 'transport takes so long');
}

# --- a session that is there ----------------------------------------------------------------------

helixvm_ok('session', 'start', $vm, 'still', '--size', '640x360', '--fps', 20);
my $own = helixvm({seconds => 90}, benchmark('--session', 'still', '--duration', 4));
# Whether that is reached is said above.
like($own->{status}, qr/^(0|13)$/, 'a session that runs') or diag($own->{out}, $own->{err});
$told = json($own->{out});
is("$told->{width}x$told->{height} $told->{benchmark}{wanted_fps}", '640x360 20', 'is measured at its own size and rate');
%now = sessions();
is($now{still}{state}, 'running', 'and goes on');
my $clients = helixvm_ok('exec', $vm, '--', 'systemctl', 'list-units', '--plain', '--no-legend', 'helixvm-benchmark-*');
is($clients->{out}, '', 'nothing moves on it any more');
my $refused = helixvm(benchmark('--session', 'still', '--fps', 40));
is($refused->{status}, 2, 'more than it may show');
like($refused->{err}, qr/"still" shows at most 20 frames a second: .*--fps 40/, 'is refused');
$refused = helixvm(benchmark('--session', 'nosuch'));
is($refused->{status}, 4, 'no such session');

# Ctrl-C leaves nothing of it.
my $interrupted = start_helixvm(benchmark('--output', "$dir/interrupted.h264"));
ok(wait_until(60, sub { -s "$dir/interrupted.h264" }), 'a benchmark is under way');
$refused = helixvm(benchmark());
is($refused->{status}, 1, 'a second one is refused');
like($refused->{err}, qr/a benchmark is under way/, 'and says why');
kill 'INT', $interrupted->{pid};
is(finish($interrupted, 60)->{status}, 130, 'it is interrupted');
%now = sessions();
is_deeply([sort keys %now], ['desktop', 'still'], 'and removes its session');

# --- what a viewer asks for -----------------------------------------------------------------------
# What the frames themselves say.

my $moving = 'command=weston-simple-egl';
helixvm_ok('session', 'start', $vm, 'asked', '--size', '640x480', '--set', $moving);
helixvm_ok('session', 'stop', $vm, 'asked');

sub asked { return helixvm({seconds => 90}, 'stream', $vm, '--session', 'asked', '--quiet', '--json', @_) }

my $plain = asked('--width', 800, '--height', 600, '--fps', 10, '--duration', 5);
is($plain->{status}, 0, 'a session that is down') or diag($plain->{err});
$told = json($plain->{out});
is("$told->{sps}{width}x$told->{sps}{height}", '800x600', 'is started at the size that is asked for');
cmp_ok($told->{fps}, '<=', 11.5, 'and shows no more frames than that');
cmp_ok($told->{fps}, '>=', 5, 'nor far fewer');
my $bytes = $told->{frame_bytes}{mean};
my $low = asked('--width', 1024, '--fps', 10, '--bitrate', 100, '--duration', 5);
like($low->{err}, qr/warning: .*as large as it is, 800x600: it runs already; --restart ends/, 'one that runs stays');
$told = json($low->{out});
is("$told->{sps}{width}x$told->{sps}{height}", '800x600', 'as large as it is');
cmp_ok($told->{frame_bytes}{mean}, '<', 0.6 * $bytes, 'of a low bitrate the frames are small');
cmp_ok($told->{bitrate_bps}, '<', 130_000, 'and no more bits come');
my $restarted = asked('--width', 640, '--height', 360, '--fps', 40, '--restart', '--duration', 2);
is($restarted->{err}, '', '--restart does as is asked');
$told = json($restarted->{out});
is("$told->{sps}{width}x$told->{sps}{height}", '640x360', 'of that size');
%now = sessions();
is("$now{asked}{width}x$now{asked}{height} $now{asked}{fps}", '640x360 40', 'which it keeps, with the frame rate');

# --- no frames ------------------------------------------------------------------------------------

sub in_session { return helixvm_ok('exec', $vm, '--', 'sh', '-c', "kill -$_[0] \$(systemctl show --property MainPID --value helixvm-session\@asked)") }
in_session('STOP');
my $silent = asked('--duration', 2);
in_session('CONT');
is($silent->{status}, 9, 'a session whose program hangs: exit status 9');
like($silent->{err}, qr/no frame came from session "asked" .*session: its program does not answer; the session's unit is active.*last words:\n  /s,
    'and the error names it, with its last words');
helixvm_ok('session', 'stop', $vm, 'asked', '--remove');

# Its frames are to be encoded by the host alone, whose encoder does not answer.
my $encoder = status_of($vm)->{processes}{'helixvm-encoder'}{pid};
kill 'STOP', $encoder;
my $hung = helixvm({seconds => 90}, 'session', 'start', $vm, 'host', '--size', '320x240', '--set', 'encoder=host');
is($hung->{status}, 8, 'an encoder that hangs: exit status 8');
like($hung->{err}, qr/"host" of VM "\Q$vm\E" does not start: .*encoder.*; its last words:/s, 'and the error names it') or diag($hung->{err});
my $stream = helixvm({seconds => 90}, 'stream', $vm, '--session', 'host', '--quiet');
kill 'CONT', $encoder;
is($stream->{status}, 8, 'so does a stream');
like($stream->{err}, qr/does not start: .*encoder/, 'which says the same');
helixvm_ok('session', 'stop', $vm, 'host', '--remove');

# No desktop without its compositor.
helixvm_ok('exec', $vm, '--', 'chmod', '0', '/usr/bin/weston');
my $broken = helixvm({seconds => 90}, 'stream', $vm, '--session', 'desktop', '--quiet');
is($broken->{status}, 8, 'without a compositor: exit status 8');
like($broken->{err}, qr/"desktop" .* does not start: .*weston.*; its last words:/s, 'it is named');
helixvm_ok('exec', $vm, '--', 'chmod', '755', '/usr/bin/weston');

helixvm_ok('down', $vm);
helixvm_ok('delete', '--yes', $vm);
done_testing;
