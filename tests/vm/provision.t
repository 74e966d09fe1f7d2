#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# Provisioning where something is in its way: each cause is real, is named, and the next run
# completes.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use File::Temp;
use HelixVM;
use Test::More;
use Time::HiRes qw(sleep time);

my $vm = vm_name('provision');
my $build = $ENV{BUILD} // 'build';
my $again = qr/, then run this again$/m;

# In the guest, as root; its stdout.
sub guest {
    my ($script) = @_;
    return helixvm_ok({seconds => 120}, 'exec', $vm, '--', 'sh', '-c', $script)->{out};
}

sub provision {
    return helixvm({seconds => 300}, 'provision', @_, $vm);
}

# Whether all steps of a run with --json are as they should be.
sub completes {
    my ($what) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $run = provision('--json');
    is($run->{status}, 0, "$what: the next run completes") or diag($run->{err});
    my $known = json($run->{out} || '{}');
    ok($known->{provisioned}, "$what: the guest is provisioned");
    is_deeply([map { $_->{name} } grep { $_->{state} !~ /^(ok|already|done)$/ } @{$known->{steps}}], [],
        "$what: each step is good");
    return $known;
}

sub fails {
    my ($pattern, $what, @options) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $run = provision(@options);
    is($run->{status}, 8, "$what: exit status 8");
    like($run->{err}, $pattern, "$what: is named");
    like($run->{err}, $again, "$what: and what to do");
}

# The folder is for what the guest builds with.
helixvm_ok({seconds => 400}, 'up', $vm, '--set', 'share.folders=usr:/usr:ro');

# --- interrupted after each step -----------------------------------------------------------------

# Start a run, and end it by $signal as soon as it has told of $step.
sub interrupt_after {
    my ($step, $signal) = @_;
    my $run = start_helixvm('provision', $vm);
    my $told = qr/^  \Q$step\E +[\d.]+ s /m;
    my $end = time + 60;
    sleep 0.005 until slurp($run->{err}->filename) =~ $told or time > $end;
    kill $signal, $run->{pid};
    my $ended = finish($run, 30);
    like($ended->{err}, $told, "$step was told");
    # After the last one the run may have ended by itself.
    my $ends = $signal eq 'INT' ? 130 : 137;
    like($ended->{status}, $step eq 'verify' ? qr/^(0|$ends)$/ : qr/^$ends$/, "SIG$signal after $step");
    return $ended;
}

my @steps = qw(connect detect build packages user vsockenc session unit desktop systemd verify);
my $signal = 'KILL';
for my $step (@steps) {
    guest(<<'END') if $step !~ /^(connect|detect|build|packages)$/;
rm -rf /var/lib/helixvm /etc/helixvm /run/helixvm-verified /usr/local/libexec/helixvm-session
rm -f /usr/lib/*/gstreamer-1.0/libgstvsockenc.so /etc/systemd/system/helixvm-session@.service
userdel helixvm 2>/dev/null; true
END
    interrupt_after($step, $signal);
    $signal = $signal eq 'KILL' ? 'INT' : 'KILL';
    # The first ones change nothing.
    completes("interrupted after $step") if $step !~ /^(connect|detect|build)$/;
}

guest('touch /run/before');
my $begin = time;
my $known = completes('a run of a provisioned guest');
my $seconds = time - $begin;
ok(!$known->{changed}, 'which changes nothing');
is(guest('find /etc /opt /root /usr /var/lib/dpkg /var/lib/helixvm -newer /run/before; '
    . 'find /run -maxdepth 1 -name "helixvm*" -newer /run/before'), '', 'nor does the guest see a change');
cmp_ok($seconds, '<', 5, sprintf 'in %.1f s', $seconds);

like($known->{frame}, qr/^H\.264, \d+ bytes$/, 'a frame went to the host and came back as H.264');
like($known->{os}, qr/^Debian GNU\/Linux 13/, 'the distribution is known');
like($known->{glibc}, qr/^2\.\d+$/, 'its C library too');
like($known->{gstreamer}, qr/^1\.\d+\./, 'and its GStreamer');
is("$known->{build}: $known->{build_reason}", 'host: what was built there fits', 'and that the host\'s build fits');
is_deeply([sort @{$known->{modules}}], [qw(virtio_gpu vmw_vsock_virtio_transport)], 'and its modules');
like($known->{render_node}, qr{^/dev/dri/renderD\d+$}, 'and its render node');

# --- older libraries, and an older Weston, by what dpkg says ---------------------------------------

# Say that $package has $version; nothing: what it has.
sub claim {
    my ($package, $version) = @_;
    guest(<<"END");
[ -e /root/status ] || cp /var/lib/dpkg/status /root/
sed '/^Package: $package\$/,/^\$/s/^Version: .*/Version: $version/' /root/status >/var/lib/dpkg/status
END
}

claim('libgstreamer1.0-0', '1.22.0-2+deb12u1');
my $old = provision('--check', '--json');
is($old->{status}, 1, 'an older GStreamer: there is something to do');
my $way = json($old->{out} || '{}');
is($way->{build}, 'guest', 'an older GStreamer: the guest builds');
like($way->{build_reason}, qr/^the host's needs GStreamer 1\.\d+ \(the guest has 1\.22\.0-2\+deb12u1\)$/, 'which says why');
is(join(' ', map { $_->{name} } grep { $_->{state} eq 'needed' } @{$way->{steps}}), 'vsockenc session systemd verify',
    'and what it would change');
my $insists = provision('--build', 'host');
is($insists->{status}, 8, 'the host\'s build asked for: exit status 8');
like($insists->{err}, qr/do not fit VM "$vm" \(.*\): the host's needs GStreamer .*: leave --build host out/,
    'and why it is not put there');
claim('weston', '10.0.1-1');
my $weston = provision();
is($weston->{status}, 8, 'an older Weston: exit status 8');
like($weston->{err}, qr/no session can run in VM "$vm": Weston there is 10\.0\.1-1 .*--only vsockenc $vm`/,
    'and what there is to do');
unlike($weston->{err}, qr/^  packages/m, 'before anything is changed');
is(provision('--only', 'vsockenc')->{status}, 0, 'the element alone is provisioned');
guest('mv /root/status /var/lib/dpkg/status');

# --- a host that does not encode -----------------------------------------------------------------

my $encoder = status_of($vm)->{processes}{'helixvm-encoder'}{pid};
guest('rm /run/helixvm-verified');
kill 'STOP', $encoder;
my $silent = provision();
kill 'CONT', $encoder;
is($silent->{status}, 8, 'an encoder that does not answer: exit status 8');
like($silent->{err}, qr/vsockenc of VM "$vm" gets no frame encoded by the host: \S.*: see `helixvm logs $vm encoder`/,
    'an encoder that does not answer: is named');

# --- another distribution, whose packages have unknown names -------------------------------------

guest(<<'END');
printf 'ID=fedora\nVERSION_ID=42\nPRETTY_NAME="Fedora Linux 42"\n' >/run/os-release
mount --bind /run/os-release /usr/lib/os-release
dpkg --remove vulkan-tools >&2
END
my $other = qr/runs Fedora Linux 42, whose packages helixvm does not know: it lacks /;
fails(qr/$other\Qvulkan-tools: install/, 'another distribution with dpkg');
guest('mv /usr/bin/dpkg-query /usr/bin/weston /root/');
fails(qr/$other\Qprogram weston, program eglinfo, program vulkaninfo: install/, 'one without dpkg');
guest('mv /root/dpkg-query /root/weston /usr/bin/; umount /usr/lib/os-release');

# --- something is in the way of packages --------------------------------------------------------

guest('ip link set $(cd /sys/class/net && ls -d e*) down');
fails(qr/cannot install vulkan-tools: .*the guest has no network to fetch packages by: .*Temporary failure resolving/,
    'no network');
guest(<<'END');
ip link set $(cd /sys/class/net && ls -d e*) up
apt-get -q update >&2
rm /usr/local/libexec/helixvm-session
# All, with what is reserved for root; the file takes some blocks for itself.
fallocate -l $(($(stat -f -c '%f * %S' /) - (8 << 20))) /root/fill
dd if=/dev/zero of=/root/fill-all bs=64k 2>/dev/null; true
END
fails(qr/cannot install vulkan-tools: .*the guest's disk is full: \S/, 'a full disk, and packages to install');

fails(qr{cannot write /usr/local/libexec/helixvm-session in VM "$vm": the guest's disk is full: \S},
    'a full disk, and a file to write', '--only', 'session');
guest('rm /root/fill /root/fill-all');

# A lock as apt and dpkg take it, fcntl(2), held for as long as the unit "lock" runs.
guest(<<'END');
cat >/root/lock.pl <<'LOCK'
use Fcntl;
open my $file, '>>', $ARGV[0] or die $!;
my $lock = pack 's s x4 q q i x4', F_WRLCK, 0, 0, 0, 0;
fcntl $file, F_SETLK, $lock or die $!;
syswrite STDOUT, "held\n";
sleep 1000;
LOCK
mkfifo /run/held
systemd-run --quiet --unit lock --property StandardOutput=file:/run/held perl /root/lock.pl /var/lib/dpkg/lock-frontend &
read -r held </run/held
END
helixvm_ok('cp', "$FindBin::Bin/../../guest-provision/steps/packages.sh", "$vm:/root/");
my $locked = helixvm({seconds => 60}, 'exec', $vm, '--', 'sh', '/root/packages.sh', 3, 'vulkan-tools');
is($locked->{status}, 1, 'a lock is waited for no longer than told');
my $held = qr{Could not get lock /var/lib/dpkg/lock-frontend\. It is held by process \d+ \(perl\)};
like($locked->{out}, qr/^note waits up to [123] s for another apt or dpkg: $held$/m, 'which is said');
like($locked->{err}, $held, 'and who held it in the end');

# The connection is lost while the run waits for the lock: what carries it is killed.
my $run;
my $says = sub {
    my ($pattern) = @_;
    return wait_until(60, sub { slurp($run->{err}->filename) =~ $pattern });
};
my $waits = qr/  packages: waits up to \d+ s for another apt or dpkg: $held/;
sub lose { return kill 'KILL', status_of($vm)->{processes}{'helixvm-vsock'}{pid} }

sub begun_anew {
    my ($connection, $seconds) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    lose();
    ok($says->(qr/^  packages: .* failed: .*; begun anew in $seconds s, by connection $connection of 4$/m),
        "a connection that is lost is made anew, number $connection") or diag(slurp($run->{err}->filename));
    ok($says->(qr/by connection $connection of 4\n$waits/), 'and the step begun anew');
}

sub start_waiting {
    $run = start_helixvm('provision', $vm);
    ok($says->(qr/^$waits/m), 'the run says what it waits for');
}

SKIP: {
    skip 'the vsock device is the kernel\'s', 10 if !status_of($vm)->{processes}{'helixvm-vsock'};
    start_waiting();
    begun_anew(@$_) for [2, 1], [3, 2], [4, 4];
    lose();
    my $given_up = finish($run, 60);
    is($given_up->{status}, 10, 'one that is lost again and again is given up');
    like($given_up->{err}, qr/^helixvm: cannot install vulkan-tools: .* failed: .*; so by 4 connections: .*`helixvm logs $vm`.*$again/m,
        'which is said');
    ok(wait_until(30, sub { helixvm('exec', $vm, '--', 'true')->{status} == 0 }), 'the guest is reached again');
}
start_waiting();
begun_anew(2, 1) if status_of($vm)->{processes}{'helixvm-vsock'};
guest('systemctl stop lock');
my $ended = finish($run, 120);
is($ended->{status}, 0, 'the run goes on where the lock is free') or diag($ended->{err});
like($ended->{err}, qr/^  packages +[\d.]+ s  done: vulkan-tools\n.*^  session .* done: .*^  verify .* ok: /ms,
    'and completes');

# --- built in the guest --------------------------------------------------------------------------

# An emulated guest takes minutes to unpack the compiler and the libraries' headers: it sees those of
# this environment, a Debian 13 as it is itself, and dpkg knows of them.
my $dir = File::Temp->newdir('helixvm-provision-XXXXXX', TMPDIR => 1);
my @packages = qw(gcc libc6-dev make pkgconf libglib2.0-dev libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev
    libdrm-dev libsoup-3.0-dev libjson-glib-dev);
put("$dir/status", join '', `dpkg-query --status @packages`);
helixvm_ok('cp', "$dir/status", "$vm:/root/build-packages");
guest(<<'END');
cat /root/build-packages >>/var/lib/dpkg/status
mkdir /root/usr /root/work
mount -t overlay -o lowerdir=/usr:/mnt/usr,upperdir=/root/usr,workdir=/root/work overlay /usr
END
# A look-up in a shared folder goes to the host and back, and a compiler has thousands.
my %headers = map { $_ => 1 } map { slurp($_) =~ m{(/usr/[^\s:\\]+)}g }
    glob "$build/obj/guest-provision/{vsockenc,session}/*.d";
put("$dir/headers", map { substr($_, 1) . "\n" } sort keys %headers);
system('tar', '-cf', "$dir/headers.tar", '-C', '/', '-T', "$dir/headers") == 0 or die "tar\n";
helixvm_ok('cp', "$dir/headers.tar", "$vm:/root/");
guest('tar -C / -xf /root/headers.tar');
# Debian's alternatives are not below /usr.
my $compiler = provision('--build', 'guest', '--only', 'vsockenc');
is($compiler->{status}, 8, 'a compiler that fails: exit status 8');
like($compiler->{err}, qr{cannot build libgstvsockenc\.so in the guest: .*cc: not found.*; all that was said: /var/lib/helixvm/build/log$}m,
    'and what it said');
guest('ln -sf gcc /usr/bin/cc');

# Cut off while it builds.
my $building = start_helixvm('provision', '--build', 'guest', $vm);
ok(wait_until(120, sub { slurp($building->{err}->filename) =~ /^  user/m
        && helixvm('exec', $vm, '--', 'grep', '-q', '^cc ', '/var/lib/helixvm/build/log')->{status} == 0 }),
    'the guest compiles');
kill 'KILL', $building->{pid};
finish($building, 30);

$begin = time;
my $built = helixvm({seconds => 900}, 'provision', '--build', 'guest', '--json', $vm);
diag(sprintf 'built in %.0f s', time - $begin);
is($built->{status}, 0, 'the next run builds on') or diag($built->{err});
$known = json($built->{out} || '{}');
is("$known->{build}: $known->{build_reason}", 'guest: as asked for', 'in the guest');
my %step = map { $_->{name} => $_ } @{$known->{steps}};
is($step{$_}{state}, 'done', "$_ is done") for qw(vsockenc session);
like($step{$_}{detail}, qr/, built there$/, "and was built there") for qw(vsockenc session);
like($known->{frame}, qr/^H\.264, \d+ bytes$/, 'a frame of the guest\'s own build comes back as H.264');
isnt(guest('sha256sum </usr/local/libexec/helixvm-session'), scalar `sha256sum <$build/guest/helixvm-session`,
    'it is not the host\'s build');
is(guest('ls /var/lib/helixvm'), "installed\n", 'and what it was built of is gone');
$begin = time;
$built = provision('--build', 'guest', '--json');
ok(!json($built->{out} || '{"changed":1}')->{changed}, 'a second run changes nothing');
cmp_ok(time - $begin, '<', 5, 'and takes less than 5 s');

helixvm_ok({seconds => 120}, 'session', 'start', $vm, 'plain', '--size', '320x240', '--set', 'background=#3366cc',
    '--set', 'panel=false', '--', 'sleep', 'infinity');
my $stats = json(helixvm_ok({seconds => 60}, 'stream', $vm, '--session', 'plain', '--duration', 3,
    '--snapshot', "$dir/plain.png", '--quiet', '--json')->{out});
is("$stats->{source} $stats->{width}x$stats->{height}", 'resource 320x240', 'its session streams by resource');
my $shown = pixel(scalar `ffmpeg -v error -i $dir/plain.png -f rawvideo -pix_fmt rgb24 -`, 320, 160, 120);
cmp_ok(abs($shown->[$_] - (0x33, 0x66, 0xcc)[$_]), '<=', 8, 'the picture is the session\'s background') for 0 .. 2;
is(guest('readlink /proc/$(systemctl show --value --property MainPID helixvm-session@plain)/exe'),
    "/usr/local/libexec/helixvm-session\n", 'by that build');

powers_off($vm, 'the guest powers off');
done_testing;
