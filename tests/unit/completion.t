#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# Completion: what helixvm offers, and what bash, zsh and fish make of it where somebody types.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/..";
use Cwd 'abs_path';
use File::Temp;
use Files;
use IO::Pty;
use Terminal;
use Test::More;
use Time::HiRes 'time';

my $build = abs_path($ENV{BUILD} // 'build');
my $helixvm = "$build/helixvm";
my $dir = File::Temp->newdir('helixvm-completion-XXXXXX', TMPDIR => 1);
$ENV{HELIXVM_STATE_DIR} = "$dir/state";
$ENV{HELIXVM_RUNTIME_DIR} = "$dir/run";
$ENV{XDG_CONFIG_HOME} = "$dir/config";
$ENV{PATH} = "$build:$ENV{PATH}";
for my $vm (qw(work web)) {
    system('mkdir', '-p', "$dir/state/vms/$vm") == 0 or die "mkdir\n";
    put("$dir/state/vms/$vm/profile.conf", '');
}
for my $snapshot ('default/snapshots/clean', 'work/snapshots/marked') {
    my $home = "$dir/state/vms/$snapshot";
    system('mkdir', '-p', $home) == 0 or die "mkdir\n";
    put("$home/snapshot.json",
        '{"time":"2026-01-01T00:00:00Z","description":"","disk_bytes":1,"disks":["disk.qcow2"]}');
}
mkdir "$dir/state/vms/nothing" or die "mkdir: $!\n";
system('chmod', '-R', 'go-w', "$dir/state");

# What helixvm offers for these words: word => description.
sub offered {
    my (@words) = @_;
    open my $pipe, '-|', $helixvm, 'complete', '--', @words or die "$helixvm: $!\n";
    my %offered = map { chomp; my ($word, $text) = split /\t/, $_, 2; $word => $text } <$pipe>;
    close $pipe or fail("complete -- @words");
    return \%offered;
}

sub words { return join ' ', sort keys %{ offered(@_) } }

# --- what is offered

my $verbs = offered('');
my ($groups) = join('', `$helixvm help`) =~ /\n\n(.*)\n\n/s;
my %listed = $groups =~ /^  ([a-z-]+) +(\S.*)$/mg;
is_deeply($verbs, \%listed, 'each verb that help lists, with what it says of it');
is(words('st'), join(' ', sort grep { /^st/ } keys %listed), 'those that begin so');
for my $verb (sort keys %listed) {
    my $help = join '', `$helixvm $verb --help`;
    if ($help =~ /^Actions:\n(.*?)\n\n/ms) {
        my %actions = $1 =~ /^  ([a-z-]+) +(\S.*)$/mg;
        is_deeply(offered($verb, ''), \%actions, "the actions of $verb");
        next;
    }
    my $options = join ' ', sort $help =~ /^  (?:-\w, )?(--[a-z-]+)/mg;
    is(words($verb, '-'), $options, "the options of $verb");
}
is(words('up', ''), 'web work', 'VMs');
is(words('status', 'wo'), 'work', 'those that begin so');
is(words('up', 'work', ''), '', 'no argument more than it takes');
is(words('up', '--quiet', ''), 'web work', 'an option without a value stands for itself');
is(words('image', 'build', '--for'), '--force', 'the options of an action');
is(words('define', '--format', ''), 'argv xml', "an option's values");
is(words('define', '--format=a'), '--format=argv', 'joined to it');
like(words('up', '-p', ''), qr/:files.*\bdefault\b/, 'profiles and files');
like(words('up', '--set', 'machine.'), qr/^machine\.accelerators= .*machine\.cpus= machine\.memory=/,
    'the keys of a profile');
is(offered('up', '--set', 'machine.cpus')->{'machine.cpus='}, 'Virtual CPUs', 'with what they are');
is(words('up', '--set', 'gpu.enabled='), 'gpu.enabled=false gpu.enabled=true', "a key's values");
is(words('up', '-s', 'gpu.display=egl'), 'gpu.display=egl-headless', 'one of them');
is(words('up', '--set=gpu.display=egl'), '--set=gpu.display=egl-headless', 'all in one');
is(words('up', '--set', 'machine.accelerators=kvm;t'), 'machine.accelerators=kvm;tcg', 'in a list');
is(words('help', 'ima'), 'image', 'help takes verbs');
like(words('help', 'image', ''), qr/build.*remove/, 'and actions');
is(words('completion', ''), 'bash fish zsh', 'shells');
is(words('exec', 'work', '--', 'st'), '', "nothing for a guest's command");
is(words('cp', 'wo'), ':files work:', 'files here and in VMs');
is(words('snapshot', 'delete', ''), 'clean web work', 'VMs, and the snapshots of the default one');
is(words('snapshot', 'delete', 'work', ''), 'marked', 'those of the VM that is named');
is(words('snapshot', 'create', 'work', ''), '', 'a new one is for the user to name');
is(words('--con'), '--connect', 'the option before the verb');
is(words('--connect', ''), 'qemu:///session qemu:///system', 'what it may say');
is(words('--connect=qemu:///se'), '--connect=qemu:///session', 'joined to it');
is_deeply(offered('--connect', 'test:///default', ''), $verbs, 'the verbs behind it');
is_deeply(offered('--connect=test:///default', ''), $verbs, 'joined');
is(words('--connect', 'test:///default', 'image', 'bui'), 'build', 'actions');
is(words('--connect', 'test:///default', 'status', 'wo'), 'work', 'and VMs');
is(words('status', '--connect', 'test:///default', 'wo'), 'work', 'also behind the verb');
is(words('exec', 'work', '--', '--connect', 'x', ''), '', "but not in a guest's command");
is(words('nonsense', ''), '', 'nothing for what is no verb');
is(words(), '', 'nothing for nothing');

# The least of several: what others do on the machine is not its doing.
sub least_seconds {
    my ($run) = @_;
    my $least;
    for (1 .. 10) {
        my $begun = time;
        $run->();
        my $took = time - $begun;
        $least = $took if !defined $least || $took < $least;
    }
    return $least;
}
# A build with sanitizers starts slower.
my $start = least_seconds(sub { my $version = `$helixvm version` });
my $bound = $start > 0.025 ? 2 * $start : 0.05;
my $least = least_seconds(sub { offered('up', '--set', 'machine.') });
cmp_ok($least, '<', $bound, 'it takes less than 50 ms');

# --- the shells

like(join('', `$helixvm completion csh 2>&1`), qr/csh.*bash, zsh and fish/, 'no other shell');
is($? >> 8, 2, 'is a usage error');
put("$dir/script.$_", `$helixvm completion $_`) for qw(bash zsh fish);

# An interactive shell on a terminal: what is on the screen after what is typed, as soon as it
# matches.
sub typed {
    my ($command, $setup, $keys, $expected) = @_;
    my $pty = IO::Pty->new;
    my $pid = fork // die "fork: $!\n";
    if ($pid == 0) {
        take_terminal($pty);
        $pty->slave->set_winsize(50, 200);
        $ENV{TERM} = 'dumb';
        chdir $dir;
        exec @$command or die "exec: $!\n";
    }
    $pty->close_slave;
    my $screen = '';
    my $wait = sub {
        my ($pattern) = @_;
        my $end = time + 30;
        while ($screen !~ $pattern && time < $end) {
            my $ready = '';
            vec($ready, fileno($pty), 1) = 1;
            select($ready, undef, undef, 1) or next;
            sysread($pty, $screen, 65536, length $screen) or last;
        }
    };
    print $pty "$setup; echo re''ady\n";
    $wait->(qr/^ready/m);
    $screen = '';
    print $pty $keys;
    $wait->($expected);
    kill 'KILL', $pid;
    waitpid $pid, 0;
    return $screen;
}

my %shells = (
    bash => [['bash', '--norc', '--noprofile', '-i'], "PS1='> '; bind 'set bell-style none'; . ./script.bash"],
    zsh => [['zsh', '-f', '-i'], "PS1='> '; unsetopt beep; autoload -U compinit; compinit -u -D; . ./script.zsh"],
);
for my $shell (sort keys %shells) {
    my ($command, $setup) = @{ $shells{$shell} };
    for my $case (
        ["helixvm provis\t", qr/helixvm provision /, 'a verb'],
        ["helixvm --connect qemu:///sys\t", qr{helixvm --connect qemu:///system }, 'a libvirt'],
        ["helixvm --connect qemu:///system provis\t", qr{qemu:///system provision }, 'a verb behind it'],
        ["helixvm image bui\t", qr/helixvm image build /, 'an action'],
        ["helixvm up --qui\t", qr/helixvm up --quiet /, 'an option'],
        ["helixvm status wor\t", qr/helixvm status work /, 'a VM'],
        ["helixvm up --set gpu.displ\t", qr/helixvm up --set gpu\.display=/, 'a key, to be gone on with'],
        ["helixvm up --set gpu.display=egl\t", qr/gpu\.display=egl-headless/, 'a value'],
        ["helixvm up --set=gpu.display=egl\t", qr/--set=gpu\.display=egl-headless/, 'in one word'],
        ["helixvm up -p script.fi\t", qr/helixvm up -p script\.fish/, 'a file'],
    ) {
        my ($keys, $expected, $what) = @$case;
        like(typed($command, $setup, $keys, $expected), $expected, "$shell completes $what");
    }
}

sub fish {
    my ($line) = @_;
    local $ENV{HOME} = "$dir";
    return join '', `cd $dir && fish --no-config -c '. ./script.fish; complete -C "$line"'`;
}
like(fish('helixvm provis'), qr/^provision\t\S.*\n\z/, 'fish completes a verb');
like(fish('helixvm --connect qemu:///system provis'), qr/^provision\t/, 'behind --connect');
like(fish('helixvm image bui'), qr/^build\t/, 'an action');
like(fish('helixvm up --qui'), qr/^--quiet\t/, 'an option');
like(fish('helixvm status wor'), qr/^work\tVM$/, 'a VM');
like(fish('helixvm status '), qr/^web\t.*^work\t/ms, 'VMs');
like(fish('helixvm up --set gpu.display=egl'), qr/^gpu\.display=egl-headless\b/, 'a value');
like(fish('helixvm up -p script.fi'), qr/^script\.fish\b/m, 'a file');

done_testing;
