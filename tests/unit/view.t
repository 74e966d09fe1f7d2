#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# What `helixvm view` serves, of a session without a VM: who is let in, and what a browser shows.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/..";
use Browser;
use Files;
use File::Temp;
use IO::Select;
use IO::Socket::INET;
use IPC::Open2;
use Test::More;
use Time::HiRes qw(sleep time);

my $build = $ENV{BUILD} // 'build';
my $dir = File::Temp->newdir('helixvm-view-XXXXXX', TMPDIR => 1);
mkdir "$dir/run", 0700 or die "mkdir: $!\n";
mkdir "$dir/bin" or die "mkdir: $!\n";
$ENV{HELIXVM_RUNTIME_DIR} = "$dir/run";
$ENV{PATH} = "$dir/bin:$ENV{PATH}";
delete @ENV{qw(DISPLAY WAYLAND_DISPLAY)};

# --- a host of a session's page ----------------------------------------------------------------------

sub start_host {
    my %host;
    $host{pid} = open2($host{out}, $host{in}, "$build/tests/view-host", 'cli/view.html');
    $host{link} = told(\%host, qr/^(http\S+)$/);
    ($host{port}, $host{token}) = $host{link} =~ m{^http://127\.0\.0\.1:(\d+)/\?token=([0-9a-f]{32})$}
        or die "the link is $host{link}\n";
    return \%host;
}

sub order {
    my ($host, $line) = @_;
    syswrite $host->{in}, "$line\n" or die "view-host: $!\n";
}

# What a pattern catches in what it says next.
sub told {
    my ($host, $pattern) = @_;
    my $end = time + 20;
    $host->{said} //= '';
    until ($host->{said} =~ /\n/) {
        IO::Select->new($host->{out})->can_read($end - time) or die "view-host says nothing\n";
        sysread $host->{out}, $host->{said}, 4096, length $host->{said} or die "view-host ended\n";
    }
    (my $line, $host->{said}) = split /\n/, $host->{said}, 2;
    return $line =~ $pattern ? $1 : told($host, $pattern);
}

sub end_host {
    my ($host) = @_;
    close $host->{in};
    waitpid $host->{pid}, 0;
    return $?;
}

# An answer to one request: {status, headers, body}.
sub ask {
    my ($host, $path, %option) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $host->{port}) or die "connect: $!\n";
    my %headers = (Host => "127.0.0.1:$host->{port}", %{$option{headers} // {}});
    print $socket join "\r\n", ($option{method} // 'GET') . " $path HTTP/1.1",
        map({ "$_: $headers{$_}" } grep { defined $headers{$_} } sort keys %headers), '', '';
    my ($text, $end) = ('', time + 10);
    until ($text =~ /\A(.*?\r\n)\r\n/s) {
        IO::Select->new($socket)->can_read($end - time) && sysread $socket, $text, 65536, length $text
            or die "no answer to $path\n";
    }
    my ($status, $fields) = $text =~ m{\AHTTP/1\.1 (\d+)[^\r]*\r\n(.*?)\r\n\r\n}s;
    my %of = map { lc($_->[0]) => $_->[1] } map { [split /: */, $_, 2] } split /\r\n/, $fields;
    sysread $socket, $text, 65536, length $text or last
        while length($text) - index($text, "\r\n\r\n") - 4 < ($of{'content-length'} // 0);
    my $body = substr $text, index($text, "\r\n\r\n") + 4;
    return {status => $status, headers => \%of, body => $body, socket => $socket};
}

sub is_status {
    my ($wanted, $what, @request) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $answer = ask(@request);
    is($answer->{status}, $wanted, "$what: $wanted");
    return $answer;
}

# --- the door ----------------------------------------------------------------------------------------

my $host = start_host();
my $origin = "http://127.0.0.1:$host->{port}";
my $elsewhere = 'http://elsewhere.example';

my $refused = is_status(403, 'no token', $host, '/');
like($refused->{body}, qr/does not let you in.*link that <code>helixvm view<\/code> printed/s, 'which says what to do');
unlike($refused->{body}, qr/a &amp; |desktop/, 'and not of what this is');
is_status(403, 'a wrong token', $host, '/?token=' . $host->{token} =~ tr/0-9a-f/1-9a-f0/r);
is_status(403, 'a part of the token', $host, '/?token=' . substr $host->{token}, 0, 31);
is_status(403, 'no page without the cookie', $host, '/statistics');
my $enter = "/?token=$host->{token}";
is_status(403, 'another name of this address', $host, $enter, headers => {Host => "rebound.example:$host->{port}"});
is_status(403, 'its name on the network of guests', $host, $enter, headers => {Host => "10.0.2.2:$host->{port}"});
is_status(403, 'a page of another site', $host, $enter, headers => {Origin => $elsewhere});
is_status(405, 'another method', $host, $enter, method => 'POST', headers => {'Content-Length' => 0});

my $entered = is_status(200, 'the token, which all that has not used up', $host, $enter);
my ($cookie, $folder) = $entered->{headers}{'set-cookie'} =~
    m{^(helixvm-view=[0-9a-f]{32}); Path=(/[0-9a-f]{16}/); HttpOnly; SameSite=Strict$};
ok($cookie, 'gives a cookie for this folder alone') or diag($entered->{headers}{'set-cookie'});
is($entered->{headers}{refresh}, "0; url=$folder", 'and leads to the page');
my $used = is_status(403, 'the token again', $host, $enter);
like($used->{body}, qr/has been used.*helixvm view.*anew/s, 'which says what to do');
is($used->{headers}{'set-cookie'}, undef, 'and gives no cookie');

my %mine = (Cookie => "theirs=1; $cookie; more=2");
my $page = is_status(200, 'the page, with the cookie', $host, $folder, headers => \%mine);
is_status(403, 'without it', $host, $folder);
is_status(403, 'with a wrong one', $host, $folder, headers => {Cookie => $cookie =~ tr/0-9/1-90/r});
is_status(404, 'another page', $host, "${folder}else", headers => \%mine);
is_status(404, 'the stream, but not for a WebSocket', $host, "${folder}ws/stream", headers => \%mine);
for my $answer ($page, $used) {
    my $headers = $answer->{headers};
    is($headers->{'cache-control'}, 'no-store', "a $answer->{status} is not kept");
    is($headers->{'referrer-policy'}, 'no-referrer', 'nor told to others');
    is($headers->{'x-content-type-options'}, 'nosniff', 'nor taken for what it is not');
    like($headers->{'content-security-policy'}, qr/^default-src 'none'.*frame-ancestors 'none'/, 'nor framed');
    unlike($headers->{'content-security-policy'}, qr/unsafe/, 'and runs what is its own alone');
}
like($page->{body}, qr/<title>desktop of a &amp; &lt;b&gt;<\/title>/, 'names are no HTML');
my $told = is_status(200, 'statistics', $host, "${folder}statistics", headers => \%mine);
like($told->{body}, qr/"source":"pixels"/, 'are the session\'s');

my %upgrade = (%mine, Upgrade => 'websocket', Connection => 'Upgrade', 'Sec-WebSocket-Version' => 13,
    'Sec-WebSocket-Key' => 'MDEyMzQ1Njc4OWFiY2RlZg==');
is_status(403, 'a WebSocket of another site', $host, "${folder}ws/stream", headers => {%upgrade, Origin => $elsewhere});
is_status(403, 'of no site', $host, "${folder}ws/stream", headers => \%upgrade);
is_status(403, 'without the cookie', $host, "${folder}ws/stream",
    headers => {%upgrade, Origin => $origin, Cookie => undef});
is_status(400, 'without its key', $host, "${folder}ws/stream",
    headers => {%upgrade, Origin => $origin, 'Sec-WebSocket-Key' => undef});
my $joined = is_status(101, 'of the page itself', $host, "${folder}ws/stream", headers => {%upgrade, Origin => $origin});
is($joined->{headers}{'sec-websocket-extensions'}, undef, 'with no extension');
close $joined->{socket};
is(told($host, qr/^(left)$/), 'left', 'its end is the session\'s viewer\'s');
my @held = map { ask($host, "${folder}ws/stream", headers => {%upgrade, Origin => $origin}) } 1 .. 40;
is(scalar(grep { $_->{status} == 101 } @held), 32, 'so many at once');
like($held[-1]{body}, qr/Too many viewers/, 'and no more');
is(end_host($host), 0, 'it ends while they view');

# Of a session that keeps one waiting.
$host = start_host();
($cookie, $folder) = ask($host, "/?token=$host->{token}")->{headers}{'set-cookie'} =~ /^(\S+=\S+); Path=(\S+);/;
order($host, 'silent');
told($host, qr/^(silent)$/);
for my $path ('ws/stream', 'statistics') {
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $host->{port}) or die "connect: $!\n";
    print $socket join "\r\n", "GET $folder$path HTTP/1.1", "Host: 127.0.0.1:$host->{port}",
        "Origin: http://127.0.0.1:$host->{port}", map({ "$_: $upgrade{$_}" } grep { !/Cookie/ } keys %upgrade),
        "Cookie: $cookie", '', '';
    push @held, {socket => $socket};
    is(told($host, qr/^(waits)$/), 'waits', "$path: it is waited for");
}
my $begun = time;
is(end_host($host), 0, 'it ends while they wait');
cmp_ok(time - $begun, '<', 10, 'at once');

# --- the browser -------------------------------------------------------------------------------------

# Wait until the browser is to open something: the words of its command line.
sub opened {
    my $end = time + 20;
    sleep 0.05 until -e "$dir/opened" or time > $end;
    my @words = split /\n/, slurp("$dir/opened");
    unlink "$dir/opened";
    return @words;
}

sub start_with_browser {
    my $host = start_host();
    order($host, 'browser');
    is(told($host, qr/^(.*browser.*)$/), 'browser: opened', 'a browser is opened');
    return ($host, opened());
}

# A desktop's, that only notes what it is to open.
put("$dir/bin/xdg-open", "#!/bin/sh\nprintf '%s\\n' \"\$#\" \"\$1\" >$dir/opened.part; mv $dir/opened.part $dir/opened\n");
chmod 0755, "$dir/bin/xdg-open" or die "chmod: $!\n";
$host = start_host();
order($host, 'browser');
is(told($host, qr/^(.*browser.*)$/), 'no browser', 'without a display there is no browser');
end_host($host);
$ENV{DISPLAY} = ':4711';
my ($killed, undef, $left) = start_with_browser();
my ($beside, undef, $its) = start_with_browser();
isnt($its, $left, 'each has a file of its own');
kill 'KILL', $killed->{pid};
end_host($killed);
is(end_host($beside), 0, 'the other one ends');
is_deeply([glob "$dir/run/view-*"], [$left], 'one that is killed leaves its file');
($host, my $words, my $opened) = start_with_browser();
is("$words $opened", "1 $left", 'which the next one takes for its own');
unlike($opened, qr/$host->{token}/, 'whose name tells nothing');
is((stat $opened)[2] & 07777, 0600, 'and which nobody else reads');

my $browser = Browser->new;
my $is_live = 'document.documentElement.dataset.state === "live"';
my $words_of = 'document.getElementById("notice").innerText';
sub goes_live {
    my ($what) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok($browser->wait_for(20, $is_live), $what) or diag($browser->evaluate('document.body.innerText'));
}

$browser->visit("file://$opened");
goes_live('the file leads to the desktop');
is($browser->evaluate('document.title'), 'desktop of a & <b>', 'the title has the VM and the session');
unlike($browser->evaluate('location.href'), qr/token|$host->{token}/, 'the address has no secret');
unlike($browser->evaluate('document.cookie + document.body.innerText'), qr/helixvm-view=/, 'nor do scripts see it');
$browser->command('Page.reload');
goes_live('it can be loaded again');

# Each picture is one grey: Y of BT.601 in 16 to 235.
my @greys = map { (50 + 5 * $_ - 16) * 255 / 219 } 0 .. 19;
my %seen;
for (1 .. 30) {
    my ($width, $height, $picture) = $browser->picture('screen');
    is("$width $height", '322 182', 'of its size') if $_ == 1;
    my $red = ord $picture;
    my @wrong = grep { abs($_ - $red) > 2 } unpack 'C*', $picture;
    my ($index) = grep { abs($greys[$_] - $red) < 3 } 0 .. 19;
    $seen{@wrong || !defined $index ? 'wrong' : $index}++;
}
is($seen{wrong}, undef, 'all of the picture is of one of the greys') or diag(explain(\%seen));
cmp_ok(scalar(keys %seen), '>=', 8, 'which change');

ok($browser->wait_for(10, 'document.getElementById("source").textContent.startsWith("pixels")'), 'where frames come from');
is($browser->evaluate('document.getElementById("hint").textContent'), 'Not by resource: no <i>module</i>', 'and why');
is($browser->evaluate('document.querySelectorAll("#hint *, #renderer *").length'), 0, 'as text');
is($browser->evaluate(<<'END'), 'guest: encoded in the guest; Not by resource: no host', 'a change is told at once');
receive({data: '{"FrameSource":{"source":"guest","encoder":"x264enc","reason":"no host"}}'});
['source', 'hint'].map((id) => document.getElementById(id).textContent).join('; ')
END
ok($browser->wait_for(10, '/^[0-9.]+ ms$/.test(document.getElementById("trip").textContent)'), 'how long an answer takes');
ok($browser->wait_for(20, 'parseFloat(document.getElementById("trip").textContent) < 30'), 'which waits for nothing');
is($browser->evaluate('document.getElementById("encoding").textContent'), '12 ms', 'what the session says of its encoder');
my $fps = 'parseFloat(document.getElementById("fps").textContent)'; # 30
ok($browser->wait_for(20, "$fps > 20 && $fps < 40"), 'the frame rate') or diag($browser->evaluate($fps));
like($browser->evaluate('document.getElementById("codec").textContent'), qr/^avc1\.[0-9a-f]{6}$/, 'the codec');

# --- what goes wrong ---------------------------------------------------------------------------------

# What the page says, also where it is for a moment alone.
$browser->evaluate(<<"END");
var notices = [];
new MutationObserver(() => notices.push($words_of)).observe(document.documentElement, {attributeFilter: ['data-state']});
END
sub is_lost {
    my ($what, $pattern) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok($browser->wait_for(20, "notices.some((text) => /^Lost, trying again\\s+.*$pattern/.test(text))"), $what)
        or diag($browser->evaluate('notices.join("\n")'));
}
order($host, 'error the <b>pipeline</b> failed');
is_lost('a StreamError is told', 'the <b>pipeline<\\/b> failed$');
goes_live('and the session joined anew');
order($host, 'noise');
is_lost('what cannot be read is told', 'sent what this page cannot read');
goes_live('and the session joined anew');
$browser->evaluate('var hear = receive; receive = () => {}; heard -= 11000; pings.set(0, heard); 0');
is_lost('a session that does not answer is given up', 'does not answer');
$browser->evaluate('receive = hear; 0');
goes_live('and joined anew');
order($host, 'absent VM work is down: `helixvm up work`');
order($host, 'close');
is_lost('why there is no session is told', 'VM work is down: `helixvm up work`');
order($host, 'present');
goes_live('and it is joined when it is there');

# A decoder that is too slow: pictures are left out up to a keyframe.
$browser->evaluate(<<'END');
var queue = Object.getOwnPropertyDescriptor(VideoDecoder.prototype, 'decodeQueueSize');
Object.defineProperty(VideoDecoder.prototype, 'decodeQueueSize', {get: () => 99, configurable: true}); 0
END
ok($browser->wait_for(10, 'counts.dropped >= 20'), 'pictures that the decoder has no time for are left out');
$browser->evaluate('Object.defineProperty(VideoDecoder.prototype, "decodeQueueSize", queue); 0');
goes_live('and it goes on');
$browser->evaluate('decoder.close(); decoder = null; 0');
goes_live('as after a decoder\'s end');

# What the keys and the buttons do.
$browser->command('Input.dispatchKeyEvent', {type => $_, key => 's', text => 's'}) for qw(keyDown keyUp);
is($browser->evaluate('getComputedStyle(document.querySelector("aside")).display'), 'none', 's hides the statistics');
$browser->evaluate('document.getElementById("back").click()');
is($browser->evaluate('getComputedStyle(document.querySelector("aside")).display'), 'flex', 'a button shows them');

# Nothing is beside the window, however small.
for my $size ([1280, 800], [700, 700], [360, 640]) {
    $browser->resize(@$size);
    is($browser->evaluate('document.documentElement.scrollWidth'), $size->[0], "all of it is in a window $size->[0] wide");
    ok($browser->evaluate('document.getElementById("screen").getBoundingClientRect().height > 100'), 'with a picture');
}
is_deeply([$browser->complaints], [], 'the browser has nothing to object to');

# Browsers that lack something.
my $lack = sub {
    my ($script, $pattern, $what) = @_;
    my $id = $browser->command('Page.addScriptToEvaluateOnNewDocument', {source => $script})->{identifier};
    $browser->command('Page.reload');
    ok($browser->wait_for(10, "/cannot show the desktop[^]*$pattern/.test($words_of)"), $what);
    $browser->command('Page.removeScriptToEvaluateOnNewDocument', {identifier => $id});
};
$lack->('delete window.VideoDecoder', 'It has no WebCodecs', 'one without WebCodecs is told so');
$lack->('VideoDecoder.isConfigSupported = async () => ({supported: false})', 'It has no decoder for H\\.264',
    'one without H.264, too');
$browser->command('Page.reload');
goes_live('and one with both shows it');

is(end_host($host), 0, 'helixvm ends');
is_deeply([glob "$dir/run/view-*"], [], 'and its file with it');
ok($browser->wait_for(10, "/helixvm view has ended/.test($words_of)"), 'which the page tells');

done_testing;
