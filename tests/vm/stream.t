#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# One VM from up to down: what it says of itself, the picture that comes out of it, and what bad
# input does to it.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin, "$FindBin::Bin/..";
use BlockPattern;
use File::Temp;
use HelixVM;
use List::Util 'first';
use MIME::Base64;
use PictureClock;
use Test::More;
use Time::HiRes qw(sleep time);

my $vm = vm_name('stream');
my $dir = File::Temp->newdir('helixvm-stream-XXXXXX', TMPDIR => 1);

# --- before there is a VM ------------------------------------------------------------------------

sub refused {
    my ($code, $pattern, @args) = @_;
    my $result = helixvm(@args);
    is($result->{status}, $code, "helixvm @args: exit status $code");
    like($result->{err}, $pattern, "helixvm @args: says what is wrong");
}

refused(3, qr/memroy.*nearest.*machine\.memory/, 'up', $vm, '--set', 'machine.memroy=1');
refused(4, qr/no image "nosuch".*image build/, 'up', $vm, '--set', 'disk.image=nosuch');
# Another VM of the host's may be near.
my $unknown = qr/no VM "\Q$vm\E": (make it with `helixvm up|the nearest is .*helixvm list)/;
refused(4, $unknown, 'provision', $vm);
refused(4, $unknown, 'stream', $vm);
refused(4, $unknown, 'status', $vm);
is_deeply([leftovers($vm)], [], 'refusals leave nothing');

# --- up ------------------------------------------------------------------------------------------

my $up = helixvm_ok({seconds => 400}, 'up', $vm);
like($up->{err}, qr/^  boot +[\d.]+ s  the guest reported READY$/m, 'up shows the phases');
like(helixvm_ok('up', $vm)->{out}, qr/already up/, 'a second up says that it is up');

my $status = status_of($vm);
is($status->{state}, 'running', 'status: running');
ok($status->{guest}{ready}, 'status: the guest is ready');
my $works = -e '/dev/vhost-vsock' ? 'kernel' : 'vhost-user';
is($status->{vsock}{kind}, $works, "status: the vsock is $works");
is($status->{accelerator}, 'tcg', 'status: on this machine the accelerator is tcg')
    if $ENV{CI};
like("@{$status->{accelerators_left}}", qr/kvm: \S/, 'status: and why kvm was left')
    if $status->{accelerator} eq 'tcg';

# QEMU and its helpers listen on no port of the host.
my @pids = map { $_->{pid} // () } grep { ref } values %{$status->{processes}};
push @pids, map { m{/proc/(\d+)/} } grep {
    contents($_) =~ /guest=helixvm-\Q$vm\E/
} glob '/proc/[0-9]*/cmdline';
cmp_ok(scalar @pids, '>=', 3, 'the processes of the VM are known');
my $listening = `ss -Hltunp`;
unlike($listening, qr/pid=$_,/, "process $_ listens on no port") for @pids;

# --- provision -----------------------------------------------------------------------------------

refused(2, qr/"xyzzy" is no step: use one of packages, user, vsockenc,/, 'provision', '--only', 'xyzzy', $vm);
helixvm_ok('exec', $vm, '--', 'touch', '/run/before');
my $fresh = helixvm({seconds => 120}, 'provision', '--check', '--json', $vm);
is($fresh->{status}, 1, 'a check of a fresh guest fails') or diag($fresh->{out}, $fresh->{err});
like($fresh->{err}, qr/not provisioned .*vsockenc, session, unit, desktop, systemd, verify\): run `helixvm provision $vm`/,
    'and tells what is needed');
my %fresh = map { $_->{name} => $_->{state} } @{json($fresh->{out})->{steps}};
is($fresh{$_}, 'needed', "$_ is needed") for qw(vsockenc session unit desktop systemd verify);
is($fresh{detect}, 'ok', 'the guest was looked at');
is(helixvm_ok('exec', $vm, '--', 'find', qw(/etc /opt /root /usr /var/lib/dpkg -newer /run/before))->{out}, '',
    'nothing in it is changed');
is(helixvm('exec', $vm, '--', 'sh', '-c', 'ls -d /var/lib/helixvm /etc/helixvm /run/helixvm-verified /run/helixvm-session '
    . '/usr/local/libexec/helixvm-session 2>/dev/null')->{out}, '', 'nothing was put into it');
ok(!status_of($vm)->{provisioned}, 'nor is it kept as provisioned');

helixvm_ok({seconds => 300}, 'provision', $vm);
my $checked = helixvm_ok({seconds => 120}, 'provision', '--check', '--json', $vm);
ok(json($checked->{out})->{provisioned}, 'a check of a provisioned guest finds nothing to do');
is_deeply([grep { $_->{state} !~ /^(ok|already)$/ || $_->{seconds} < 0 } @{json($checked->{out})->{steps}}], [],
    'nor does a step of it');
helixvm_ok('exec', $vm, '--', 'sh', '-c', 'echo >>/usr/local/libexec/helixvm-session; '
    . 'rm /etc/systemd/system/helixvm-session@.service');
$checked = helixvm({seconds => 120}, 'provision', '--check', $vm);
like($checked->{err}, qr/^  session .*needed: .*^  unit .*needed: .*\(session, unit, systemd, verify\)/ms,
    'a check finds what was changed and removed');
my $only = helixvm_ok({seconds => 120}, 'provision', '--only', 'unit', $vm);
like($only->{out}, qr/unit is done$/, 'one step is done alone');
unlike($only->{err}, qr/^  (session|verify) /m, 'and no other');
$checked = helixvm({seconds => 120}, 'provision', '--check', $vm);
like($checked->{err}, qr/\(session, systemd, verify\)/, 'which leaves the others') or diag($checked->{err});
helixvm_ok({seconds => 300}, 'provision', $vm);

my $again = helixvm_ok({seconds => 120}, 'provision', $vm);
$status = status_of($vm);
like($status->{provisioned}{gl_renderer}, qr/^virgl/, 'the guest has virgl');
like($status->{provisioned}{vulkan_renderer}, qr/Venus/, 'the guest has Venus');
ok(!$status->{provisioned}{changed}, 'a second provision changed nothing');
my $inspect = helixvm_ok('exec', $vm, '--', 'gst-inspect-1.0', 'vsockenc');
like($inspect->{out}, qr/Factory Details.*keyframe-interval/s, 'the guest has vsockenc');
is(helixvm('exec', $vm, '--', 'sh', '-c', 'exit 7')->{status}, 7, 'exec passes the exit status on');

# What hangs is named, with what it waits for, and is not remembered as verified.
my $verify = "$FindBin::Bin/../../guest-provision/steps/verify.sh";
helixvm_ok('cp', $verify, "$vm:/root/verify.sh");
my $verified = helixvm_ok('exec', $vm, '--', 'sh', '-c', <<'END');
printf '#!/bin/sh\nexec sleep 1000\n' >/usr/local/bin/vulkaninfo && chmod 755 /usr/local/bin/vulkaninfo
rm /run/helixvm-verified
sh /root/verify.sh key 10
rm /usr/local/bin/vulkaninfo
test ! -e /run/helixvm-verified && echo nothing is remembered
END
like($verified->{out}, qr/^hung .*\bvulkan\b.*^late S\S* +\S+ +sleep 1000\n(?:late .*\n)*?nothing is remembered\n/ms,
    'verification names what hangs') or diag($verified->{out});
# What hangs once is tried again.
helixvm_ok('exec', $vm, '--', 'sh', '-c', <<'END');
cat >/usr/local/bin/vulkaninfo <<'FAKE' && chmod 755 /usr/local/bin/vulkaninfo
#!/bin/sh
rm /usr/local/bin/vulkaninfo && exec sleep 1000
FAKE
chmod 777 /usr/local/bin
END
my $tried = helixvm_ok({seconds => 300}, 'provision', $vm);
like($tried->{err}, qr/^  verify .*Venus.*; hung at the first try: vulkan \(.*sleep 1000/m,
    'provision tries what hung a second time') or diag($tried->{err});

# --- the picture ---------------------------------------------------------------------------------
# The desktop's background is a pattern of blocks, each of a colour of its own.  The one moving
# window may cover some of them; wherever it is, it has one place and a known size at most.

use constant {WIDTH => 1280, HEIGHT => 720, WINDOW => 340};

sub put_in_guest {
    my ($content, $path) = @_;
    my $encoded = encode_base64($content, '');
    helixvm_ok('exec', $vm, '--', 'sh', '-c', "echo $encoded | base64 -d >$path");
}

write_pattern("$dir/pattern.png", WIDTH, HEIGHT);
put_in_guest(slurp("$dir/pattern.png"), '/usr/share/pattern.png');
put_in_guest(<<"CONF", '/etc/helixvm/sessions/pattern.conf');
[session]
width=@{[WIDTH]}
height=@{[HEIGHT]}
background=/usr/share/pattern.png
CONF

# Where a block is looked at, and how exactly: its middle, and near each corner, so that a picture
# that is off by more than a few pixels shows.  Near the edges the codec's rounding is coarser.
my @points = (MIDDLE, map { my $x = $_; map { [$x, $_, 16] } 4, BLOCK - 5 } 4, BLOCK - 5);

# Whether these blocks may be what the moving window covers.
sub is_one_window {
    my ($left, $right) = (sort { $a <=> $b } map { $_->[0] } @_)[0, -1];
    my ($top, $bottom) = (sort { $a <=> $b } map { $_->[1] } @_)[0, -1];
    return !@_ || (($right - $left) * BLOCK <= WINDOW && ($bottom - $top) * BLOCK <= WINDOW);
}

sub check_pattern {
    my ($what) = @_;
    my $result = helixvm({seconds => 120}, 'stream', $vm, '--session', 'pattern', '--duration', 4,
        '--output', "$dir/pattern.h264", '--quiet', '--json');
    is($result->{status}, 0, "$what: the pattern streams") or do {
        diag($result->{err});
        return;
    };
    my $stats = json($result->{out});
    is($stats->{source}, 'resource', "$what: the frames come by resource id");
    is("$stats->{width}x$stats->{height}", WIDTH . 'x' . HEIGHT, "$what: the size is right");
    my $said = `ffmpeg -v warning -y -f h264 -i $dir/pattern.h264 -f rawvideo -pix_fmt rgb24 \\
        -vf scale=in_color_matrix=bt709:in_range=tv $dir/pattern.rgb 2>&1`;
    is($said, '', "$what: ffmpeg decodes it without a word");
    my $size = WIDTH * HEIGHT * 3;
    my $frames = (-s "$dir/pattern.rgb") / $size;
    is($frames, $stats->{frames}, "$what: ffmpeg decodes every frame");
    open my $file, '<:raw', "$dir/pattern.rgb" or die "pattern.rgb: $!\n";
    my $wrong_in = sub {
        my ($n) = @_;
        my $frame;
        seek $file, $n * $size, 0;
        read $file, $frame, $size;
        return wrong_blocks($frame, WIDTH, HEIGHT, @points);
    };
    my $last = int($frames) - 1;
    # The first frames may come before Weston's shell has drawn the background.
    my $drawn = first { is_one_window($wrong_in->($_)) } 0 .. $last;
    ok(defined $drawn, "$what: the pattern is drawn") or return $stats;
    for my $n (int(($drawn + $last) / 2), int(($drawn + 3 * $last) / 4), $last) {
        my @wrong = $wrong_in->($n);
        ok(is_one_window(@wrong), "$what: frame $n shows the pattern, but for one window")
            or diag(scalar @wrong, " blocks differ, such as ", "@{$wrong[0]}");
    }
    return $stats;
}

check_pattern('first');

# What of it is kept for players agrees with what was counted; a frame is seen until the next, the
# last one until the end.
for my $kind (qw(mp4 mkv)) {
    my $kept = json(helixvm_ok({seconds => 120}, 'stream', $vm, '--session', 'pattern', '--duration', 3,
        '--output', "$dir/kept.$kind", '--snapshot', "$dir/kept.png", '--quiet', '--json')->{out});
    my $seen = json(scalar `ffprobe -v error -count_packets -show_streams -show_format -of json $dir/kept.$kind`);
    my ($video) = @{$seen->{streams}};
    is($video->{nb_read_packets}, $kept->{frames}, "$kind: each frame that was counted");
    is("$video->{width}x$video->{height}", WIDTH . 'x' . HEIGHT, "$kind: of the size");
    is($video->{profile}, $kept->{sps}{profile}, "$kind: of the profile");
    cmp_ok(abs($seen->{format}{duration} - $kept->{duration_s}), '<', 2, "$kind: as long")
        or diag("$seen->{format}{duration} s, $kept->{duration_s} s");
    is(`ffmpeg -v error -i $dir/kept.$kind -f null - 2>&1`, '', "$kind: ffmpeg decodes it");
    my $frame = `ffmpeg -v error -i $dir/kept.png -f rawvideo -pix_fmt rgb24 -`;
    my @wrong = wrong_blocks($frame, WIDTH, HEIGHT, @points);
    cmp_ok(scalar @wrong, '<=', (WINDOW / BLOCK + 2) ** 2, "$kind: the snapshot shows the pattern");
}
refused(2, qr/\.h264.*\.mp4 or \.mkv/, 'stream', $vm, '--output', "$dir/a.avi");

# --- what is no buffer of the virtio GPU ----------------------------------------------------------

helixvm_ok('cp', ($ENV{BUILD} // 'build') . '/tests/vm/dmabuf-frames', "$vm:/root/dmabuf-frames");
my $foreign = helixvm_ok('exec', $vm, '--', '/root/dmabuf-frames', '/root/dmabuf.h264');
like($foreign->{out}, qr/^pixels\nthe dma-buf is not the virtio GPU's: /, 'dma-bufs of another device go by pixels');
helixvm_ok('cp', "$vm:/root/dmabuf.h264", "$dir/dmabuf.h264");
my $frames_seen = `ffmpeg -v error -f h264 -i $dir/dmabuf.h264 -f rawvideo -pix_fmt rgb24 -vf scale=in_color_matrix=bt709:in_range=tv -`;
my $foreign_size = 640 * 360 * 3;
cmp_ok(length $frames_seen, '>=', $foreign_size, 'and are decoded');
my $foreign_frame = substr $frames_seen, -$foreign_size;
for my $point ([5, 5, 0xe0, 0x80, 0x10], [630, 170, 0xe0, 0x80, 0x10], [5, 190, 0x20, 0x40, 0xd0],
    [630, 355, 0x20, 0x40, 0xd0]) {
    my ($x, $y, @want) = @$point;
    my $seen = pixel($foreign_frame, 640, $x, $y);
    ok(!(grep { abs($seen->[$_] - $want[$_]) > 10 } 0 .. 2), "at $x,$y the colour is right") or diag("@$seen");
}

# --- bad input -----------------------------------------------------------------------------------

refused(4, qr/nosuch.*desktop/s, 'stream', $vm, '--session', 'nosuch', '--duration', 1);
refused(2, qr/no name for a session/, 'stream', $vm, '--session', '../../etc/passwd', '--duration', 1);

sub message {
    my ($type, $flags, $payload) = @_;
    return pack('V C C v V', 0x52465848, $type, $flags, 1, length $payload) . $payload;
}

sub frame_request {
    my (%of) = @_;
    return message(0x01, $of{flags} // 0, pack('V5 q< q< C x7', $of{resource} // 1, $of{width} // 64,
        $of{height} // 64, 0x34325258, $of{stride} // 256, 0, 0, 0));
}

# What the service says to @bytes: [type, error code, closed].
sub answer_to {
    my ($bytes) = @_;
    my $socket = connect_port($vm, 5000);
    $socket->syswrite($bytes);
    my ($reply, $chunk) = ('', '');
    local $SIG{ALRM} = sub { die "no answer\n" };
    alarm 10;
    eval { $reply .= $chunk while length $reply < 16 && $socket->sysread($chunk, 512) };
    alarm 0;
    return 'no answer' if length $reply < 16;
    my ($magic, $type, undef, undef, undef, $code) = unpack 'V C C v V l<', $reply;
    return sprintf 'type %#x, code %d', $type, $code;
}

SKIP: {
    skip 'the kernel has the frame-export port', 4 if $status->{vsock}{kind} eq 'kernel';
    is(answer_to(frame_request(resource => 4_000_000)), 'type 0xff, code -2',
        'an unknown resource is not found');
    is(answer_to(frame_request(flags => 1, resource => 0, width => 100_000, height => 100_000)),
        'type 0xff, code -1', 'an oversized frame is refused');
    is(answer_to('garbage' x 20), 'type 0xff, code -1', 'garbage is answered');
    is(answer_to(message(0x01, 1, 'x' x 44) =~ s/^(.{8}).{4}/$1\xff\xff\xff\x7f/sr),
        'type 0xff, code -1', 'a claim of 2 GiB is refused');
}

# --- and after all that --------------------------------------------------------------------------

is(status_of($vm)->{processes}{'helixvm-encoder'}{restarts}, 0, 'the encoder survived it');

# --- a picture that stays ------------------------------------------------------------------------
# It is coded until it is as good as it gets, and then no more; who comes then sees it all the same.

# What the encoder says of the pattern's session.
sub encoding {
    my ($session) = @{status_of($vm)->{encoder}{sessions} // []};
    return $session // {frames => 0, unchanged => 0};
}

my $early = start_helixvm('stream', $vm, '--session', 'pattern');
my ($coded, $unchanged);
ok(wait_until(90, sub {
    my $now = encoding();
    ($coded, $unchanged) = ($now->{frames}, $now->{unchanged})
        if !defined $coded || $now->{frames} != $coded;
    return $now->{unchanged} >= $unchanged + 4;
}), 'a picture that stays is not coded any more');
ok(wait_until(10, sub { encoding()->{fps} == 0 && encoding()->{bits_per_second} == 0 }),
    'status: no frames a second');
my $late = check_pattern('a late viewer');
cmp_ok($late->{keyframes}, '>=', 1, 'a late viewer has a keyframe');
is($late->{replayed}, $late->{frames}, 'which was coded before it came: all of it is replayed');
is(encoding()->{frames}, $coded, 'and nothing was coded for it');
is($late->{fps}, 0, 'no frame of it is live');
kill 'INT', $early->{pid};
finish($early, 20);

# --- sessions ------------------------------------------------------------------------------------
# Several at once, each of its own size, picture and rate.

sub sessions { return map { $_->{name} => $_ } @{json(helixvm_ok('session', 'list', $vm, '--json')->{out})} }

my %plain = (
    wide => {size => [640, 360], fps => 10, colour => [0x20, 0x90, 0x40]},
    tall => {size => [320, 480], fps => 30, colour => [0xa0, 0x30, 0x60]},
);
for my $name (sort keys %plain) {
    my ($size, $fps, $colour) = @{$plain{$name}}{qw(size fps colour)};
    $plain{$name}{start} = start_helixvm('session', 'start', $vm, $name, '--size', join('x', @$size), '--fps', $fps,
        '--set', sprintf('background=#%02x%02x%02x', @$colour), '--json');
}
for my $name (sort keys %plain) {
    my $started = finish($plain{$name}{start}, 120);
    is($started->{status}, 0, "$name: it starts") or diag($started->{err});
    my $told = json($started->{out});
    is("$told->{state} $told->{width}x$told->{height} $told->{fps}",
        "running @{[join 'x', @{$plain{$name}{size}}]} $plain{$name}{fps}", "$name: as it was asked for");
    $plain{$name}{viewer} = start_helixvm('stream', $vm, '--session', $name, '--output', "$dir/$name.h264", '--quiet',
        '--json');
}
my %now;
ok(wait_until(60, sub { %now = sessions(); $now{wide}{viewers} == 1 && $now{tall}{viewers} == 1 }),
    'each has its own viewer');
isnt($now{wide}{port}, $now{tall}{port}, 'and its own port');
is_deeply([map { $now{$_}{source} } qw(wide tall)], [qw(resource resource)], 'frames come by resource id');

# The picture is one colour, whatever the shell drew first.
sub one_colour {
    my ($name) = @_;
    my ($size, $colour) = @{$plain{$name}}{qw(size colour)};
    my $raw = `ffmpeg -v error -f h264 -i $dir/$name.h264 -f rawvideo -pix_fmt rgb24 -vf scale=in_color_matrix=bt709:in_range=tv - 2>/dev/null`;
    my $length = $size->[0] * $size->[1] * 3;
    return 0 if length $raw < $length;
    my $frame = substr $raw, -$length;
    my @wrong = grep {
        my $seen = pixel($frame, $size->[0], $_ % $size->[0], int($_ / $size->[0]));
        grep { abs($seen->[$_] - $colour->[$_]) > 10 } 0 .. 2;
    } map { 37 * $_ } 0 .. int($size->[0] * $size->[1] / 37) - 1;
    return !@wrong;
}
for my $name (sort keys %plain) {
    ok(wait_until(60, sub { one_colour($name) }), "$name: its viewer sees its picture, and no other's");
    kill 'INT', $plain{$name}{viewer}{pid};
    my $result = json(finish($plain{$name}{viewer}, 20)->{out});
    is("$result->{width}x$result->{height}", join('x', @{$plain{$name}{size}}), "$name: of its size");
}

# As the guest has them: unprivileged, limited, started again after a failure.
my $inside = helixvm_ok('exec', $vm, '--', 'sh', '-c', <<'END')->{out};
for name in wide tall; do
    directory=$(systemctl show --property ControlGroup --value helixvm-session@$name)
    for pid in $(cat "/sys/fs/cgroup$directory/cgroup.procs"); do
        echo "$name $(stat -c %U "/proc/$pid") $(grep -E '^(CapBnd|NoNewPrivs)' "/proc/$pid/status" | tr -s '\n\t' ' ')"
    done
    cd "/sys/fs/cgroup$directory" && echo "$name limits $(cat memory.max pids.max cpu.weight | xargs)"
done
kill -9 $(systemctl show --property MainPID --value helixvm-session@wide)
END
for my $name (sort keys %plain) {
    my @processes = $inside =~ /^\Q$name\E (?!limits)(.*)$/mg;
    cmp_ok(scalar @processes, '>=', 3, "$name: processes of its own");
    is(scalar(grep { !/^helixvm CapBnd: 0+ NoNewPrivs: 1 $/ } @processes), 0, "$name: none has privileges")
        or diag($inside);
    like($inside, qr/^\Q$name\E limits \d+ 4096 50$/m, "$name: limits");
}
ok(wait_until(60, sub { %now = sessions(); $now{wide}{restarts} == 1 && $now{wide}{state} eq 'running' }),
    'one that is killed runs again');
is($now{tall}{restarts}, 0, 'the other went on');

# What runs is left as it is.
like(helixvm_ok('session', 'start', $vm, 'wide', '--fps', 10)->{out}, qr/session wide runs already, at 640x360, 10 fps/,
    'a second start says that it runs');
refused(1, qr/"wide".* runs with other settings: `helixvm session stop \Q$vm\E wide`/, 'session', 'start', $vm, 'wide',
    '--fps', 20);
refused(4, qr/no session "nosuch"; it has: .*tall.*--size/, 'session', 'start', $vm, 'nosuch');
refused(4, qr/no session "nosuch"/, 'session', 'logs', $vm, 'nosuch');

# One that fails: with what it said, and within a bound.
refused(8, qr/"fails".* does not start: the first client, sh, exited with status 3; its last words:.*so it ends/s,
    'session', 'start', $vm, 'fails', '--size', '64x64', '--', 'sh', '-c', 'echo so it ends; exit 3');
my $log = start_helixvm('session', 'logs', $vm, 'fails', '--follow');
ok(wait_until(120, sub { %now = sessions(); $now{fails}{state} eq 'failed' }), 'it is not tried for ever');
cmp_ok($now{fails}{restarts}, '>=', 1, 'but again');
like($now{fails}{reason}, qr/^the first client, sh, exited with status 3$/, 'list tells why');
like(helixvm_ok('session', 'list', $vm)->{out}, qr/^fails +failed +64x64 +30 +no +- +- +the first client, sh, exited/m,
    'as a table, too');
ok(wait_until(30, sub { slurp($log->{out}->filename) =~ /so it ends.*Failed with result/s }), 'its log is followed');
kill 'INT', $log->{pid};
is(finish($log, 30)->{status}, 0, 'until it is interrupted');
unlike(helixvm_ok('session', 'logs', $vm, 'tall')->{out}, qr/so it ends/, 'another\'s log is another');

# Down, gone, and up with the guest.
helixvm_ok('session', 'stop', $vm, 'tall');
helixvm_ok('session', 'stop', $vm, 'fails', '--remove');
helixvm_ok({seconds => 120}, 'session', 'start', $vm, 'wide', '--enable');
%now = sessions();
is_deeply({map { $_ => "$now{$_}{state} $now{$_}{enabled}" } grep { $now{$_} } qw(wide tall fails)},
    {wide => 'running 1', tall => 'stopped 0'}, 'the end of one leaves the others');
helixvm_ok('session', 'stop', $vm, 'wide');

# --- what a viewer asks for ----------------------------------------------------------------------

helixvm_ok('session', 'start', $vm, 'desktop');
my $asking = start_helixvm('stream', $vm, '--fps', 5, '--bitrate', 700, '--width', 640, '--quiet', '--json');
ok(wait_until(60, sub {
    grep { $_->{bitrate} == 700_000 && $_->{frames} > 20 } @{status_of($vm)->{encoder}{sessions} // []};
}), 'the encoder has the bitrate that its viewer asks for');
kill 'INT', $asking->{pid};
my $asked = finish($asking, 20);
# At most 5 a second are let pass, a tenth of the time early; and one of them at the begin.
my $slow = json($asked->{out});
cmp_ok($slow->{frames}, '<=', 2 + 5.6 * ($slow->{duration_s} + 1), 'and the frames a second');
helixvm_ok({seconds => 90}, 'stream', $vm, '--duration', 2);
ok(!(grep { $_->{bitrate} == 700_000 } @{status_of($vm)->{encoder}{sessions}}), 'who asks for nothing has the profile\'s');
like($asked->{err}, qr/warning: .* stays as large as it is, 1280x720: it runs already; --restart ends/, 'but not the size, and says so');

# --- the encoder killed again and again ----------------------------------------------------------

use constant KILLS => 50;

sub encoder_pid { return status_of($vm)->{processes}{'helixvm-encoder'}{pid} }

# Wait until $condition holds of what the file has after $from; the time that it took, in s.
sub wait_for_stream {
    my ($path, $from, $condition) = @_;
    my $started = time;
    while (time < $started + 20) {
        open my $file, '<:raw', $path or die "$path: $!\n";
        seek $file, $from, 0;
        local $/;
        my $came = <$file> // '';
        return time - $started if $condition->($came);
        sleep 0.005;
    }
    return undef;
}

# A sequence parameter set, which each keyframe brings along.
my $keyframe = sub { $_[0] =~ /\x00\x00\x01[\x07\x27\x47\x67]/ };
my $qemu = qemu_pid($vm);
my $stream = "$dir/killed.h264";
my $viewer = start_helixvm('stream', $vm, '--output', $stream, '--quiet', '--json');
wait_until(60, sub { -e $stream });
ok(wait_for_stream($stream, 0, $keyframe), 'the desktop streams');
ok(wait_until(10, sub {
    grep { $_->{fps} > 1 && $_->{bits_per_second} > 1000 } @{status_of($vm)->{encoder}{sessions} // []};
}), 'status: at so many frames a second');
like(helixvm_ok('status', $vm)->{out}, qr/frames from resource, \d+\.\d fps, \d+\.\d\d Mbit\/s/,
    'and says so');
# Beside it hangs another viewer.
my $stopped = start_helixvm('stream', $vm);
ok(wait_until(60, sub { %now = sessions(); $now{desktop}{viewers} == 2 }), 'it has a second viewer');
kill 'STOP', $stopped->{pid};
my @took;
for my $time (1 .. KILLS) {
    my ($pid, $size) = (encoder_pid(), -s $stream);
    # It works: more comes.
    defined wait_for_stream($stream, $size, sub { length $_[0] }) or last;
    $size = -s $stream;
    kill 'KILL', $pid or last;
    push @took, wait_for_stream($stream, $size, $keyframe) // last;
}
is(scalar @took, KILLS, 'the stream goes on each time that the encoder is killed');
my @sorted = sort { $a <=> $b } @took;
diag(sprintf 'a keyframe came after %.2f s; at most %.2f s', $sorted[@sorted / 2], $sorted[-1]);
# What else the machine does may hold it up a few times.
cmp_ok(scalar(grep { $_ < 1 } @took), '>=', 0.9 * KILLS, 'a keyframe comes within a second');
cmp_ok($sorted[-1], '<', 3, 'and never much later');
is(status_of($vm)->{processes}{'helixvm-encoder'}{restarts}, KILLS, 'it was started again each time');
is(qemu_pid($vm), $qemu, 'QEMU went on');
is(helixvm_ok('exec', $vm, '--', 'echo', 'here')->{out}, "here\n", 'the guest answers');
ok(wait_until(30, sub { %now = sessions(); $now{desktop}{viewers} == 1 }), 'the viewer that hangs was sent away')
    or diag("$now{desktop}{viewers} viewers");
kill 'KILL', $stopped->{pid};
finish($stopped, 10);
my $memory = helixvm_ok('exec', $vm, '--', 'sh', '-c',
    'cat /proc/$(systemctl show --property MainPID --value helixvm-session@desktop)/status')->{out};
cmp_ok($memory =~ /^VmHWM:\s+(\d+)/m ? $1 : 1e9, '<', 100_000, 'and nothing was kept for it');
kill 'INT', $viewer->{pid};
my $ended = finish($viewer, 20);
is($ended->{status}, 0, 'the other stays') or diag($ended->{err});
my $seen = json($ended->{out});
is($seen->{source}, 'resource', 'the frames come by resource id still');
cmp_ok($seen->{keyframes}, '>', KILLS, 'with all those keyframes');
is(`ffmpeg -v warning -f h264 -i $stream -f null - 2>&1`, '', 'ffmpeg decodes it all without a word');
check_pattern('after the encoder was killed');

# --- down and up again ---------------------------------------------------------------------------
# Without the module the encoder gets pixels; where it hangs, the session encodes by itself.  Both ways
# are left again for the better one, and the viewer is told each time.  A session that may have the
# host's encoder alone fails, and its viewer is told why.

helixvm_ok({seconds => 120}, 'session', 'start', $vm, 'fixed', '--size', '320x240', '--set', 'encoder=host', '--',
    'weston-simple-egl');
my $told = start_helixvm('stream', $vm, '--output', "$dir/told.h264", '--json');
my $failing = start_helixvm('stream', $vm, '--session', 'fixed');
sub said { return slurp($_[0]{$_[1]}->filename) }
ok(wait_until(90, sub {
    said($told, 'out') =~ /^\{"type":"statistics",.*"source":"resource"/m && said($failing, 'err') =~ /from resource/;
}), 'two sessions stream');

# Wait until the viewer is told of one more change, to that, and its stream has gone on from there.
my $changes = 0;
sub is_told {
    my ($source, $encoder, $reason, $what) = @_;
    my @lines;
    ok(wait_until(60, sub {
        @lines = grep { $_->{type} eq 'source' } map { json($_) } said($told, 'out') =~ /^(.*)\n/mg;
        return @lines > $changes;
    }), "$what, and the viewer is told");
    my $line = $lines[$changes++] // {};
    is_deeply([@$line{qw(source encoder)}], [$source, $encoder], '... that it is ' . $source);
    like($line->{reason} // '', $reason, '... and why');
    ok(defined wait_for_stream("$dir/told.h264", -s "$dir/told.h264", sub { length $_[0] }), 'its stream goes on');
}

my $socket = runtime_path($vm, 'qemu/export.sock');
rename $socket, "$socket.away" or die "$socket: $!\n";
kill 'KILL', encoder_pid();
is_told('pixels', 'vsockenc', qr/could not read resource \d+/, 'without the module they come as pixels');
rename "$socket.away", $socket or die "$socket: $!\n";
is_told('resource', 'vsockenc', qr/^$/, 'with it by resource id again');

my $hung = encoder_pid();
kill 'STOP', $hung;
ok(wait_until(10, sub { contents("/proc/$hung/stat") =~ /\) T / }), 'the encoder hangs');
is_told('guest', 'x264enc', qr/does not encode/, 'the guest encodes instead');
my $failed = finish($failing, 60);
is($failed->{status}, 8, 'the session that is to have the host fails');
like($failed->{err}, qr/^helixvm: the session reports: .*The host does not encode: .*does not answer/m, 'and its viewer is told why');
kill 'CONT', $hung;
is_told('resource', 'vsockenc', qr/^$/, 'it goes on: the host encodes again');
kill 'INT', $told->{pid};
my $last = json((split /\n/, finish($told, 20)->{out})[-1]);
is($last->{type}, 'result', 'the last line is the result');
is_deeply([map { $_->{source} } @{$last->{source_changes}}], [qw(pixels resource guest resource)], 'which tells all changes');
my @at = map { $_->{at_s} } @{$last->{source_changes}};
is_deeply(\@at, [sort { $a <=> $b } @at], 'and when they were');
is(`ffmpeg -v error -f h264 -i $dir/told.h264 -f null - 2>&1`, '', 'ffmpeg decodes it all');
helixvm_ok('session', 'stop', $vm, 'fixed', '--remove');
is(encoder_pid(), $hung, 'it is the same one');
is(qemu_pid($vm), $qemu, 'QEMU went on');

# --- how late a picture is -----------------------------------------------------------------------
# The guest's time, drawn in the guest, is read from the decoded pictures.

SKIP: {
    skip 'the guest tells its time by the vhost-user device', 6 if $status->{vsock}{kind} eq 'kernel';
    put_drawing($vm, 'clock', WIDTH, HEIGHT);
    my $clock = connect_clock($vm);
    my @samples = map { sample_clock($clock) } 1 .. 100;
    my $seen = watch_stream($vm, 'clock', 4, $dir);
    push @samples, map { sample_clock($clock) } 1 .. 100;
    my ($to_host, $uncertain) = guest_time(@samples);
    my @pictures = pictures_of($seen, "$dir/clock.h264");
    is(scalar @pictures, $seen->{told}{frames}, 'each picture is decoded');
    # The first ones may come before the client has its window.
    shift @pictures while @pictures && !defined $pictures[0]{clock};
    is(scalar(grep { !defined $_->{clock} } @pictures), 0, 'the guest\'s time is in each picture');
    my %times = map { $_->{clock} => 1 } @pictures;
    cmp_ok(scalar keys %times, '>', 5, 'and goes on');
    is(scalar(grep { $pictures[$_]{clock} < $pictures[$_ - 1]{clock} } 1 .. $#pictures), 0, 'never back');
    my @late = sort { $a <=> $b } map { $_->{arrived} - $to_host->($_->{clock}) } @pictures;
    cmp_ok($late[0], '>', 0, 'no picture is there before it was drawn');
    cmp_ok($late[-1], '<', 60, 'nor long after');
    diag(sprintf 'a picture is %.0f ms late (%.0f to %.0f), the clocks to %.3f ms',
        map { 1000 * $_ } @late[@late / 2, 0, -1], $uncertain);
}

# --- the guest restarted ---------------------------------------------------------------------------

helixvm_ok('exec', $vm, '--', 'systemd-run', '--quiet', '--on-active=1', 'systemctl', 'reboot');
ok(wait_until(120, sub { status_of($vm)->{state} eq 'rebooting' }), 'the guest reboots');
helixvm_ok({seconds => 300}, 'up', $vm);
ok(wait_until(90, sub { %now = sessions(); $now{wide}{state} eq 'running' }), 'a session that is enabled is up with it');
is($now{desktop}{state}, 'stopped', 'and no other');
is(json(helixvm_ok({seconds => 90}, 'stream', $vm, '--session', 'wide', '--duration', 1, '--quiet', '--json')->{out})->{source},
    'resource', 'it streams');

powers_off($vm, 'down powers the guest off');
is(status_of($vm)->{state}, 'stopped', 'status: stopped');
like(helixvm_ok('down', $vm)->{out}, qr/already down/, 'a second down says that it is down');
refused(5, qr/is down.*helixvm up/, 'provision', $vm);
refused(5, qr/is down.*helixvm up/, 'stream', $vm);
is_deeply([leftovers($vm)], [], 'down leaves nothing');
helixvm_ok('delete', '--yes', $vm);
refused(4, qr/no VM/, 'status', $vm);

done_testing;
