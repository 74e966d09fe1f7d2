#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# The default image: what is in it, that it boots and lets the right key in, and what a build leaves
# behind when it is interrupted or fails.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin, "$FindBin::Bin/..";
use Fcntl qw(:flock);
use File::Basename;
use File::Temp;
use Files;
use JSON::PP;
use MIME::Base64;
use PlainQemu;
use POSIX ();
use Test::More;
use Time::HiRes qw(time sleep);

my $helixvm = ($ENV{BUILD} // 'build') . '/helixvm';
my $tmp     = File::Temp->newdir('helixvm-image-XXXXXX', TMPDIR => 1);

# What a test that fails or is interrupted has started ends with it.
my @started;
END {
    my $end_status = $?;
    for my $pid (@started) {
        kill 'TERM', $pid if waitpid($pid, POSIX::WNOHANG()) == 0;
    }
    $? = $end_status;
}

sub run {
    my (@command) = @_;
    open my $out, '-|', 'sh', '-c', '"$@" 2>&1', 'sh', @command or die "sh: $!";
    local $/;
    my $text = <$out> // '';
    close $out;
    return ($? >> 8, $text);
}

# Starts helixvm, and waits until its output matches @pattern.  Returns the pid and its output from
# there on.
sub start_until {
    my ($pattern, $environment, @arguments) = @_;
    pipe my $out, my $into or die "pipe: $!";
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        %ENV = (%ENV, %$environment);
        open STDOUT, '>&', $into;
        open STDERR, '>&', $into;
        exec $helixvm, @arguments or POSIX::_exit(127);
    }
    close $into;
    push @started, $pid;
    my $text = '';
    while ($text !~ $pattern && defined(my $line = <$out>)) {
        $text .= $line;
    }
    like($text, $pattern, "@arguments: gets to $pattern");
    return ($pid, $out);
}

# Command lines of processes that know of the directory @path, helixvm's own children among them.
sub processes_in {
    my ($path) = @_;
    return grep { index($_, $path) >= 0 }
        map { contents($_) =~ tr/\0/ /r } grep { $_ ne "/proc/$$/cmdline" } glob '/proc/[0-9]*/cmdline';
}

# Processes that were killed are gone a moment later.
sub wait_without {
    my ($path, $seconds) = @_;
    my $deadline = time + $seconds;
    my @left;
    while ((@left = processes_in($path)) && time < $deadline) {
        sleep 0.05;
    }
    return @left;
}

# --- the image is there ----------------------------------------------------------------------
my ($status, $text) = run($helixvm, 'image', 'build');
is($status, 0, 'image build') or BAIL_OUT($text);
($status, $text) = run($helixvm, 'image', 'build');
is($status, 0, 'a second build finds it there');
like($text, qr/^image default (is there already|is kept): Debian 13/m, '... and says so');
($status, $text) = run($helixvm, 'image', 'list', '--json');
my ($image) = grep { $_->{name} eq 'default' } @{ decode_json($text) };
ok($image, 'image list --json has it');
for my $file (qw(disk kernel initrd)) {
    is(sprintf('%04o', (stat $image->{$file})[2] & 07777), '0444', "$file is read-only");
}

# --- nothing secret in it --------------------------------------------------------------------
SKIP: {
    my $raw = "$tmp/disk.raw";
    is(system('qemu-img', 'convert', '-O', 'raw', $image->{disk}, $raw), 0, 'disk converts') or skip 'no disk', 6;
    my $read = sub { (run('debugfs', '-R', "cat $_[0]", $raw))[1] =~ s/^debugfs .*\n//r };
    my $list = sub { (run('debugfs', '-R', "ls -p $_[0]", $raw))[1] };
    is((run('e2fsck', '-fn', $raw))[0], 0, 'its file system is clean');
    like($read->('/etc/shadow'), qr/^root:(\*|!)/m, 'root has no password');
    unlike($read->('/etc/shadow'), qr/^[^:]*:\$/m, 'nobody has');
    is($read->('/etc/machine-id'), '', 'it has no machine id');
    unlike($list->('/etc/ssh'), qr/ssh_host/, 'no host key');
    unlike($list->('/root/.ssh'), qr/authorized_keys/, 'no authorized key');
    unlink $raw;
}

# --- it boots --------------------------------------------------------------------------------
for my $key (qw(key other)) {
    system('ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', "$tmp/$key") == 0 or die 'ssh-keygen';
}
my $guest = PlainQemu->new(
    image              => $image,
    identity           => "$tmp/key",
    append             => 'quiet',
    binary_credentials => { 'ssh.authorized_keys.root' => encode_base64(contents("$tmp/key.pub"), '') },
);
my $seconds = $guest->wait_ready(180);
ok(defined $seconds, 'it boots') or diag($guest->console);
SKIP: {
    skip 'no guest', 9 unless defined $seconds;
    diag(sprintf 'READY after %.1f s', $seconds);
    ($status, $text) = $guest->ssh('uname -r; cat /etc/machine-id; systemctl --failed --no-legend | wc -l;'
            . ' stat -f -c %T /; grep -c "^/dev/vda / ext4 rw" /proc/mounts; ls /sys/class/drm | grep -c ^card');
    is($status, 0, 'the key of the credential gets in');
    my ($kernel, $id, $failed, $type, $writable, $cards) = split /\n/, $text;
    is($kernel, $image->{kernel_version}, 'it runs the kernel that it says');
    like($id // '', qr/^[0-9a-f]{32}$/, 'it made a machine id');
    is($failed, 0, 'no unit failed');
    is($writable, 1, 'its root is on the disk, and writable');
    cmp_ok($cards // 0, '>=', 1, 'virtio-gpu is there');
    my @packages = grep { length } map { s/#.*//r =~ s/\s//gr } map { split /\n/, contents($_) }
        'guest-provision/image/packages', 'guest-provision/session/packages';
    ($status, $text) = $guest->ssh("dpkg-query -W -f '\${db:Status-Status}\\n' @packages | sort | uniq -c");
    like($text, qr/^\s*${\scalar @packages} installed$/, 'every package asked for is installed');
    $guest->{identity} = "$tmp/other";
    is(($guest->ssh('true'))[0], 255, 'another key does not get in');
    unlike($guest->console, qr/cannot load|cannot mount/, 'helixvm-init has nothing to complain of');
}
$guest->stop;

# --- two at once -----------------------------------------------------------------------------
{
    my $directory = dirname(dirname($image->{disk}));
    open my $lock, '<', $directory or die "$directory: $!";
    flock $lock, LOCK_EX or die "flock: $!";
    my ($pid, $out) = start_until(qr/waiting for another build/, {}, 'image', 'build');
    close $lock;
    waitpid $pid, 0;
    is($?, 0, 'a builder that waited goes on');
    like(join('', <$out>), qr/^image default is (there already|kept)/m, '... and finds the image');
}

# --- interrupted, killed, failed -------------------------------------------------------------
my %elsewhere = (HELIXVM_STATE_DIR => "$tmp/state");
mkdir "$tmp/state", 0711;
mkdir "$tmp/bin";

# Takes mmdebstrap's place in PATH.
sub stand_in {
    my ($script) = @_;
    chmod 0755, put("$tmp/bin/mmdebstrap", "#!/bin/sh\n$script");
    $elsewhere{PATH} = "$tmp/bin:$ENV{PATH}";
}

sub expect_nothing_left {
    my ($what, @but) = @_;
    is_deeply([wait_without("$tmp/state", 10)], [], "$what: no process is left");
    unlike(contents('/proc/self/mountinfo'), qr/\Q$tmp\E/, '... no mount');
    is_deeply([grep { my $file = $_; !grep { $_ eq $file } @but } glob "$tmp/state/images/{.[!.],}*"],
        [], '... and no file');
}

{
    my ($pid, $out) = start_until(qr/downloading packages\.\.\./, \%elsewhere, 'image', 'build');
    kill 'INT', $pid;
    waitpid $pid, 0;
    is($? >> 8, 130, 'SIGINT: exit status 130');
    expect_nothing_left('SIGINT');
}

# Harder to get rid of than mmdebstrap: a mount, a process that left its session, none of which
# heeds a signal.
stand_in(<<'SCRIPT');
trap '' TERM INT HUP
for root; do :; done
mkdir -p "$root/proc"
mount -t tmpfs stubborn "$root/proc"
touch "$root/proc/file"
setsid sh -c 'trap "" TERM INT HUP; exec sleep 1000' "$root" &
echo '0 upgraded, 1 newly installed'
echo '0 upgraded, 1 newly installed'
echo 'Unpacking stubbornness'
sleep 1000
SCRIPT
{
    my ($pid, $out) = start_until(qr/unpacking packages\.\.\./, \%elsewhere, 'image', 'build');
    kill 'TERM', $pid;
    waitpid $pid, 0;
    is($? >> 8, 130, 'SIGTERM: exit status 130');
    expect_nothing_left('SIGTERM');

    ($pid, $out) = start_until(qr/unpacking packages\.\.\./, \%elsewhere, 'image', 'build');
    kill 'KILL', $pid;
    waitpid $pid, 0;
    is_deeply([wait_without("$tmp/state", 10)], [], 'SIGKILL: no process is left');
    unlike(contents('/proc/self/mountinfo'), qr/\Q$tmp\E/, '... and no mount');
    my ($list_status, $list) = run('env', "HELIXVM_STATE_DIR=$tmp/state", $helixvm, 'image', 'list');
    like($list, qr/^no images/, '... what it left is no image');
}
stand_in("echo 'E: the mirror is on fire'\necho 'E: so apt failed'\nexit 25\n");
{
    my ($failed, $message) = run('env', (map { "$_=$elsewhere{$_}" } keys %elsewhere), $helixvm,
        'image', 'build');
    is($failed, 1, 'a step that fails: exit status 1');
    my ($log) = $message =~ /see (\S+\.log): mmdebstrap failed \(exit status 25\)/;
    ok($log, '... is named, with the log') or diag($message);
    like($message, qr/status 25\): the mirror is on fire$/m, '... and with the first reason told');
    like(contents($log // ''), qr/so apt failed/, '... which has them all');
    expect_nothing_left('after it and the killed build', $log // '');
}
is((run($helixvm, 'image', 'remove', 'nonesuch'))[0], 4, 'removing what is not there: exit status 4');
is((run($helixvm, 'image', 'build', '../x'))[0],       2, 'a bad name: exit status 2');
is((run($helixvm, 'image'))[0],                        2, 'nothing to do: exit status 2');

done_testing;
