# SPDX-License-Identifier: GPL-2.0-or-later
# Headless Chromium, driven by the DevTools protocol over its pipe: nothing listens.
package Browser;

use strict;
use warnings;
use Carp;
use Fcntl ();
use File::Temp ();
use IO::Select;
use JSON::PP ();
use MIME::Base64 'decode_base64';
use POSIX ();
use Time::HiRes 'time';

use constant ANSWER_SECONDS => 60;

# Start one, with an empty profile of its own and one page; ends when the object goes.
sub new {
    my ($class) = @_;
    my $profile = File::Temp->newdir('helixvm-browser-XXXXXX', TMPDIR => 1);
    pipe(my $commands, my $to) or croak "pipe: $!";
    pipe(my $from, my $answers) or croak "pipe: $!";
    my $pid = fork // croak "fork: $!";
    if ($pid == 0) {
        setpgrp;
        # The protocol's numbers are 3 and 4; whatever these two have must not be in the way.
        my ($in, $out) = map { fcntl($_, Fcntl::F_DUPFD, 10) // croak "dup: $!" } $commands, $answers;
        POSIX::dup2($in, 3);
        POSIX::dup2($out, 4);
        open STDOUT, '>', '/dev/null';
        open STDERR, '>', '/dev/null';
        exec 'chromium-headless-shell', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
            '--disable-background-networking', '--disable-component-update', '--disable-sync',
            '--disable-dev-shm-usage', '--mute-audio', '--remote-debugging-pipe', "--user-data-dir=$profile",
            '--window-size=1280,800', 'about:blank'
            or POSIX::_exit(127);
    }
    close $_ for $commands, $answers;
    my $self = bless {pid => $pid, owner => $$, profile => $profile, to => $to, from => $from, read => '', last => 0,
        events => []}, $class;
    my ($page) = grep { $_->{type} eq 'page' } @{$self->command('Target.getTargets')->{targetInfos}};
    $page //= $self->command('Target.createTarget', {url => 'about:blank'});
    $self->{session} = $self->command('Target.attachToTarget', {targetId => $page->{targetId}, flatten => JSON::PP::true})
        ->{sessionId};
    $self->command($_) for 'Page.enable', 'Runtime.enable', 'Log.enable';
    return $self;
}

# The next message of the browser's: an object.
sub _next {
    my ($self, $deadline) = @_;
    my $end;
    while (($end = index $self->{read}, "\0") < 0) {
        my $left = $deadline - time;
        $left > 0 && IO::Select->new($self->{from})->can_read($left) or croak 'the browser does not answer';
        sysread $self->{from}, $self->{read}, 1 << 20, length $self->{read} or croak 'the browser is gone';
    }
    my $text = substr $self->{read}, 0, $end + 1, '';
    chop $text;
    return JSON::PP::decode_json($text);
}

# One command of the protocol, of the page where there is one: its result.
sub command {
    my ($self, $method, $parameters) = @_;
    my $id = ++$self->{last};
    my $text = JSON::PP::encode_json({id => $id, method => $method, params => $parameters // {},
        $self->{session} ? (sessionId => $self->{session}) : ()});
    local $SIG{PIPE} = 'IGNORE';
    (syswrite $self->{to}, "$text\0") // croak "the browser: $!";
    my $deadline = time + ANSWER_SECONDS;
    while (1) {
        my $message = $self->_next($deadline);
        push @{$self->{events}}, $message if $message->{method};
        next if ($message->{id} // 0) != $id;
        croak "$method: $message->{error}{message}" if $message->{error};
        return $message->{result};
    }
}

# Go to $url.
sub visit {
    my ($self, $url) = @_;
    $self->{events} = [];
    my $visited = $self->command('Page.navigate', {url => $url});
    croak "$url: $visited->{errorText}" if $visited->{errorText};
}

# The value of the expression $text in the page; a promise is waited for.
sub evaluate {
    my ($self, $text) = @_;
    my $result = $self->command('Runtime.evaluate',
        {expression => $text, awaitPromise => JSON::PP::true, returnByValue => JSON::PP::true});
    croak "$text: " . ($result->{exceptionDetails}{exception}{description} // $result->{exceptionDetails}{text})
        if $result->{exceptionDetails};
    return $result->{result}{value};
}

# Whether $text becomes true within $seconds; a page that is just being left does not count.
sub wait_for {
    my ($self, $seconds, $text) = @_;
    my $end = time + $seconds;
    while (time < $end) {
        return 1 if eval { $self->evaluate("!!($text)") };
        select undef, undef, undef, 0.1;
    }
    return 0;
}

# What the page wrote to its console, and what the browser said of it: lines.
sub complaints {
    my ($self) = @_;
    $self->evaluate('0');
    my @said;
    for my $event (@{$self->{events}}) {
        my $of = $event->{params};
        push @said, $of->{exceptionDetails}{exception}{description} // $of->{exceptionDetails}{text}
            if $event->{method} eq 'Runtime.exceptionThrown';
        push @said, join ' ', map { $_->{value} // $_->{description} // '' } @{$of->{args}}
            if $event->{method} eq 'Runtime.consoleAPICalled';
        push @said, "$of->{entry}{level}: $of->{entry}{text}" if $event->{method} eq 'Log.entryAdded';
    }
    return @said;
}

# Make the window so large.
sub resize {
    my ($self, $width, $height) = @_;
    $self->command('Emulation.setDeviceMetricsOverride', {width => $width, height => $height, deviceScaleFactor => 1,
        mobile => JSON::PP::false});
}

# The window, as it is seen: bytes of a PNG.
sub screenshot {
    my ($self) = @_;
    return decode_base64($self->command('Page.captureScreenshot', {format => 'png'})->{data});
}

# What the page's canvas #$id shows: width, height, and bytes of RGB.
sub picture {
    my ($self, $id) = @_;
    my ($width, $height, $data) = @{$self->evaluate(<<"END")};
(() => {
    const canvas = document.getElementById('$id'), {width, height} = canvas;
    const paper = new OffscreenCanvas(width, height).getContext('2d', {willReadFrequently: true});
    paper.drawImage(canvas, 0, 0);
    const rgb = paper.getImageData(0, 0, width, height).data.filter((_, i) => i % 4 !== 3);
    let text = '';
    for (let i = 0; i < rgb.length; i += 8192)
        text += String.fromCharCode(...rgb.subarray(i, i + 8192));
    return [width, height, btoa(text)];
})()
END
    return ($width, $height, decode_base64($data));
}

sub DESTROY {
    my ($self) = @_;
    return if $self->{owner} != $$;
    local ($?, $@);
    eval { $self->{session} = undef; $self->command('Browser.close') };
    my $end = time + 10;
    until (waitpid($self->{pid}, POSIX::WNOHANG)) {
        kill 'KILL', -$self->{pid} if time > $end;
        select undef, undef, undef, 0.05;
    }
}

1;
