#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# The table of verbs: help, actions, and what is said of a word that is none of them.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/..";
use File::Path 'make_path';
use File::Temp;
use Files;
use JSON::PP;
use Test::More;

my $helixvm = ($ENV{BUILD} // 'build') . '/helixvm';
my $dir = File::Temp->newdir('helixvm-verbs-XXXXXX', TMPDIR => 1);
$ENV{HELIXVM_STATE_DIR} = "$dir/state";
$ENV{HELIXVM_RUNTIME_DIR} = "$dir/run";
make_path("$dir/state/vms/work");
put("$dir/state/vms/work/profile.conf", '');

# What it says on both outputs, and its exit status.
sub said {
    my (@words) = @_;
    my $text = join '', `$helixvm @words 2>&1`;
    return ($text, $? >> 8);
}

my ($help, $status) = said('help');
is($status, 0, 'help');
is((said('--help'))[0], $help, '--help says the same');
my ($bare, $bare_status) = said();
is($bare, $help, 'so it does without a verb,');
is($bare_status, 2, 'but that is a usage error');
unlike($help, qr/monitor/, 'what is not for people is not listed');
like($help, qr/^Run VMs:\n  up  .*^helixvm itself:\n.*^  help  /ms, 'verbs come in groups');

is((said('help', 'up'))[0], (said('up', '--help'))[0], 'help VERB is VERB --help');
is((said('help', 'image', 'build'))[0], (said('image', 'build', '--help'))[0], 'with an action, too');
like((said('help', 'up'))[0], qr/^Usage:\n  helixvm up .*\n\nStart a VM and wait.*\.$/m, 'it says what it is for');

my ($actions, $actions_status) = said('image', '--help');
is($actions_status, 0, 'image --help');
like($actions, qr/^  $_ +\w/m, "it lists $_") for qw(build list remove);

# Every --help reads alike.
for my $verb ($help =~ /^  ([a-z-]+) +[a-z]/mg) {
    my ($list) = (said($verb, '--help'))[0] =~ /^Actions:\n(.*?)\n\n/ms;
    my @calls = $list ? map { "$verb $_" } $list =~ /^  ([a-z-]+) +[a-z]/mg : $verb;
    for my $call (@calls) {
        my ($text) = said($call, '--help');
        my ($options) = $text =~ /^Application Options:\n(.*)/ms;
        is(join('', ($options // '') =~ /^  -.*? {2,}[^a-z ].*\n/mg), '', "$call: options in small letters");
        like($text, qr/\n\n[A-Z][^\n]*\.\n\n/, "$call: a sentence says what it does");
    }
}

for my $case (
    ['upp', qr/no verb "upp": the nearest is "up"/],
    ['xyzzy', qr/no verb "xyzzy": see `helixvm help`/],
    ['image', qr/image: say what to do: build, (\w+, )*remove/],
    ['image build --arch vax', qr{x86_64 and aarch64, not for vax}],
    ['image bild', qr/no action "bild": the nearest is "build"/],
    ['image xyzzy', qr/image: say what to do: build/],
    ['up --nonsense', qr/^helixvm: unknown option --nonsense: see `helixvm up --help`$/],
    ['up a b', qr/too many arguments: helixvm up \[OPTION\.\.\.\] \[VM\]$/],
    ['image remove', qr/an argument is missing: helixvm image remove \[OPTION\.\.\.\] IMAGE\.\.\.$/],
    ['stream --fps 241', qr/^helixvm: --fps takes 1 to 240, or 0 for the session's own$/],
    ['stream --bitrate -5', qr/--bitrate takes 100 to 200000/],
    ['stream --output a.avi', qr/a\.avi.*\.h264.*\.mp4 or \.mkv/],
    ['stream --snapshot a.jpg', qr/a\.jpg.*\.png/],
    ['session start work', qr/^helixvm: "work" is a VM: name its session, too: helixvm session start work NAME$/],
    ['provision --build elsewhere work', qr/^helixvm: "elsewhere" is no way to build: use auto, host or guest$/],
    ['provision --container a/b work', qr/^helixvm: "a\/b" is no name of a container: use letters, /],
    ['provision --container podman: work', qr/^helixvm: "podman:" is no name of a container: /],
    ['provision --container a --only session work',
        qr/^helixvm: "session" is no step of a container: use one of packages, vsockenc, verify$/],
    ['provision --container a --build guest work', qr/^helixvm: --build guest is not for containers, /],
    ['session start a/b --size 64x64', qr{"a/b" is no name for a session: use up to 40 letters}],
    ['session stop work ../desktop', qr{"\.\./desktop" is no name for a session}],
    ['session logs work desktop -n x', qr/--lines takes a number or "all", and not "x"/],
    ['session start work web --size 640', qr/"640" is no size: it is WIDTHxHEIGHT/],
    ['session start work web --size 641x480', qr/width=641: not even/],
    ['session start work web --fps 121', qr/fps=121: not a number from 1 to 120/],
    ['session start work web --set colour=1', qr/unknown key "colour": there are width, height/],
    ['session start work web weston-terminal', qr/too many arguments: .*\[VM\] SESSION \[-- COMMAND/],
    ['help xyzzy', qr/no verb "xyzzy"/],
    ['help image xyzzy', qr/image: say what to do/],
    ['monitr', qr/no verb "monitr": see/],
    [q(''), qr/no verb "": see/],
    [q(image ''), qr/image: say what to do/],
) {
    my ($words, $expected) = @$case;
    my ($text, $code) = said($words);
    is($code, 2, "\"$words\" is a usage error");
    like($text, $expected, 'that tells what there is');
}

for my $call ('exec xyzzy -- true', 'ssh xyzzy') {
    my ($text, $code) = said($call);
    is($code, 255, "$call: 255, as ssh has it");
    like($text, qr/there is no VM "xyzzy"/, 'and why');
}
for my $case (
    ['exec', qr/no command: helixvm exec/],
    ['exec uname -a', qr/^helixvm: put -- before the command: helixvm exec -- uname -a$/],
    ['exec work uname -a', qr/^helixvm: put -- before the command: helixvm exec work -- uname -a$/],
    ['exec work uname', qr/^helixvm: put -- before the command: helixvm exec work -- uname$/],
    ['ssh -T work ls /', qr/^helixvm: put -- before the command: helixvm ssh -T work -- ls \/$/],
    ['exec --nonsense work', qr/unknown option --nonsense/],
    ['ssh -t -T work', qr/^helixvm: -t asks for a terminal in the guest and -T for none: give one/],
    ['ssh -tT work -- true', qr/^helixvm: -t asks for a terminal/],
    ['exec work --nonsense', qr/unknown option --nonsense/],
) {
    my ($words, $expected) = @$case;
    my ($text, $code) = said($words);
    is($code, 255, "\"$words\" is wrong");
    like($text, $expected, 'and said so');
}

for my $call ('provision xyzzy', 'stream xyzzy', 'status xyzzy',
    'cp xyzzy:/a .', 'down xyzzy', 'delete --yes xyzzy', 'snapshot list xyzzy') {
    my ($text, $code) = said($call);
    is($code, 4, "$call: not found");
    like($text, qr/there is no VM "xyzzy"/, 'and said so');
}

like((said('status', 'wrok'))[0], qr/no VM "wrok": the nearest is "work"/, 'a VM that is near is named');
make_path("$dir/state/vms/bare");
like((said('status', 'bare'))[0], qr/no VM "bare": make it/, 'the rest of a VM is not near itself');

for my $call ('--connect xyz:///a doctor --json work', '--connect=xyz:///a doctor --json work',
    'doctor --json --connect xyz:///a work') {
    my ($libvirt) = grep { $_->{check} eq 'libvirt' } @{decode_json((said($call))[0])};
    is($libvirt->{state}, 'broken', "$call asks another libvirt");
    like($libvirt->{text}, qr/xyz|URI/, 'which there is not');
}
is((said($_))[1], 2, "\"$_\" lacks something") for '--connect', '--connect xyz:///a', 'list --connect';

# --- standard streams that cannot be used ----------------------------------------------------------
for my $call ('list', 'version', 'help', 'help up', 'image --help', 'image list --help', 'profile keys') {
    my $text = `$helixvm $call 2>&1 >/dev/full`;
    is($? >> 8, 1, "$call: an output that is full is an error");
    is($text, "helixvm: cannot write the output: No space left on device\n", 'and said so');
    $text = `$helixvm $call 2>&1 >&-`;
    is($? >> 8, 1, "$call: as is one that is closed");
    is($text, "helixvm: cannot write the output: Bad file descriptor\n", 'and said so');
}
{
    # Not what it opens later: exec would take the guest's connection for its input.
    my $pid = open my $watch, '-|', "exec $helixvm status --watch work <&- 2>&-" or die "sh: $!";
    like(scalar <$watch>, qr/stopped/, 'it runs without standard input and error,');
    is(readlink "/proc/$pid/fd/$_", '/dev/null', "and nothing else is in the place of stream $_") for 0, 2;
    kill 'INT', $pid;
    close $watch;
    is($?, 0, 'until it is interrupted');
}

{
    local $ENV{HELIXVM_STATE_DIR} = '/proc/version/state';
    for my $call ('list', 'image list', 'image fetch debian-13', 'up work') {
        my ($text, $code) = said($call);
        is($code, 6, "$call: a state directory that cannot be used is the host's fault");
        like($text, qr{^helixvm: cannot use the directory /proc/version/state: Not a directory$},
            'and named');
    }
    is((said('image', 'list', '--available'))[1], 0, 'what can be fetched is seen without one');
}

my ($version) = said('version');
like($version, qr/\Ahelixvm \d+\.\d+\.\d+\nlibvirt \d+\.\d+\.\d+\nqemu \d+\.\d+\.\d+\nvirglrenderer \d+\.\d+\.\d+\n\z/,
    'versions');
is((said('--version'))[0], $version, '--version is the verb');
my $versions = decode_json((said('version', '--json'))[0]);
is(join('', map { "$_ $versions->{$_}\n" } qw(helixvm libvirt qemu virglrenderer)), $version,
    'the same as JSON');

done_testing;
