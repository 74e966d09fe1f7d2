#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# helixvm image fetch, against a server that does what servers and networks do.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/..";
use Cwd qw(abs_path);
use Digest::SHA qw(sha256_hex sha512_hex);
use Fcntl qw(:flock);
use File::Temp;
use Files;
use IO::Socket::INET;
use JSON::PP;
use POSIX ();
use Test::More;
use Time::HiRes qw(time sleep);
use lib 'tests/fakes';
use HttpServer;

my $helixvm = abs_path(($ENV{BUILD} // 'build') . '/helixvm');
my $tmp = File::Temp->newdir('helixvm-fetch-XXXXXX', TMPDIR => 1);
my @started;
my @mounted;
my $test_pid = $$;
END {
    if ($$ == $test_pid) {
        my $end_status = $?;
        for my $pid (@started) {
            kill 'TERM', $pid if waitpid($pid, POSIX::WNOHANG()) == 0;
        }
        system 'umount', '-l', $_ for @mounted;
        $? = $end_status;
    }
}
delete @ENV{grep { /_proxy$/i } keys %ENV};
mkdir "$tmp/config";
$ENV{XDG_CONFIG_HOME} = "$tmp/config";
$ENV{TERM} = 'dumb';

sub quietly { system('sh', '-c', '"$@" >/dev/null 2>&1', 'sh', @_) == 0 or die "@_ failed" }

# A fresh state directory, which all that follows uses.
my $state;
my $states = 0;

sub fresh {
    my ($path) = @_;
    $state = $path // "$tmp/state" . ++$states;
    mkdir $state, 0711;
    $ENV{HELIXVM_STATE_DIR} = $state;
}

sub start {
    my (@arguments) = @_;
    pipe my $out, my $into or die "pipe: $!";
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        open STDOUT, '>&', $into;
        open STDERR, '>&', $into;
        exec $helixvm, 'image', @arguments or POSIX::_exit(127);
    }
    close $into;
    push @started, $pid;
    return ($pid, $out);
}

sub image {
    my ($pid, $out) = start(@_);
    local $/;
    my $text = <$out> // '';
    waitpid $pid, 0;
    return ($? & 127 ? 'signal ' . ($? & 127) : $? >> 8, $text);
}

sub left { return sort map { s{^\Q$state\E/images/?}{}r } glob "$state/images/{.[!.],}*" }

sub succeeds {
    my ($what, @arguments) = @_;
    my ($status, $text) = image('fetch', @arguments);
    is($status, 0, $what) or diag($text);
    return $text;
}

# It fails with this exit status, says this, and leaves nothing but @but.
sub fails {
    my ($what, $expected, $pattern, $arguments, @but) = @_;
    my ($status, $text) = image('fetch', @$arguments);
    is($status, $expected, $what) or diag($text);
    like($text, $pattern, '... and says so');
    is_deeply([left()], [@but], @but ? '... and keeps what it has' : '... and leaves nothing');
    return $text;
}

# --- the disks ---------------------------------------------------------------------------------
srand 20301;
my $raw = pack 'N*', map { int rand 2**32 } 1 .. 768 * 1024;    # 3 MiB
substr($raw, 510, 2) = "\x55\xaa";
put("$tmp/raw", $raw, "\0" x (1 << 20));
quietly('qemu-img', qw(convert -f raw -O qcow2), "$tmp/raw", "$tmp/disk.qcow2");
my $disk = contents("$tmp/disk.qcow2");
my $sum = sha256_hex($disk);
my $size = length $disk;
for (['xz', '-0'], ['zstd', '-1'], ['gzip', '-1']) {
    my ($program, $level) = @$_;
    quietly('sh', '-c', "$program -c $level <$tmp/disk.qcow2 >$tmp/disk.$program");
}
quietly('qemu-img', qw(create -f qcow2 -F raw -b /etc/passwd), "$tmp/backing.qcow2", '1M');
quietly('qemu-img', qw(create -f qcow2 -o), "data_file=$tmp/outside,data_file_raw=on", "$tmp/data.qcow2", '1M');
quietly('sh', '-c', "head -c 4M /dev/zero | zstd -1 >$tmp/zeros.zst");
quietly('sh', '-c', "head -c 1100M /dev/zero | zstd -1 >$tmp/bomb.zst");

my $changed = $disk;
substr($changed, -1) ^= "\1";
my $third = int($size / 3);

my %paths = (
    '/good.qcow2' => sub { $_[0]->reply(@_[1, 2], $disk, etag => '"1"') },
    '/dated.qcow2' => sub {
        $_[0]->reply(@_[1, 2], $disk, last_modified => 'Tue, 01 Jan 2030 00:00:00 GMT',
            cut => $_[2]{n} == 1 ? $third : undef);
    },
    '/nameless.qcow2' => sub { $_[0]->reply(@_[1, 2], $disk, cut => $_[2]{n} == 1 ? $third : undef) },
    '/cut.qcow2' => sub {
        $_[0]->reply(@_[1, 2], $disk, etag => '"1"', cut => $_[2]{n} < 4 ? $third - 1000 : undef);
    },
    '/always-cut.qcow2' => sub {
        $_[0]->reply(@_[1, 2], $disk, etag => '"1"', cut => $_[2]{range} ? 0 : $third);
    },
    '/comes-back.qcow2' => sub {
        my ($server, $client, $request) = @_;
        $server->reply($client, $request, $disk, etag => '"1"', cut => -e "$tmp/network" ? undef : $third);
    },
    '/no-range.qcow2' => sub {
        $_[0]->reply(@_[1, 2], $disk, etag => '"1"', no_range => 1, cut => $_[2]{n} == 1 ? $third : undef);
    },
    '/other-range.qcow2' => sub {
        $_[0]->reply(@_[1, 2], $disk, etag => '"1"', shift => 512, cut => $_[2]{n} == 1 ? $third : undef);
    },
    '/long.qcow2' => sub { $_[0]->reply(@_[1, 2], $disk, length => $size + 1000, no_range => 1) },
    '/short.qcow2' => sub { $_[0]->reply(@_[1, 2], $disk, length => $size - 1000) },
    '/no-length.qcow2' => sub { $_[0]->reply(@_[1, 2], $disk, no_length => 1) },
    '/changing.qcow2' => sub {
        my ($server, $client, $request) = @_;
        my $n = $request->{n};
        $server->reply($client, $request, $n == 1 ? $changed : $disk, etag => qq("$n"),
            cut => $n == 1 ? $third : undef);
    },
    '/never-the-same.qcow2' => sub {
        $_[0]->reply(@_[1, 2], $disk, etag => qq("$_[2]{n}"), cut => $third);
    },
    '/wrong.qcow2' => sub { $_[0]->reply(@_[1, 2], $changed, etag => '"1"') },
    '/silent.qcow2' => sub {
        $_[0]->reply(@_[1, 2], $disk, etag => '"1"', pause_at => $_[2]{n} == 1 ? $third : undef);
    },
    '/slow.qcow2' => sub {
        $_[0]->reply(@_[1, 2], $disk, etag => '"1"', pause_at => $_[2]{n} == 1 ? $third : undef);
    },
    '/byte.qcow2' => sub {
        $_[0]->reply(@_[1, 2], $disk, etag => '"1"', cut => $_[2]{n} < 6 ? 1 : undef);
    },
    '/drip.qcow2' => sub {
        my ($server, $client, $request) = @_;
        return $server->reply($client, $request, $disk, etag => '"1"') if $request->{n} > 1;
        print $client "HTTP/1.1 200 OK\r\nETag: \"1\"\r\nContent-Length: $size\r\n\r\n";
        $client->autoflush(1);
        for my $i (0 .. 39) { print $client substr $disk, $i * 20, 20; sleep 0.2 }
        print $client substr $disk, 800;
    },
    '/more.qcow2' => sub {
        my ($server, $client, $request) = @_;
        return $server->reply($client, $request, $disk, etag => '"1"', cut => $third) if $request->{n} == 1;
        printf $client "HTTP/1.1 206 Partial Content\r\nETag: \"1\"\r\nContent-Range: bytes %d-%d/%d\r\n\r\n%s",
            $third, $size - 1, $size, substr($disk, $third) . 'x' x 1000;
    },
    '/unsized.qcow2' => sub {
        my ($server, $client, $request) = @_;
        my $sent = (undef, $third, 1000)[$request->{n}] // $size;
        printf $client "HTTP/1.1 200 OK\r\nETag: \"1\"\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", $sent,
            substr $disk, 0, $sent;
        print $client "0\r\n\r\n" if $request->{n} > 1;
    },
    '/once.qcow2' => sub { sleep 1; $_[0]->reply(@_[1, 2], $disk, etag => '"1"') },
    '/hop.qcow2' => sub { $_[0]->status($_[1], '302 Found', 'Location: /hop2') },
    '/hop2' => sub { $_[0]->status($_[1], '301 Moved', 'Location: ' . $_[0]->url('/good.qcow2')) },
    '/loop.qcow2' => sub { $_[0]->status($_[1], '302 Found', 'Location: /loop.qcow2') },
    '/to-file.qcow2' => sub { $_[0]->status($_[1], '302 Found', 'Location: file:///etc/passwd') },
    '/forbidden.qcow2' => sub { $_[0]->status($_[1], '403 Forbidden') },
    '/error.qcow2' => sub { $_[0]->status($_[1], '500 Internal Server Error') },
    '/busy.qcow2' => sub {
        return $_[0]->status($_[1], '503 Service Unavailable', 'Retry-After: 1') if $_[2]{n} == 1;
        $_[0]->reply(@_[1, 2], $disk);
    },
    '/busy-for-long.qcow2' => sub { $_[0]->status($_[1], '503 Service Unavailable', 'Retry-After: 3600') },
    '/page.qcow2' => sub { $_[0]->reply(@_[1, 2], "<!DOCTYPE html>\n" . '<p>log in</p>' x 100) },
    '/empty.qcow2' => sub { $_[0]->reply(@_[1, 2], '') },
    '/truncated.qcow2' => sub { $_[0]->reply(@_[1, 2], substr $disk, 0, $size - (1 << 20)) },
    '/SHA512SUMS' => sub {
        $_[0]->reply(@_[1, 2], join '', map { sha512_hex($_->[0]) . "  $_->[1]\n" }
            ([$disk, 'good.qcow2'], ['x', 'other.qcow2']));
    },
    '/CHECKSUM' => sub {
        $_[0]->reply(@_[1, 2], "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n# good.qcow2: $size bytes\n"
                . "SHA256 (good.qcow2) = $sum\n-----BEGIN PGP SIGNATURE-----\n\nabc=\n-----END PGP SIGNATURE-----\n");
    },
    '/OLD' => sub { $_[0]->reply(@_[1, 2], ('0' x 64) . " *good.qcow2\n") },
    '/moving' => sub { $_[0]->reply(@_[1, 2], contents("$tmp/moving")) },
    '/moving.qcow2' => sub { $_[0]->reply(@_[1, 2], contents("$tmp/moving.qcow2")) },
);
for my $file (map { s{.*/}{}r } glob "$tmp/*.{xz,zstd,gzip} $tmp/backing.qcow2 $tmp/data.qcow2 $tmp/raw") {
    $paths{"/$file"} = sub { $_[0]->reply(@_[1, 2], contents("$tmp/$file"), etag => '"1"') };
}
my $server = HttpServer->new(\%paths, "$tmp/log");
push @started, $server->{pid};
sub url { return $server->url(@_) }
sub checked { return (url("/$_[0]"), '--sha256', $_[1] // $sum) }

# --- what is well ------------------------------------------------------------------------------
fresh();
my $text = succeeds('a file by http, with its checksum', checked('good.qcow2'));
like($text, qr/^image good fetched: good, x86_64, /m, '... is an image, named by its file');
like($text, qr/^  downloading \.\.\./m, '... with progress in lines');
unlike($text, qr/\e|\r/, '... without terminal codes');
is(contents("$state/images/good/disk.qcow2"), $disk, '... the very file');
is(sprintf('%04o', (stat "$state/images/good/$_")[2] & 07777), '0444', "... $_ is read-only")
    for qw(disk.qcow2 image.json);
is_deeply([left()], ['good'], '... and nothing beside it');
my ($listed) = @{ decode_json((image('list', '--json'))[1]) };
is($listed->{boot}, 'firmware', 'image list: it boots by firmware');
is($listed->{kernel}, undef, '... it has no kernel');
is($listed->{checksum}, "sha256:$sum", '... and this checksum');
is($listed->{source}, url('/good.qcow2'), '... and source');
like((image('list'))[1], qr/^good +x86_64 +good +firmware /m, '... in the table too');
$text = succeeds('a second time', checked('good.qcow2'));
like($text, qr/^image good is there already/m, '... it is there');
is(scalar($server->requests('/good.qcow2')), 1, '... and not asked for again');
fails('another by the same name', 3, qr/there is another image "good" \(x86_64, http.*--force/,
    [checked('dated.qcow2'), '--as', 'good'], 'good');
is((image('fetch', checked('good.qcow2'), '--force', '-q'))[1] =~ s/, x86_64.*//sr,
    'image good fetched: good', '--force fetches it anew, --quiet says no more');
$text = succeeds('--arch, --as and --json', checked('good.qcow2'), qw(--arch aarch64 --as arm --json -q));
is(decode_json($text)->{architecture}, 'aarch64', '... give the image as JSON');
like((image('remove', 'nope'))[1], qr/there is no image "nope": `helixvm image list`/, 'another is not there');
{
    open my $lock, '<', "$state/images" or die "images: $!";
    flock $lock, LOCK_EX or die "flock: $!";
    my ($pid, $out) = start('remove', 'good');
    like(scalar <$out>, qr/^waiting for a build, or another removal, to end$/, 'a removal says what it waits for');
    kill 'INT', $pid;
    waitpid $pid, 0;
    is($? >> 8, 130, '... and Ctrl-C ends it');
}
is_deeply(decode_json((image('remove', '--json', 'good'))[1]), [{name => 'good', removed => JSON::PP::true}],
    'it can be removed');

for my $packed (qw(xz zstd gzip)) {
    fresh();
    my $bytes = contents("$tmp/disk.$packed");
    succeeds("packed with $packed", checked("disk.$packed", sha256_hex($bytes)), '--as', 'one');
    ok(contents("$state/images/one/disk.qcow2") eq $disk, '... it is unpacked');
    is_deeply([left()], ['one'], '... and nothing is left');
    fails("a damaged $packed", 1, qr/cannot fetch .*: (the file cannot be unpacked|it is not the file)/,
        ["$tmp/damaged.$packed", '--as', 'two'], 'one')
        if put("$tmp/damaged.$packed", substr $bytes, 0, length($bytes) / 2);
}
fresh();
succeeds('a raw disk', checked('raw', sha256_hex(contents("$tmp/raw"))), '--as', 'one');
is(system("qemu-img compare -f raw -F qcow2 $tmp/raw $state/images/one/disk.qcow2 >/dev/null"), 0,
    '... becomes qcow2');
succeeds('a file of one\'s own needs no checksum', "$tmp/disk.qcow2", '--as', 'two');
succeeds('... as a URL', "file://$tmp/disk.xz", '--as', 'three');
ok(contents("$state/images/three/disk.qcow2") eq $disk, '... packed or not');
is(contents("$tmp/disk.qcow2"), $disk, '... and stays what it is');
fails('... with another checksum', 1, qr/its checksum is sha256:$sum, and should be sha256:0{64}/,
    ["$tmp/disk.qcow2", '--sha256', '0' x 64, '--as', 'four'], qw(one three two));
fails('a file that is not there', 4, qr/there is no file/, ['./nonesuch'], qw(one three two));
fails('a device', 4, qr/there is no file/, ['file:///dev/zero'], qw(one three two));
fresh();
succeeds('SHA512', url('/good.qcow2'), '--sha512', sha512_hex($disk));
succeeds('redirects are followed', checked('hop.qcow2'));
succeeds('no Content-Length', checked('no-length.qcow2'));

# --- connections that break --------------------------------------------------------------------
fresh();
$text = succeeds('three cuts', checked('cut.qcow2'));
is_deeply([$server->requests('/cut.qcow2')],
    ['-, -', map { sprintf 'bytes=%d-, "1"', $_ * ($third - 1000) } 1 .. 3],
    '... it goes on from where it was, if it is the same');
like($text, qr/trying again in 0\.5 s/, '... and says so');
ok(contents("$state/images/cut/disk.qcow2") eq $disk, '... and has all of it');
succeeds('a cut, with a date in the place of an ETag', checked('dated.qcow2'));
is(($server->requests('/dated.qcow2'))[1], "bytes=$third-, Tue, 01 Jan 2030 00:00:00 GMT", '... asks with it');
succeeds('a cut, with neither', checked('nameless.qcow2'));
is(($server->requests('/nameless.qcow2'))[1], "bytes=$third-, -", '... trusts the checksum');
succeeds('a server without ranges', checked('no-range.qcow2'));
ok(contents("$state/images/no-range/disk.qcow2") eq $disk, '... sends it all again');
$text = succeeds('a file that changes meanwhile', checked('changing.qcow2'));
like($text, qr/changed while it was downloaded/, '... is begun anew');
ok(contents("$state/images/changing/disk.qcow2") eq $disk, '... and is not a mixture');
fresh();
fails('one that changes all the time', 10, qr/changed while it was downloaded/, [checked('never-the-same.qcow2')]);
fails('another range than asked for', 10, qr/another part of the file/, [checked('other-range.qcow2')]);
fails('a Content-Length too great', 10, qr/\(3 tries\)/, [checked('long.qcow2'), '--retries', 2],
    '.long.fetch');
image('remove', 'long');
fails('a byte a connection', 10, qr/\(3 tries\)/, [checked('byte.qcow2'), '--retries', 2], '.byte.fetch');
is(scalar($server->requests('/byte.qcow2')), 3, '... is not asked for ever');
fresh();
succeeds('a hundred bytes a second', checked('drip.qcow2'), '--timeout', 2);
is(scalar($server->requests('/drip.qcow2')), 2, '... are as good as none');
fresh();
fails('more than was told of', 10, qr/sends more than the $size bytes/, [checked('more.qcow2')]);
succeeds('less than has come, once', checked('unsized.qcow2'));
is(scalar($server->requests('/unsized.qcow2')), 3, '... is not its end');
fresh();
fails('one too small', 1, qr/not the file that was published/, [checked('short.qcow2')]);
succeeds('a silent server', checked('silent.qcow2'), '--timeout', 1);
is(scalar($server->requests('/silent.qcow2')), 2, '... is asked again');
like(succeeds('503 with Retry-After', checked('busy.qcow2')), qr/answers 503; trying again in 1\.0 s/,
    '... is obeyed');
fresh();
fails('one that asks for a day', 1, qr/asks to come back in 3600 s/, [checked('busy-for-long.qcow2')]);
fails('status 500', 1, qr/answers 500 \(2 tries\)/, [checked('error.qcow2'), '--retries', 1]);
fails('status 404', 4, qr/answers 404 \(there is no such file\)/, [checked('nonesuch.qcow2')]);
is(scalar($server->requests('/nonesuch.qcow2')), 1, '... is not asked again');
fails('status 403', 1, qr/answers 403/, [checked('forbidden.qcow2')]);
fails('a loop of redirects', 10, qr/redirects more than 10 times/, [checked('loop.qcow2')]);
fails('a redirect to a file of ours', 10, qr{redirects to file:///etc/passwd}, [checked('to-file.qcow2')]);
{
    my $closed = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1');
    my $port = $closed->sockport;
    close $closed;
    my $began = time;
    fails('no server', 1, qr/cannot fetch/, ["http://127.0.0.1:$port/x.qcow2", '--sha256', $sum]);
    cmp_ok(time - $began, '<', 5, '... is told at once');
}

# --- from one run to the next ------------------------------------------------------------------
fresh();
fails('a connection that broke for good', 10, qr/what has come \(1\.\d\W+MiB\) is kept: the same command/,
    [checked('comes-back.qcow2'), '--retries', 0], '.comes-back.fetch');
put("$tmp/network", '');
succeeds('... the next fetch', checked('comes-back.qcow2'));
is(($server->requests('/comes-back.qcow2'))[-1], "bytes=$third-, \"1\"", '... goes on from there');
ok(contents("$state/images/comes-back/disk.qcow2") eq $disk, '... and has all of it');
is_deeply([left()], ['comes-back'], '... and nothing is left');

for my $signal (qw(INT KILL)) {
    fresh();
    my $path = "/$signal.qcow2";
    my ($pid, $out) = start('fetch', checked('slow.qcow2'), '--as', 'slow');
    my $part = "$state/images/.slow.fetch/part";
    my $deadline = time + 20;
    sleep 0.02 while (-s $part // 0) < $third && time < $deadline;
    kill $signal, $pid;
    waitpid $pid, 0;
    $signal eq 'INT' ? is($? >> 8, 130, 'SIGINT: exit status 130') : is($? & 127, 9, 'SIGKILL');
    like(join('', <$out>), qr/: interrupted; what has come .* is kept: the same command/, '... says what stays')
        if $signal eq 'INT';
    is_deeply([left()], ['.slow.fetch'], '... leaves what has come');
    is((image('list', '--json'))[1], "[]\n", '... which is no image');
    put("$state/images/.slow.fetch/part.tmp", 'x') if $signal eq 'KILL';
    my $before = () = $server->requests('/slow.qcow2');
    succeeds('... the next fetch', checked('slow.qcow2'), '--as', 'slow');
    is_deeply([($server->requests('/slow.qcow2'))[$before .. $before]], ["bytes=$third-, \"1\""],
        '... goes on from there');
    ok(contents("$state/images/slow/disk.qcow2") eq $disk, '... and has all of it');
    is_deeply([left()], ['slow'], '... and nothing is left');
    $server->stop;
    $server = HttpServer->new(\%paths, "$tmp/log");
    push @started, $server->{pid};
}
fresh();
fails('a part of another URL', 10, qr/is kept/, [checked('always-cut.qcow2'), '--as', 'one', '--retries', 0], '.one.fetch');
succeeds('... is not gone on from', checked('good.qcow2'), '--as', 'one');
is(($server->requests('/good.qcow2'))[-1], '-, -', '... but begun anew');
fails('one again', 10, qr/is kept/, [checked('always-cut.qcow2'), '--retries', 0], qw(.always-cut.fetch one));
is((image('remove', 'always-cut'))[1], "what an interrupted fetch of always-cut left is removed\n",
    'image remove takes it away');
is_deeply([left()], ['one'], '... all of it');

# Killed at any moment, over and over: what is there is right, and in the end all is.
fresh();
my $whole = sha256_hex($disk);
my @packed = checked('disk.xz', sha256_hex(contents("$tmp/disk.xz")));
my %seen;
my $wrong = 0;
for my $round (1 .. 20) {
    my ($pid, $out) = start('fetch', @packed, '--as', 'killed', ($round % 2 ? '--force' : ()));
    sleep rand 0.4;
    kill 'KILL', $pid;
    waitpid $pid, 0;
    my @images = @{ decode_json((image('list', '--json'))[1]) };
    $seen{ @images ? 'there' : 'not there' }++;
    $wrong++ if grep { sha256_hex(contents($_->{disk})) ne $whole } @images;
}
is($wrong, 0, 'killed 20 times: no image is wrong') or diag(explain(\%seen));
succeeds('... the next fetch', @packed, '--as', 'killed', '--force');
is_deeply([left()], ['killed'], '... leaves nothing of all that');
my $defined = `$helixvm define x --set disk.image=killed 2>&1`;
like($defined, qr/<os firmware=.efi.>/, 'a VM on it boots by firmware');
unlike($defined, qr/<kernel>/, '... and no kernel beside it');

# --- two at once -------------------------------------------------------------------------------
fresh();
{
    my @both = map { [start('fetch', checked('once.qcow2'))] } 1 .. 2;
    my @said;
    for (@both) {
        local $/;
        my $out = $_->[1];
        push @said, scalar <$out>;
        waitpid $_->[0], 0;
        is($?, 0, 'two at once: both succeed');
    }
    is(scalar($server->requests('/once.qcow2')), 1, '... with one download');
    is_deeply([sort map { /^image once (fetched|is there already)/m } @said], ['fetched', 'is there already'],
        '... by one of them') or diag(@said);
    ok((grep { /waiting for another fetch of it/ } @said), '... the other waits');
}

# --- what is refused ---------------------------------------------------------------------------
fresh();
fails('wrong bytes', 1, qr/not the file that was published: its checksum is sha256:/, [checked('wrong.qcow2')]);
fails('http without a checksum', 2, qr/needs a checksum: give the publisher's by --sha256/, [url('/good.qcow2')]);
fails('... even where it is asked for', 2, qr/changed by anybody on the way/, [url('/good.qcow2'), '--without-checksum']);
fails('a checksum that is none', 2, qr/is no SHA256 checksum/, [url('/good.qcow2'), '--sha256', 'abc']);
fails('a password in the URL', 2, qr/would be seen by others/, ['http://me:secret@127.0.0.1/x.qcow2', '--sha256', $sum]);
fails('another scheme', 2, qr/no http, https or file URL/, ['ftp://127.0.0.1/x.qcow2', '--sha256', $sum]);
fails('a bad name', 2, qr/cannot be an image's name/, [checked('good.qcow2'), '--as', '../x']);
fails('a backing file', 1, qr/lies on another file/, ["$tmp/backing.qcow2"]);
fails('an external data file', 1, qr/data is in another file/, ["$tmp/data.qcow2"]);
fails('a truncated qcow2', 1, qr/damaged or cut off/,
    [checked('truncated.qcow2', sha256_hex(substr $disk, 0, $size - (1 << 20)))]);
fails('a page to log in', 1, qr/no disk that can be used.*HTML page/,
    [checked('page.qcow2', sha256_hex("<!DOCTYPE html>\n" . '<p>log in</p>' x 100))]);
fails('nothing at all', 1, qr/no disk that can be used/, [checked('empty.qcow2', sha256_hex(''))]);
fails('a bomb', 1, qr/unpacks to more than 1\.0\W+GiB/, ["$tmp/bomb.zst", '--max-size', 1]);
fails('zeros', 1, qr/no disk that can be used/, ["$tmp/zeros.zst"]);
fails('an unknown name', 4, qr/no image "debain-13"; the nearest is "debian-13"/, ['debain-13']);
fails('a name like none', 4, qr/no image "xyzzy" \(see `helixvm image list/, ['xyzzy']);
fails('an empty name', 4, qr/no image "" \(see/, ['']);

SKIP: {
    skip 'only root can mount', 12 if $> != 0 && !$ENV{CI};
    mkdir "$tmp/small";
    quietly('mount', '-t', 'tmpfs', '-o', 'size=2M,mode=0711', 'small', "$tmp/small");
    push @mounted, "$tmp/small";
    fresh("$tmp/small");
    fails('no room, as Content-Length tells', 6, qr/takes .* more of disk space.*and there is 2\.0\W+MiB/, [checked('good.qcow2')]);
    fails('no room, found out on the way', 6, qr/cannot write the image: No space left/, [checked('no-length.qcow2')]);
    fails('no room for what is unpacked', 6, qr/No space left|more of disk space/, ["$tmp/disk.xz"]);
    quietly('umount', "$tmp/small");
    pop @mounted;
}

# --- https and the catalogue -------------------------------------------------------------------
sub wait_for_port {
    my ($port) = @_;
    my $deadline = time + 20;
    until (IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port")) {
        die "nothing listens on $port" if time > $deadline;
        sleep 0.02;
    }
}
quietly(qw(openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1),
    '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', "$tmp/key.pem", '-out', "$tmp/cert.pem");
my $tls_port = do {
    my $free = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1', ReuseAddr => 1);
    $free->sockport;
};
my $tls = fork // die "fork: $!";
if ($tls == 0) {
    open STDERR, '>', '/dev/null';    # it tells of each handshake that was given up
    exec 'socat', "OPENSSL-LISTEN:$tls_port,bind=127.0.0.1,reuseaddr,fork,cert=$tmp/cert.pem,key=$tmp/key.pem,verify=0",
        "TCP:127.0.0.1:$server->{port}"
        or POSIX::_exit(127);
}
push @started, $tls;
wait_for_port($tls_port);
sub https { return "https://127.0.0.1:$tls_port$_[0]" }

fresh();
fails('a certificate that nobody vouches for', 1, qr/certificate is not good/, [https('/good.qcow2'), '--sha256', $sum]);
$ENV{SSL_CERT_FILE} = "$tmp/cert.pem";
succeeds('one that SSL_CERT_FILE vouches for', https('/good.qcow2'), '--sha256', $sum);
fails('https without a checksum', 2, qr/needs a checksum.*--without-checksum/, [https('/good.qcow2'), '--as', 'x'], 'good');
succeeds('... is taken where one says so', https('/good.qcow2'), '--without-checksum', '--as', 'x');
is(decode_json((image('list', '--json'))[1])->[1]{checksum}, "sha256:$sum", '... and its checksum is kept');
fails('https that redirects to http', 10, qr/less safe and not followed/, [https('/hop.qcow2'), '--sha256', $sum], 'good', 'x');

sub catalogue {
    my (@lines) = @_;
    mkdir "$tmp/config/helixvm";
    put("$tmp/config/helixvm/images.conf", join "\n", @lines, '');
}
fresh();
catalogue('[sums/x86_64]', 'title=Summed', 'url=' . https('/good.qcow2'), 'checksums=' . https('/SHA512SUMS'),
    '[bsd/x86_64]', 'url=' . url('/good.qcow2'), 'checksums=' . https('/CHECKSUM'),
    '[old/x86_64]', 'url=' . url('/good.qcow2'), 'checksums=' . https('/OLD'),
    '[none/x86_64]', 'url=' . url('/cut.qcow2'), 'checksums=' . https('/SHA512SUMS'),
    '[fixed/aarch64]', 'url=' . url('/good.qcow2'), "sha256=$sum",
    '[moving/x86_64]', 'url=' . url('/moving.qcow2'), 'checksums=' . https('/moving'));
my $available = decode_json((image('list', '--available', '--json'))[1]);
my ($mine) = grep { $_->{name} eq 'sums' } @$available;
is($mine->{kind}, 'user', 'image list --available has the user\'s own');
is_deeply([map { "$_->{name}/$_->{architecture}" } grep { $_->{kind} eq 'built-in' } @$available],
    [map { ("$_/aarch64", "$_/x86_64") } qw(debian-13 fedora-44 ubuntu-24.04 ubuntu-26.04)],
    '... and those that come with helixvm');
is_deeply([grep { $_->{checksums} && $_->{checksums} !~ /^https:/ } @$available], [], '... all with https lists');
like((image('list', '--available'))[1], qr/^debian-13 +aarch64 +Debian 13/m, '... in a table');
like(succeeds('from the catalogue, with SHA512SUMS', 'sums'), qr/^image sums fetched: Summed, x86_64/m, '... is called so');
is(decode_json((image('list', '--json'))[1])->[0]{checksum}, 'sha512:' . sha512_hex($disk), '... and checked');
succeeds('with a signed CHECKSUM', 'bsd');
fails('with another sum', 1, qr/not the file that was published/, ['old'], qw(bsd sums));
fails('with a list that has it not', 10, qr/cannot use the list of checksums .*it has no SHA256 or SHA512 of "cut\.qcow2"/,
    ['none'], qw(bsd sums));
fails('for another architecture', 4, qr/has image "fixed", but not for x86_64/, ['fixed'], qw(bsd sums));
succeeds('... which can be asked for', 'fixed', '--arch', 'aarch64');
is_deeply([left()], [qw(bsd fixed-aarch64 sums)], '... and is named so');

# A publisher that goes on publishing.
put("$tmp/moving.qcow2", $disk);
put("$tmp/moving", "$sum  moving.qcow2\n");
succeeds('what a publisher moves', 'moving');
quietly('qemu-img', qw(convert -O qcow2 -o cluster_size=32k), "$tmp/disk.qcow2", "$tmp/moving.qcow2");
put("$tmp/moving", sha256_hex(contents("$tmp/moving.qcow2")) . "  moving.qcow2\n");
mkdir "$state/vms";
mkdir "$state/vms/desk";
quietly('qemu-img', qw(create -f qcow2 -F qcow2 -b), "$state/images/moving/disk.qcow2", "$state/vms/desk/disk.qcow2");
like(succeeds('a newer one, where a VM uses this', 'moving'), qr/a newer one.*^image moving is kept/ms, '... is left');
is((image('remove', 'moving'))[0], 1, '... and cannot be removed');
unlink "$state/vms/desk/disk.qcow2";
like(succeeds('... where none does', 'moving'), qr/^image moving fetched/m, '... replaces it');
is(contents("$state/images/moving/disk.qcow2"), contents("$tmp/moving.qcow2"), '... in fact');

for (['[x]', qr/\[x\]: a group is called NAME\/ARCHITECTURE/], ['[x/vax]', qr/a group is called/],
    ["[x/x86_64]\nurl=https://a.example/b\nsize=1", qr/unknown key "size"; known are title/],
    ["[x/x86_64]\nsha256=$sum", qr/it needs an url/],
    ["[x/x86_64]\nurl=https://a.example/b", qr/it needs one of checksums, sha256 and sha512/],
    ["[x/x86_64]\nurl=https://a.example/b\nchecksums=http://a.example/c", qr/has to be an https URL/],
    ["nonsense", qr/images\.conf: /]) {
    catalogue($_->[0]);
    my ($status, $said) = image('list', '--available');
    is($status, 3, "a catalogue with $_->[0] is wrong" =~ s/\n/ /gr);
    like($said, $_->[1], '... and told why');
}

done_testing;
