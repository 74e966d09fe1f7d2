#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# helixvm stream of a Helix server's session, by TLS, against tests/fakes/helix-api.c: what comes of
# it, whom the key is given to, and what each way to fail is called.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/..";
use Files;
use File::Temp;
use IO::Handle;
use IO::Socket::INET;
use JSON::PP;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

my $build = $ENV{BUILD} // 'build';
my $dir = File::Temp->newdir('helixvm-helix-XXXXXX', TMPDIR => 1);
my $key = 'hl-' . join '', map { ('a' .. 'z', 'A' .. 'Z', 0 .. 9)[rand 62] } 1 .. 40;
delete @ENV{grep { /_proxy$|^HELIX_|^SSL_CERT/i } keys %ENV};
$ENV{HELIXVM_STATE_DIR} = "$dir/state";
$ENV{HELIXVM_RUNTIME_DIR} = "$dir/run";

my $key_file = put("$dir/key", "$key\n");
chmod 0600, $key_file;

# --- certificates ----------------------------------------------------------------------------------

# A file of a certificate, and its key, that the CA $ca has signed; without one it signs itself.
sub certificate {
    my ($name, $ca, @options) = @_;
    my @signer = $ca ? ('-CA', "$dir/$ca.pem", '-CAkey', "$dir/$ca.key") : ();
    open my $openssl, '-|', 'sh', '-c', 'exec "$@" 2>&1', 'sh', qw(openssl req -x509 -newkey ec
        -pkeyopt ec_paramgen_curve:P-256 -nodes), '-keyout', "$dir/$name.key", '-out', "$dir/$name.pem",
        '-subj', "/CN=$name", @signer, @options or die "openssl: $!";
    my $said = join '', <$openssl>;
    close $openssl or die "openssl: $said";
    return put("$dir/$name.both", slurp("$dir/$name.pem"), slurp("$dir/$name.key"));
}

sub for_host { return ('-addext', "subjectAltName=$_[0]", '-addext', 'basicConstraints=critical,CA:FALSE') }
sub valid { return ('-not_before', "$_[0]0101000000Z", '-not_after', "$_[1]0101000000Z") }

certificate($_, undef, '-days', 2) for qw(ca other-ca);
my %certificate = (
    good    => certificate('good', 'ca', '-days', 2, for_host('IP:127.0.0.1,DNS:localhost')),
    foreign => certificate('foreign', 'ca', '-days', 2, for_host('DNS:elsewhere.example')),
    expired => certificate('expired', 'ca', valid(2020, 2021), for_host('IP:127.0.0.1')),
    early   => certificate('early', 'ca', valid(2090, 2091), for_host('IP:127.0.0.1')),
    own     => certificate('own', undef, '-days', 2, for_host('IP:127.0.0.1')),
);

# --- servers ---------------------------------------------------------------------------------------

my @servers;

# Serves until this test ends, or it is stopped.
sub server {
    my ($certificate) = @_;
    pipe my $theirs, my $input or die "pipe: $!";
    my $log = "$dir/server" . @servers;
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        close $input;
        open STDIN, '<&', $theirs;
        open STDOUT, '>', $log;
        exec "$build/tests/helix-api", $key_file, $certificate // () or POSIX::_exit(127);
    }
    my $self = { pid => $pid, input => $input, log => $log };
    push @servers, $self;
    until (($self->{port}) = contents($log) =~ /^(\d+)\n/) {
        die "the server did not start\n" if waitpid $pid, POSIX::WNOHANG();
        sleep 0.02;
    }
    $self->{url} = ($certificate ? 'https' : 'http') . "://127.0.0.1:$self->{port}";
    return $self;
}

END {
    my $status = $?;
    close $_->{input} for @servers;
    waitpid $_->{pid}, 0 for @servers;
    $? = $status;
}

# --- helixvm ---------------------------------------------------------------------------------------

my @all_said;

sub start {
    my (@arguments) = @_;
    my %self = (out => File::Temp->new, err => File::Temp->new);
    $self{pid} = fork // die "fork: $!";
    if ($self{pid} == 0) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>&', $self{out};
        open STDERR, '>&', $self{err};
        exec "$build/helixvm", 'stream', @arguments or POSIX::_exit(127);
    }
    return \%self;
}

sub finish {
    my ($run) = @_;
    waitpid $run->{pid}, 0;
    my ($out, $err) = map { slurp($_->filename) } @$run{qw(out err)};
    push @all_said, $out, $err;
    return ($? & 127 ? "signal $?" : $? >> 8, $out, $err);
}

sub stream { return finish(start(@_)) }

# It ends with this exit status, and says this.
sub fails {
    my ($what, $expected, $pattern, @arguments) = @_;
    my ($status, $out, $err) = stream(@arguments);
    is($status, $expected, "$what: exit status $expected") or diag($err);
    like($err, $pattern, '... and says so');
    return ($out, $err);
}

my $server = server($certificate{good});
my @ca = ('--cacert', "$dir/ca.pem");
my @trusted = ('--url', $server->{url}, '--api-key-file', $key_file, @ca);

# --- a stream --------------------------------------------------------------------------------------

{
    my ($status, $out, $err) = stream(@trusted, '--session', 'ses_good', '--duration', 3, '--quiet', '--json',
        '--output', "$dir/kept.mp4", '--snapshot', "$dir/last.png", '--fps', 50);
    is($status, 0, 'a session streams') or diag($err);
    my $result = decode_json($out);
    is($result->{session}, 'ses_good', 'it is named');
    cmp_ok($result->{frames}, '>=', 20, 'frames came, single and in batches');
    cmp_ok($result->{keyframes}, '>=', 2, 'and keyframes');
    is_deeply([@{$result->{sps}}{qw(width height)}], [322, 182], 'the parameter set is read');
    is($result->{source}, undef, 'a Helix server does not tell the source');
    is($result->{latency_ms}{$_}, 12, "the encoder's latency is what it answers to pings, $_")
        for qw(p50 max);
    cmp_ok($result->{round_trip_ms}, '>', 0, 'the round trip is measured');
    is($err, '', 'there is nothing to be warned of');

    my $probe = decode_json(scalar
        `ffprobe -v error -count_packets -count_frames -show_streams -of json $dir/kept.mp4`);
    my ($video) = @{$probe->{streams}};
    is($video->{nb_read_packets}, $result->{frames}, 'the file has each frame that was counted');
    is($video->{nb_read_frames}, $result->{frames}, 'and all can be decoded');
    # The last frame is seen for as long as the one before it.
    cmp_ok(abs($video->{duration} - $result->{duration_s}), '<', 0.5, 'and is as long as the stream was')
        or diag("$video->{duration} s, $result->{duration_s} s");
    like(`file $dir/last.png`, qr/PNG image data, 322 x 182/, 'the snapshot is the picture');

    my $until = time + 20;
    my $log;
    sleep 0.02 until ($log = contents($server->{log})) =~ /^closed/m or time > $until;
    like($log, qr/^closed/m, 'the server sees the viewer go');
    like($log, qr{^request /api/v1/external-agents/ses_good/ws/stream 0$}m, 'the key was taken');
    my ($init) = $log =~ /^init (.*)/m;
    is_deeply(decode_json($init), {type => 'init', session_id => 'ses_good', width => 0, height => 0,
        fps => 50, bitrate => 0, packet_size => 1024, play_audio_local => JSON::PP::false,
        video_supported_formats => 1}, 'the session is asked as the viewer wants it');
    like($log, qr/^pong$/m, "the server's pings are answered");
}

{
    local @ENV{qw(HELIX_URL HELIX_API_KEY)} = ($server->{url}, $key);
    my ($status, $out, $err) = stream(@ca, '--session', 'ses_good', '--duration', 2.2, '--json',
        '--width', 640);
    is($status, 0, 'the environment names server and key') or diag($err);
    my @lines = map { decode_json($_) } split /\n/, $out;
    is("@{[map { $_->{type} } @lines]}", 'statistics result', 'statistics are lines of JSON');
    cmp_ok($lines[0]{fps_now}, '>', 0, 'with the rate of the last seconds');
    like($err, qr/warning: .*ses_good.* stays as large as it is, 322x182: .*Helix/,
        'another size than was asked for is warned of');

    # Where another process could see the key.
    my $run = start(@ca, '--session', 'ses_good', '--output', "$dir/seen.mkv", '--quiet');
    my $recorder;
    until ($recorder) {
        my ($child) = split ' ', contents("/proc/$run->{pid}/task/$run->{pid}/children");
        $recorder = $child if $child && contents("/proc/$child/cmdline") =~ /^helixvm-recorder/;
        die "helixvm ended\n" if waitpid $run->{pid}, POSIX::WNOHANG();
        sleep 0.02;
    }
    unlike(contents("/proc/$_/cmdline"), qr/\Q$key/, "the key is no argument of process $_")
        for $run->{pid}, $recorder;
    like(contents("/proc/$recorder/environ"), qr/HELIXVM_STATE_DIR/, 'the recorder has an environment,');
    unlike(contents("/proc/$recorder/environ"), qr/\Q$key/, 'in which there is no key');
    my $until = time + 30;
    sleep 0.02 until -s "$dir/seen.mkv" or time > $until;
    kill 'INT', $run->{pid};
    ($status, $out, $err) = finish($run);
    is($status, 0, 'an interrupt ends what has no duration') or diag($err);
    like($out, qr/^session +ses_good\n.*^video frames +\d+/ms, 'and prints the result');
}

{
    my $plain = server();
    my $url = $plain->{url} =~ s/127\.0\.0\.1/localhost/r;
    my ($status, undef, $err) =
        stream('--url', $url, '--api-key-file', $key_file, '--session', 'ses_good', '--duration', 0.5, '-q');
    is($status, 0, 'on this host it may be http') or diag($err);
    ($status, undef, $err) = stream('--url', "$plain->{url}/", '--api-key-file', $key_file,
        '--session', 'ses_good', '--duration', 2.2);
    is($status, 0, 'also by its address') or diag($err);
    like($err, qr/^\d+\.\d s  [\d.]+ fps .* \d+ frames/m, 'there are statistics while it goes on');
}

# --- how it ends -----------------------------------------------------------------------------------

{
    my ($out, $err) = fails('a failing pipeline', 8, qr/the session reports: the pipeline of \.\.\. failed/,
        @trusted, '--session', 'ses_error', '--output', "$dir/error.h264");
    like($out, qr/^video frames +[1-9]/m, 'with what came until then');
    ok(-s "$dir/error.h264", 'and is kept');
}
fails('a closed stream', 11, qr/closed the stream \(1011: the desktop restarts\)/, @trusted,
    '--session', 'ses_close');
{
    my $mortal = server($certificate{good});
    my ($out) = fails('a cut connection', 11, qr/connection to the session broke/,
        '--url', $mortal->{url}, '--api-key-file', $key_file, @ca, '--session', 'ses_cut');
    like($out, qr/^video frames +[1-9]/m, 'with what came until then');
}
fails('a desktop that does not answer', 11,
    qr/no frame came from session "ses_asleep" of the Helix server \S+ .*no encoder.*did not answer: see in Helix/, @trusted,
    '--session', 'ses_asleep', '--output', "$dir/none.mp4");
ok(!-e "$dir/none.mp4", 'leaves no file');
fails('one without an encoder', 11, qr/its desktop answered.*see the desktop's log/, @trusted,
    '--session', 'ses_blind');

# --- what the server refuses -----------------------------------------------------------------------

fails('no such session', 4, qr/no such session.*ses_none.*404.*see its id/, @trusted, '--session', 'ses_none');
fails("another user's session", 12, qr/403.*use the key of a user who may/, @trusted, '--session', 'ses_others');
fails('a desktop that is down', 5, qr/does not reach the session's desktop.*502.*start it/, @trusted,
    '--session', 'ses_down');
fails('or late', 5, qr/504.*start it/, @trusted, '--session', 'ses_late');
fails('a broken server', 10, qr/HTTP status 500.*log/, @trusted, '--session', 'ses_broken');
fails('a page', 10, qr/is a Helix server's URL/, @trusted, '--session', 'ses_page');
fails('a redirect', 10, qr{https://elsewhere\.invalid/\?key=\.\.\. .*302.*not followed.*--url}, @trusted,
    '--session', 'ses_moved');
{
    my $wrong = put("$dir/wrong", 'hl-wrong');
    chmod 0400, $wrong;
    fails('a wrong key', 12, qr/does not know the key.*401.*HELIX_API_KEY or --api-key-file/,
        '--url', $server->{url}, '--api-key-file', $wrong, @ca, '--session', 'ses_good');
}

# --- whom it trusts --------------------------------------------------------------------------------

for my $case (
    ['expired', 'ca', qr/has expired.*clock/],
    ['early', 'ca', qr/not valid yet.*clock/],
    ['foreign', 'ca', qr/is another host's.*--url/],
    ['good', undef, qr/no CA that this host trusts.*--cacert FILE/],
    ['good', 'other-ca', qr/no CA in \S+other-ca\.pem has signed.*--cacert/],
    ['own', undef, qr/no CA that this host trusts.*--cacert FILE/],
) {
    my ($name, $ca, $pattern) = @$case;
    my $one = server($certificate{$name});
    fails("certificate $name, trusted " . ($ca // 'as ever'), 12, $pattern, '--url', $one->{url},
        '--api-key-file', $key_file, $ca ? ('--cacert', "$dir/$ca.pem") : (), '--session', 'ses_good');
    unlike(contents($one->{log}), qr/request/, '... before anything was asked');
}
{
    my $one = server($certificate{own});
    my ($status, undef, $err) = stream('--url', $one->{url}, '--api-key-file', $key_file, '--cacert',
        "$dir/own.pem", '--session', 'ses_good', '--duration', 0.5, '-q');
    is($status, 0, 'a certificate that signs itself is trusted where it is given') or diag($err);
}
fails('no certificate', 3, qr/no certificate in \S+\/key .*PEM/, '--url', $server->{url},
    '--api-key-file', $key_file, '--cacert', $key_file, '--session', 'ses_good');
fails('no file', 4, qr/cannot read the certificates of --cacert, \S+nosuch/, '--url', $server->{url},
    '--api-key-file', $key_file, '--cacert', "$dir/nosuch", '--session', 'ses_good');

# --- what does not answer --------------------------------------------------------------------------

my @keyed = ('--api-key-file', $key_file, '--session', 'ses_good');
{
    # Bound, and not listened on.
    my $socket = IO::Socket::INET->new(Proto => 'tcp', LocalAddr => '127.0.0.1') or die "socket: $!";
    fails('nobody', 11, qr/nothing answers at .*firewall/, '--url', 'https://127.0.0.1:' . $socket->sockport, @keyed);
}
# No name of a host is so long: no resolver needs to be asked.
fails('an unknown host', 11, qr/the host of .* is not found.*DNS/, '--url', 'https://' . 'x' x 70 . '.invalid', @keyed);
{
    local $ENV{https_proxy} = 'http://' . 'x' x 70 . '.invalid:3128';
    fails('an unknown proxy', 11, qr/resolve proxy.*see that .*https_proxy/, '--url', 'https://helix.example', @keyed);
}
{
    my $plain = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die "listen: $!";
    my $run = start('--url', 'https://127.0.0.1:' . $plain->sockport, @keyed);
    my $client = $plain->accept;
    print $client "HTTP/1.1 400 Bad Request\r\n\r\n";
    close $client;
    my ($status, undef, $err) = finish($run);
    is($status, 10, 'no TLS: exit status 10');
    like($err, qr/does not talk TLS.*port/, '... and says so');
}
{
    my $silent = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die "listen: $!";
    my $run = start('--url', 'https://127.0.0.1:' . $silent->sockport, @keyed);
    my $client = $silent->accept;
    my $asked = time;
    kill 'INT', $run->{pid};
    my ($status, undef, $err) = finish($run);
    is($status, 130, 'a server that is silent can be interrupted');
    is($err, "helixvm: interrupted\n", 'and that is said');
    cmp_ok(time - $asked, '<', 15, 'before its time is over');
}

{
    my $proxy = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die "listen: $!";
    local $ENV{https_proxy} = 'http://127.0.0.1:' . $proxy->sockport;
    my $run = start('--url', 'https://helix.example', @keyed);
    my $client = $proxy->accept;
    my $head = '';
    while (defined(my $line = <$client>)) {
        $head .= $line;
        last if $line eq "\r\n";
    }
    print $client "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n";
    close $client;
    my ($status, undef, $err) = finish($run);
    like($head, qr{^CONNECT helix\.example:443 HTTP/1\.1\r\n.*\r\n\r\n\z}s, 'a proxy is asked for the way there,');
    unlike($head, qr/\Q$key\E|Authorization/, 'and gets no key');
    is($status, 11, 'where it has none: exit status 11');
    like($err, qr/the proxy that https_proxy names does not lead to \S+helix\.example \(.*407\): .*no_proxy/,
        '... and says so');
}

# --- what is asked for -----------------------------------------------------------------------------

my @to = ('--url', 'https://helix.example');
for my $case (
    ['http to another host', [qw(--url http://helix.example), @keyed],
        qr/--url leads to another host without TLS.*https:\/\/HOST.*localhost/],
    ['by address', [qw(--url http://10.1.2.3:8080), @keyed], qr/without TLS/],
    ['one that begins like this one', [qw(--url http://localhost.example), @keyed], qr/without TLS/],
    ['a password', [qw(--url https://me:secret@helix.example), @keyed], qr/user or a password/],
    ['a query', [qw(--url https://helix.example/?a=b), @keyed], qr/a query or a fragment/],
    ['another scheme', [qw(--url ftp://helix.example), @keyed], qr/no https URL/],
    ['no URL', ['--url', 'https://', @keyed], qr/is no URL/],
    ['no id', [@to, qw(--api-key-file x --session desktop)], qr/"desktop" is none: give its id/],
    ['the standard session', [@to], qr/"desktop" is none/],
    ['--cacert alone', ['--cacert', "$dir/ca.pem"], qr/--cacert are for a Helix server/],
    ['a VM', [@to, @keyed, 'work'], qr/has no VM: leave "work" out/],
    ['a broken id', [@to, '--api-key-file', $key_file, '--session', 'ses_a/../b'],
        qr/"ses_a\/\.\.\/b" is no id of a Helix session/],
    ['no server', [qw(--session ses_good)], qr/set HELIX_URL and HELIX_API_KEY, or give --url and --api-key-file/],
    ['no key', [@to, qw(--session ses_good)], qr/no key for the Helix server: set HELIX_API_KEY.*0600.*--api-key-file/],
) {
    my ($what, $arguments, $pattern) = @$case;
    my (undef, $err) = fails($what, 2, $pattern, @$arguments);
    unlike($err, qr/secret/, '... without what is in the URL') if $what eq 'a password';
}
{
    local $ENV{HELIX_URL} = 'http://helix.example';
    fails('the same of the environment', 2, qr/HELIX_URL leads to another host without TLS/, @keyed);
    fails('a VM that is named', 4, qr/no VM "work"/, '--session', 'ses_good', 'work');
    fails('another session', 4, qr/no VM "default"/);
    for my $bad ("$key\r\nHost: elsewhere", "$key more", "$key\x01", "\xe9$key") {
        local $ENV{HELIX_API_KEY} = $bad;
        fails('a key that ends a line or holds more', 2, qr/HELIX_API_KEY holds a space, an end of a line/,
            @to, '--session', 'ses_good');
    }
}

# --- the key's file --------------------------------------------------------------------------------

sub key_file {
    my ($name, $mode, @text) = @_;
    my $path = put("$dir/$name", @text);
    chmod $mode, $path or die "chmod: $!";
    return $path;
}

for my $case (
    ['read by all', key_file('all', 0644, $key), 3,
        qr/others may use the key file \S+all \(mode 0644\): run `chmod 600 '\S+all'`/],
    ['read by a group', key_file('group', 0640, $key), 3, qr/mode 0640.*chmod 600/],
    ['written by others', key_file('writable', 0622, $key), 3, qr/mode 0622.*chmod 600/],
    ['of two lines', key_file('two', 0600, "$key\nmore\n"), 3, qr/key file \S+two holds a space, an end of a line/],
    ['with a NUL', key_file('nul', 0600, "$key\0more"), 3, qr/another byte that no key has/],
    ['empty', key_file('empty', 0600, "\n"), 3, qr/is empty/],
    ['too long', key_file('long', 0600, 'a' x 5000), 3, qr/longer than 4096/],
    ['none', "$dir/nosuch", 4, qr/cannot read the key file \S+nosuch: No such file/],
    ['a directory', "$dir", 3, qr/no regular file/],
) {
    my ($what, $path, $status, $pattern) = @$case;
    fails("a key file $what", $status, $pattern, @to, '--api-key-file', $path, '--session', 'ses_good');
}
POSIX::mkfifo("$dir/fifo", 0600) or die "mkfifo: $!";
fails('a key file that is a FIFO', 3, qr/no regular file/, @to, '--api-key-file', "$dir/fifo", '--session', 'ses_good');
SKIP: {
    skip 'only root gives files away', 2 if $>;
    my $path = key_file('foreign-file', 0600, $key);
    chown 65534, 65534, $path or die "chown: $!";
    fails("another user's key file", 3, qr/belongs to another user \(65534\).*install -m 600/, @to,
        '--api-key-file', $path, '--session', 'ses_good');
}
{
    my $ends = key_file('crlf', 0600, "$key\r\n");
    my ($status, undef, $err) = stream('--url', $server->{url}, '--api-key-file', $ends, @ca, '--session', 'ses_good',
        '--duration', 0.5, '-q');
    is($status, 0, 'the end of its line is no part of a key') or diag($err);
}

cmp_ok(scalar @all_said, '>', 100, 'of all that helixvm said,');
is(scalar(grep { /\Q$key/ } @all_said), 0, 'nothing holds the key');
done_testing;
