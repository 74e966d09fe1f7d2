#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# helixvm view: what a browser shows of a VM's sessions is what the guest draws, also after the encoder
# and the session went and came again.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin, "$FindBin::Bin/..";
use BlockPattern;
use Browser;
use File::Temp;
use HelixVM;
use PictureClock;
use Test::More;
use Time::HiRes qw(sleep time);

my $vm = vm_name('view');
my $dir = File::Temp->newdir('helixvm-view-XXXXXX', TMPDIR => 1);
delete @ENV{qw(DISPLAY WAYLAND_DISPLAY)};

sub refused {
    my ($code, $pattern, @args) = @_;
    my $result = helixvm({seconds => 60}, 'view', @args);
    is($result->{status}, $code, "helixvm view @args: exit status $code");
    like($result->{err}, $pattern, "helixvm view @args: says what is wrong");
}

refused(4, qr/no VM "\Q$vm\E"/, $vm);
helixvm_ok({seconds => 400}, 'up', $vm);
refused(4, qr/helixvm provision \Q$vm\E/, $vm);
helixvm_ok({seconds => 300}, 'provision', $vm);
refused(4, qr/nosuch.*desktop/s, $vm, '--session', 'nosuch');
refused(2, qr/no name for a session/, $vm, '--session', '../desktop');

# --- the page ----------------------------------------------------------------------------------------

# `helixvm view`, with its link.
sub start_view {
    my ($session) = @_;
    my $view = start_helixvm('view', $vm, '--session', $session, '--json');
    my $told;
    wait_until(60, sub { $told = eval { json(slurp($view->{out}->filename)) } })
        or die 'no link: ' . slurp($view->{err}->filename) . "\n";
    is("$told->{vm} $told->{session}", "$vm $session", "$session: the link is that of its page");
    $view->{url} = $told->{url};
    return $view;
}

sub end_view {
    my ($view, $session, $said) = @_;
    kill 'INT', $view->{pid};
    my $result = finish($view, 20);
    is($result->{status}, 0, "$session: an interrupt ends it");
    is($result->{err}, $said, "$session: without a word more");
}

my $browser = Browser->new;

sub text_of { return $browser->evaluate("document.getElementById('$_[0]').innerText") }

sub shows {
    my ($seconds, $state, $what) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return ok($browser->wait_for($seconds, "document.documentElement.dataset.state === '$state'"), $what)
        || diag($browser->evaluate('document.body.innerText'));
}

# --- the picture -------------------------------------------------------------------------------------
# Blocks, each of a colour of its own, that nothing covers.

use constant {WIDTH => 640, HEIGHT => 360};

write_pattern("$dir/pattern.png", WIDTH, HEIGHT);
helixvm_ok('cp', "$dir/pattern.png", "$vm:/usr/share/pattern.png");
helixvm_ok({seconds => 120}, 'session', 'start', $vm, 'pattern', '--size', WIDTH . 'x' . HEIGHT,
    '--set', 'background=/usr/share/pattern.png', '--set', 'panel=false', '--', 'sleep', 'infinity');

# The blocks of the canvas that differ from the pattern.
sub wrong_on_canvas {
    my ($width, $height, $picture) = $browser->picture('screen');
    return "$width x $height" if $width != WIDTH || $height != HEIGHT;
    return map { "@$_" } wrong_blocks($picture, WIDTH, HEIGHT, MIDDLE);
}

my $view = start_view('pattern');
my @listening = grep { /pid=$view->{pid},/ } `ss -Hltunp`;
is(scalar @listening, 1, 'it listens at one port');
like("@listening", qr/ 127\.0\.0\.1:\d+ /, 'of this host alone');
$browser->visit($view->{url});
shows(60, 'live', 'the browser shows the session');
my @wrong = 'nothing is seen';
ok(wait_until(30, sub { !(@wrong = wrong_on_canvas()) }), 'the canvas has the pattern, block by block')
    or diag(scalar(@wrong), " blocks: $wrong[0]");
ok($browser->wait_for(20, 'document.getElementById("source").innerText.startsWith("resource")'),
    'read from the GPU\'s resource');

# Stopped, it stays so; started again it is elsewhere, and is found.
helixvm_ok('session', 'stop', $vm, 'pattern');
ok($browser->wait_for(30, '/is stopped: `helixvm session start \S+ pattern` starts it/.test(document.body.innerText)'),
    'a session that is stopped is said to be so') or diag($browser->evaluate('document.body.innerText'));
helixvm_ok({seconds => 120}, 'session', 'start', $vm, 'pattern');
shows(60, 'live', 'and joined when it is started');
ok(wait_until(30, sub { !(@wrong = wrong_on_canvas()) }), 'with the same pattern') or diag($wrong[0]);
end_view($view, 'pattern', '');
ok($browser->wait_for(20, '/helixvm view has ended/.test(document.body.innerText)'), 'which the page says');
helixvm_ok('session', 'stop', $vm, 'pattern');

# --- a picture that moves ----------------------------------------------------------------------------

put_drawing($vm, 'clock', WIDTH, HEIGHT);
my $clock = connect_clock($vm);
$view = start_helixvm('view', $vm, '--session', 'clock');
my $url;
ok(wait_until(60, sub { ($url) = slurp($view->{out}->filename) =~ m{^VM "\Q$vm\E": session clock is at (http://\S+)$}m }),
    'clock: the link is printed') or diag(slurp($view->{err}->filename));
$browser->visit($url);
shows(60, 'live', 'the browser shows the clock');

# The guest's time in the canvas, s; undef where none is to be read.
sub seen_clock {
    my ($width, $height, $picture) = $browser->picture('screen');
    return undef if $width != WIDTH;
    return read_clock(join '', map { chr pixel($picture, $width, ($_ + 0.5) * $width / 48, $height / 40)->[1] } 0 .. 47);
}

# Whether the picture becomes one of after the guest's time @after, within $seconds.
sub goes_on {
    my ($after, $seconds, $what) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $seen;
    ok(wait_until($seconds, sub { $seen = seen_clock() // $seen; defined $seen && $seen > $after }), $what)
        or diag($browser->evaluate('document.body.innerText'));
}

# Where the host is busy the picture takes its time to be read.
my ($seen, $after);
ok(wait_until(30, sub {
    my $before = sample_clock($clock)->[2];
    ($seen, $after) = (seen_clock(), sample_clock($clock)->[2]);
    return defined $seen && $before - $seen < 2;
}), 'the canvas has the guest\'s time of moments ago');
cmp_ok($seen, '<', $after, 'and not of the future');

my $encoder = status_of($vm)->{processes}{'helixvm-encoder'}{pid};
kill 'KILL', $encoder or die "the encoder, $encoder: $!\n";
goes_on(sample_clock($clock)->[2] + 1, 60, 'it goes on after the encoder was killed');
isnt(status_of($vm)->{processes}{'helixvm-encoder'}{pid}, $encoder, 'which is another one now');
ok($browser->wait_for(60, 'document.getElementById("source").innerText.startsWith("resource")'),
    'and encodes again') or diag(text_of('source'), text_of('hint'));
my $session = helixvm_ok('exec', $vm, '--', 'systemctl', 'show', '-P', 'MainPID', 'helixvm-session@clock')->{out};
helixvm_ok('exec', $vm, '--', 'kill', '-KILL', $session =~ s/\s+//r);
goes_on(sample_clock($clock)->[2] + 1, 60, 'it goes on after the session was killed');
is_deeply([grep { !/^warning/ } $browser->complaints], [], 'the browser has nothing to object to');
end_view($view, 'clock', "open it in a browser of this machine; the link lets one browser in, once; Ctrl-C ends it\n");

powers_off($vm, 'the guest powers off');
refused(5, qr/"\Q$vm\E" is down: .*helixvm up/, $vm);
is_deeply([leftovers($vm)], [], 'nothing is left');
done_testing;
