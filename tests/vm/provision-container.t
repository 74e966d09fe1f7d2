#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# The element in containers of the guest's, by Podman: their root is the guest's own, under a layer of
# theirs.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use HelixVM;
use File::Temp;
use Test::More;

my $vm = vm_name('container');
my $plugin = '/usr/lib/$(uname -m)-linux-gnu/gstreamer-1.0/libgstvsockenc.so';

# In the guest, as root; its stdout.
sub guest {
    my ($script) = @_;
    return helixvm_ok({seconds => 500}, 'exec', $vm, '--', 'sh', '-ec', $script)->{out};
}

sub provision {
    my ($container, @options) = @_;
    return helixvm({seconds => 300}, 'provision', '--container', $container, @options, $vm);
}

sub fails {
    my ($status, $pattern, $what, @arguments) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $run = provision(@arguments);
    is($run->{status}, $status, "$what: exit status $status");
    like($run->{err}, $pattern, "$what: is named, and what to do");
}

# The states of a run's steps by their names.
sub states {
    my ($known) = @_;
    return {map { $_->{name} => $_->{state} } @{$known->{steps}}};
}

helixvm_ok({seconds => 400}, 'up', $vm);
fails(8, qr/VM "$vm" has no container engine, which is podman or docker: install it/, 'no engine', 'desk');

guest(<<'END');
export DEBIAN_FRONTEND=noninteractive
apt-get -q update >/root/podman.log
apt-get -q -y --no-install-recommends install podman >/root/podman.log 2>&1 || { tail /root/podman.log >&2; exit 1; }
END
# The storage is not below /, which is the containers' lower layer.
guest(<<'END');
mkdir -p /var/lib/containers
mount -t tmpfs tmpfs /var/lib/containers
# What Docker's own profile denies a container, beside much else.
cat >/root/seccomp.json <<'JSON'
{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1,
"args": [{"index": 0, "value": 40, "op": "SCMP_CMP_EQ"}]}]}
JSON
podman run --quiet --detach --name desk --network host --device /dev/dri --rootfs /:O sleep infinity
podman create --quiet --name strict --network none --user nobody --security-opt seccomp=/root/seccomp.json --rootfs /:O sleep infinity
podman exec desk dpkg --remove --force-depends gstreamer1.0-tools
END

# --- before anything is changed -------------------------------------------------------------------

fails(4, qr/has no container "nothere": `helixvm exec $vm -- podman ps --all` lists/, 'no such container', 'nothere');
fails(8, qr/has no docker: install it/, 'an engine that is not there', 'docker:desk');
fails(5, qr/"strict" of podman's in VM "$vm" does not run, it is created: `helixvm exec $vm -- podman start strict`/,
    'one that does not run', 'strict');
my $check = provision('desk', '--check');
is($check->{status}, 1, 'a check fails where something is to be done');
like($check->{err}, qr/\(packages, vsockenc, verify\): run `helixvm provision --container desk $vm`/, 'and names it');
is(guest("podman exec desk sh -c 'ls $plugin /usr/bin/gst-inspect-1.0 2>/dev/null | wc -l'"), "0\n",
    'a check changes nothing');

# --- the element is put there, and works ----------------------------------------------------------

my $run = provision('podman:desk', '--json');
is($run->{status}, 0, 'a container is provisioned') or diag($run->{err});
my $known = json($run->{out} || '{}');
is_deeply(states($known), {
        connect => 'ok', container => 'ok', detect => 'ok', build => 'ok',
        packages => 'done', vsockenc => 'done', verify => 'ok',
    }, 'the steps');
is($known->{container}{engine}, 'podman', 'the engine is told');
like($known->{frame}, qr/^H\.264, \d+ bytes$/, 'a frame went to the host and came back as H.264');
like($known->{render_node}, qr{^/dev/dri/renderD\d+$}, 'its render node is known');
like($run->{err}, qr/^  verify .*its user reaches a render node/m, 'and said to be reached');

my ($ours) = `sha256sum "\${BUILD:-build}/guest/libgstvsockenc.so"` =~ /^(\w+)/;
like(guest("podman exec desk sh -c 'sha256sum $plugin; stat -c %U:%a $plugin'"), qr/^$ours .*\nroot:644\n/,
    'the container has what was built');
is(guest("ls $plugin 2>/dev/null | wc -l"), "0\n", 'and the guest itself was left alone');
like(guest('podman exec desk gst-inspect-1.0 vsockenc'), qr/^\s+Long-name\s+Host H\.264 encoder$/m,
    'GStreamer in the container knows it');

my $frame = File::Temp->new(SUFFIX => '.h264');
guest(<<'END');
podman exec desk gst-launch-1.0 -q videotestsrc num-buffers=1 pattern=green ! \
    video/x-raw,format=BGRx,width=320,height=240 ! vsockenc ! fdsink >/root/frame.h264
END
helixvm_ok('cp', "$vm:/root/frame.h264", $frame->filename);
my $picture = `ffmpeg -v error -i ${\$frame->filename} -frames:v 1 -f rawvideo -pix_fmt rgb24 -`;
is(length $picture, 3 * 320 * 240, 'what its pipeline encodes is a picture');
my ($red, $green, $blue) = @{pixel($picture, 320, 160, 120)};
ok($red < 30 && $green > 220 && $blue < 30, "which is green ($red, $green, $blue)");

# --- again, and after a restart -------------------------------------------------------------------

my $again = json(provision('desk', '--json')->{out});
ok($again->{provisioned} && !$again->{changed}, 'a second run changes nothing');
is(states($again)->{verify}, 'already', 'and remembers what was verified');
guest('podman restart --time 0 desk >/dev/null');
$again = json(provision('desk', '--json')->{out});
ok($again->{provisioned} && !$again->{changed}, 'a container that was restarted still has all');

# --- a container that is in the way ---------------------------------------------------------------

guest(<<'END');
podman start strict
podman exec --user 0 strict sh -c 'printf "ID=debian\nVERSION_ID=13\nPRETTY_NAME=\"\033[31mred\"\n" >/etc/os-release'
END
my $strict = provision('strict');
is($strict->{status}, 8, 'a container without vsock: exit status 8');
like($strict->{err}, qr/may open no vsock socket: .*Operation not permitted.*: make the container with a seccomp profile/,
    'is named, and what to do');
like($strict->{err}, qr/^  container .*user nobody/m, 'what verifies is its own user');
like($strict->{err}, qr/^  detect .*\?\[31mred/m, 'what it says of itself is shown');
unlike($strict->{err}, qr/\033/, 'without its control characters');

powers_off($vm, 'the guest powers off');
done_testing;
