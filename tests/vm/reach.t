#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# Reaching a guest: ssh with a terminal, exec, OpenSSH by ssh-config, cp, logs.
use strict;
use warnings;
use Digest::SHA;
use File::Find;
use File::Temp;
use FindBin;
use lib $FindBin::Bin, "$FindBin::Bin/..";
use HelixVM;
use IO::Pty;
use POSIX ();
use Terminal;
use Test::More;
use Time::HiRes qw(sleep time);

my $build = $ENV{BUILD} // 'build';
my $vm = vm_name('reach');
my $dir = File::Temp->newdir('helixvm-reach-XXXXXX', TMPDIR => 1);

# A shell command of this side: (status, what it printed on both outputs).
sub sh {
    my ($command) = @_;
    my $out = `{ $command\n} 2>&1 </dev/null`;
    return ($? >> 8, $out);
}

sub pseudo_random {
    my ($size) = @_;
    my $bytes = '';
    my $state = 'reach';
    $bytes .= ($state = Digest::SHA::sha512($state)) while length $bytes < $size;
    return substr $bytes, 0, $size;
}

# --- what needs no VM ----------------------------------------------------------------------------
is(helixvm('exec', $vm)->{status}, 255, 'exec without a command: 255, as all its own failures');
is(helixvm('exec', $vm, '--', 'true')->{status}, 255, 'in a VM that is down, too');
is(helixvm('cp', 'a', 'b')->{status}, 2, 'cp without a guest is a usage error');
is(helixvm('ssh-config', $vm)->{status}, 4, 'ssh-config of no VM: status 4');
is(helixvm('logs', $vm)->{status}, 4, 'logs of no VM: status 4');

helixvm_ok('up', '--quiet', $vm);

# --- once the guest is ready ---------------------------------------------------------------------
my $booted = helixvm('exec', $vm, '--', 'systemctl', 'show', '-P', 'FinishTimestampMonotonic')->{out};
my ($first) = split /\n/, helixvm('exec', $vm, '--', 'journalctl', '-b', '-o', 'json', '-u', 'sshd@0-*')->{out};
cmp_ok(json($first)->{__MONOTONIC_TIMESTAMP}, '>', $booted,
    'the guest\'s SSH server is asked once the guest is ready: it takes nothing from the boot');

# --- exec ----------------------------------------------------------------------------------------
my $result = helixvm('exec', $vm, '--', 'sh', '-c', 'echo "$1"; echo err >&2; exit 3', 'sh', q{a 'b" $c});
is($result->{status}, 3, 'exec: the exit status');
is($result->{out}, qq{a 'b" \$c\n}, '... stdout, with each argument a word');
is($result->{err}, "err\n", '... stderr apart');

my $big = pseudo_random(1 << 20);
put("$dir/big", $big);
my ($status) = sh("$build/helixvm exec $vm -- cat <$dir/big >$dir/back");
is($status, 0, 'a MiB of binary through cat');
ok(slurp("$dir/back") eq $big, '... is the same');
is((sh("$build/helixvm exec $vm -- wc -c <$dir/big"))[1], length($big) . "\n",
    'the end of stdin reaches the command');
is(helixvm('exec', $vm, '--', 'sh', '-c', 'kill -9 $$')->{status}, 137, 'killed by a signal: 128 + 9');
is_deeply([sh("timeout 60 $build/helixvm exec $vm -- cat <&-")], [0, ''], 'closed stdin is at its end');
($status, my $unwritten) = sh("timeout 60 $build/helixvm exec $vm -- echo text >&-");
is($status, 255, 'closed stdout is an error');
like($unwritten, qr/cannot pass a command's output on: Bad file descriptor/, '... and said so');
my (undef, $piped) = sh("$build/helixvm exec $vm -- yes | head -n 1; echo \${PIPESTATUS[0]}");
like($piped, qr/^y\n/, 'who has enough of the output ends it');

my $sleep = start_helixvm('exec', $vm, '--', 'sh', '-c', 'echo $$; trap "echo got int; exit 9" INT; sleep 1000 >/dev/null 2>&1 & wait');
ok(wait_until(60, sub { slurp($sleep->{out}->filename) =~ /\d/ }), 'a command that runs on');
kill 'INT', $sleep->{pid};
$result = finish($sleep, 20);
is($result->{status}, 9, 'Ctrl-C reaches it, and its status comes back') or diag($result->{err});
like($result->{out}, qr/got int/, '... with what it still said');

# --- ssh with a terminal -------------------------------------------------------------------------
sub terminal_modes {
    my ($pty) = @_;
    my $modes = POSIX::Termios->new;
    $modes->getattr(fileno $pty->slave);
    return join ' ', map { $modes->$_ } qw(getiflag getoflag getcflag getlflag);
}

sub start_on_terminal {
    my ($pty, @command) = @_;
    my $type = $command[0] =~ /^TERM=(.*)/ ? (shift(@command), $1)[1] : 'dumb';
    my $pid = fork // die "fork: $!\n";
    if ($pid == 0) {
        take_terminal($pty);
        $ENV{TERM} = $type;
        exec @command or POSIX::_exit(127);
    }
    return $pid;
}

# Read from $pty until $pattern matches: what came, undef after $seconds.
my $seen = '';
sub expect {
    my ($pty, $pattern, $seconds) = @_;
    my $end = time + ($seconds // 20);
    while ($seen !~ $pattern) {
        my $ready = '';
        vec($ready, fileno $pty, 1) = 1;
        my $left = $end - time;
        my $more;
        if ($left <= 0 or !select $ready, undef, undef, $left or !sysread $pty, $more, 4096) {
            diag("no $pattern in: $seen");
            return undef;
        }
        $seen .= $more;
    }
    $seen =~ $pattern;
    return substr $seen, 0, $+[0], '';
}

sub wait_for_pid {
    my ($pid, $seconds) = @_;
    wait_until($seconds, sub { waitpid($pid, POSIX::WNOHANG) != 0 }) or do {
        kill 'KILL', $pid;
        waitpid $pid, 0;
        return -1;
    };
    return $? & 127 ? 128 + ($? & 127) : $? >> 8;
}

my $pty = IO::Pty->new;
$pty->slave->set_winsize(33, 101);
my $cooked = terminal_modes($pty);
my $pid = start_on_terminal($pty, "$build/helixvm", 'ssh', $vm);
ok(expect($pty, qr/# /, 30), 'ssh gives a shell');
isnt(terminal_modes($pty), $cooked, '... on a raw terminal');
print $pty "stty size; echo type=\$TERM; tty\r";
ok(expect($pty, qr/33 101\r.*type=dumb\r.*pts.*# /s), 'with a terminal of the same size and type');
$pty->slave->set_winsize(44, 90);
kill 'WINCH', $pid;
print $pty "stty size\r";
ok(expect($pty, qr/44 90\r.*# /s), 'its size follows');
# By exec: a signal between a shell's vfork and its child's exec is lost.
print $pty "sh -c 'echo begun; exec sleep 1000'\r";
ok(expect($pty, qr/\nbegun/), 'a command that runs on');
print $pty "\x03";
ok(expect($pty, qr/\^C.*# /s), 'Ctrl-C reaches it');
print $pty "echo status=\$?\r";
ok(expect($pty, qr/\nstatus=130\r.*# /s), 'Ctrl-C ends it, and not the shell');
print $pty "~?";
ok(expect($pty, qr/~\.\s+end the connection/), '~? tells of the escapes');
print $pty "exit 7\r";
is(wait_for_pid($pid, 20), 7, 'ssh exits as the shell does');
is(terminal_modes($pty), $cooked, 'and the terminal is as it was');

for my $way (['~.', 130, sub { print $pty "\r~." }], ['SIGTERM', 130, sub { kill 'TERM', $pid }],
    ['SIGQUIT', 131, sub { kill 'QUIT', $pid }]) {
    my ($name, $expected, $act) = @$way;
    $seen = '';
    $pid = start_on_terminal($pty, "$build/helixvm", 'ssh', $vm, '--', 'echo ready; cat');
    ok(expect($pty, qr/ready/, 30), "before $name");
    $act->();
    is(wait_for_pid($pid, 20), $expected, "$name ends it with $expected");
    is(terminal_modes($pty), $cooked, '... and the terminal is as it was');
}
is((sh("$build/helixvm ssh $vm -- 'echo a | tr a b; exit 5'"))[0], 5, 'ssh without a terminal');
like((sh("$build/helixvm ssh $vm -- tty"))[1], qr/not a tty/, '... gives none');

# --- OpenSSH -------------------------------------------------------------------------------------
put("$dir/config", helixvm_ok('ssh-config', $vm)->{out});
my $host = "helixvm-$vm";
unlink state_path($vm, 'secrets/known_hosts');
is_deeply([sh("ssh -F $dir/config $host 'uname -n; exit 4'")], [4, "helixvm\n"],
    'plain ssh, as the first to see the host key');
ok(-s state_path($vm, 'secrets/known_hosts'), '... which is pinned');
is((sh("scp -q -F $dir/config $dir/big $host:big && scp -q -F $dir/config $host:big $dir/scp"))[0], 0, 'scp');
ok(slurp("$dir/scp") eq $big, '... both ways');
is_deeply([sh("ssh -F $dir/config -o ProxyUseFdpass=no -o ProxyCommand='$build/helixvm proxy $vm' $host echo bytes")],
    [0, "bytes\n"], 'a client that passes no descriptors');

my $pinned = slurp(state_path($vm, 'secrets/known_hosts'));
system('ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', "$dir/other") == 0 or die "ssh-keygen\n";
put(state_path($vm, 'secrets/known_hosts'), 'helixvm ' . slurp("$dir/other.pub"));
is((sh("ssh -F $dir/config $host true"))[0], 255, 'another host key is refused by ssh');
is(helixvm('exec', $vm, '--', 'true')->{status}, 255, '... and by helixvm');
put(state_path($vm, 'secrets/known_hosts'), $pinned);

# --- cp ------------------------------------------------------------------------------------------
# Every entry of a tree: type, permissions, time, and what is in it.
sub tree {
    my ($top) = @_;
    my %entries;
    find({no_chdir => 1, wanted => sub {
        my @stat = lstat;
        my $name = substr $_, length $top;
        my $what = -l _ ? 'link ' . readlink : -d _ ? 'directory' : 'file ' . Digest::SHA->new(256)->addfile($_)->hexdigest;
        $entries{$name} = -l $_ ? $what : sprintf '%s %04o %d', $what, $stat[2] & 07777, $stat[9];
    }}, $top);
    return \%entries;
}

system('mkdir', '-p', "$dir/tree/sub/deep", "$dir/to") == 0 or die "mkdir\n";
put("$dir/tree/big", $big x 4);
put("$dir/tree/empty", '');
put("$dir/tree/sub/na me\n", "odd\n");
put("$dir/tree/sub/deep/one", 'x');
symlink '../big', "$dir/tree/sub/link";
symlink '/nowhere', "$dir/tree/dangling";
chmod 0400, "$dir/tree/empty";
chmod 0751, "$dir/tree/sub";
utime 981173106, 981173106, "$dir/tree/big", "$dir/tree/sub/deep", "$dir/tree/sub";
is(helixvm('cp', "$dir/tree", "$vm:")->{status}, 2, 'a directory without -r is a usage error');
helixvm_ok('cp', '-rp', "$dir/tree", "$vm:");
my $json = json(helixvm_ok('cp', '-rp', '--json', "$vm:tree", "$dir/to")->{out});
is_deeply([@$json{qw(files directories symlinks skipped bytes)}], [4, 3, 2, 0, 4 * length($big) + 5],
    'cp tells what it copied');
is_deeply(tree("$dir/to/tree"), tree("$dir/tree"), 'a tree, there and back, is the same');
my $device = helixvm('cp', "$vm:/dev/zero", "$dir/zero");
is($device->{status}, 1, 'a device alone: exit status 1');
like($device->{err}, qr/nothing was copied/, '... and why');
ok(!-e "$dir/zero", '... and no file');

# The guest's image has no rsync: it gets this side's, which is of the same release.
my @libraries = grep { !m{/(libc|ld-linux-x86-64)\.so} } `ldd /usr/bin/rsync` =~ m{ => (/\S+)}g;
helixvm_ok('exec', $vm, '--', 'mkdir', 'rsync');
helixvm_ok('cp', '/usr/bin/rsync', @libraries, "$vm:rsync");
my $rsync = "rsync -a --rsync-path='LD_LIBRARY_PATH=/root/rsync /root/rsync/rsync' -e 'ssh -F $dir/config'";
($status, my $said) = sh("$rsync $dir/tree/ $host:synced/ && $rsync $host:synced/ $dir/synced/");
is($status, 0, 'rsync, there and back') or diag($said);
is_deeply(tree("$dir/synced"), tree("$dir/tree"), '... gives the same');

helixvm_ok('cp', "$vm:/etc/hostname", "$dir/name");
is(slurp("$dir/name"), "helixvm\n", 'one file under a new name');
helixvm_ok('cp', "$vm:/proc/sys/kernel/ostype", "$dir/to");
is(slurp("$dir/to/ostype"), "Linux\n", 'a file that is longer than it says');
chmod 06640, "$dir/name";
helixvm_ok('cp', "$vm:/etc/debian_version", "$dir/name");
is(sprintf('%04o', (stat "$dir/name")[2] & 07777), '0640', 'a file that is there keeps its permissions, but no set-user-ID');
is(helixvm('cp', "$vm:/nonesuch", "$dir/x")->{status}, 4, 'no such file in the guest: 4');
is(helixvm('cp', "$dir/nonesuch", "$vm:x")->{status}, 4, 'nor on the host: 4');
is(helixvm('cp', "$vm:/etc/hostname", '/dev/null')->{status}, 6, 'no device is replaced');
ok(-c '/dev/null', '... indeed');

helixvm_ok('exec', $vm, '--', 'sh', '-c', 'mkdir /small && mount -t tmpfs -o size=1m tmpfs /small');
$result = helixvm('cp', "$dir/tree/big", "$vm:/small/");
is($result->{status}, 8, 'a full disk in the guest: 8');
like($result->{err}, qr/disk is full/, '... and named');
is(helixvm_ok('exec', $vm, '--', 'ls', '-A', '/small')->{out}, '', '... with nothing left there');
system('mount', '-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', "$dir/to") == 0 or die "mount\n";
$result = helixvm('cp', "$vm:tree/big", "$dir/to/");
is_deeply([glob "$dir/to/{*,.helixvm*}"], [], 'a full disk on the host: nothing left');
system('umount', "$dir/to");
is($result->{status}, 6, '... 6');
like($result->{err}, qr/No space left/, '... and named');

put("$dir/large", $big x 100);
for my $way (["$dir/large", "$vm:large"], ["$vm:/var/tmp/large", "$dir/large-back"]) {
    helixvm_ok('exec', $vm, '--', 'truncate', '-s', '300M', '/var/tmp/large');
    # On a terminal the progress is updated in place: it tells that the copy has begun.
    my $copy_pty = IO::Pty->new;
    $seen = '';
    my $copy = start_on_terminal($copy_pty, 'TERM=xterm', "$build/helixvm", 'cp', @$way);
    ok(expect($copy_pty, qr/[KM]iB .*\d%/, 60), "cp @$way shows its progress");
    kill 'INT', $copy;
    is(wait_for_pid($copy, 20), 130, '... is interrupted');
}
ok(!-e "$dir/large-back", '... and leaves no half file on the host');
is_deeply([glob "$dir/.helixvm*"], [], '... under another name neither');
is(helixvm_ok('exec', $vm, '--', 'sh', '-c', 'ls -A | grep -e large -e helixvm; true')->{out}, '',
    '... nor in the guest');

# --- a guest that lies ---------------------------------------------------------------------------
helixvm_ok('cp', "$FindBin::Bin/../fakes/hostile-sftp.pl", "$vm:/root/hostile-sftp");
helixvm_ok('exec', $vm, '--', 'sh', '-c', 'chmod 755 /root/hostile-sftp; cp /etc/ssh/sshd_config /root;'
        . ' sed -i "s,^Subsystem.*,Subsystem sftp /root/hostile-sftp," /etc/ssh/sshd_config');
for my $case (
    ['dotdot', 10, qr/"\.\.\/escaped".*no file's name/],
    ['slash', 10, qr/no file's name/],
    ['absolute', 10, qr/no file's name/],
    ['empty', 10, qr/no file's name/],
    ['link', 6, qr/symbolic links are not followed/],
    ['linkfile', 0, undef],
    ['deep', 8, qr/directories deep/],
    ['setuid', 0, undef],
    ['short', 0, undef],
) {
    my ($kind, $expected, $message) = @$case;
    mkdir "$dir/evil";
    my $evil = helixvm('cp', '-rp', "$vm:/evil/$kind", "$dir/evil");
    is($evil->{status}, $expected, "hostile: $kind: status $expected") or diag($evil->{err});
    like($evil->{err}, $message, '... and why') if $message;
}
ok(!-e "$dir/escaped" && !-e "$dir/evil/escaped" && !-e '/tmp/escaped', 'nothing was written elsewhere');
is(sprintf('%04o', (stat "$dir/evil/setuid/suid")[2] & 07777), '0755', 'no set-user-ID bit is taken over');
ok(!-l "$dir/evil/linkfile/trap" && slurp("$dir/evil/linkfile/trap") eq "from guest\n",
    'a file replaces a link and is not written through it');
is(slurp("$dir/evil/short/short"), "from guest\n", 'short answers are put together');
helixvm_ok('exec', $vm, '--', 'cp', '/root/sshd_config', '/etc/ssh/sshd_config');

# --- logs ----------------------------------------------------------------------------------------
is(helixvm('logs', $vm, 'encoder')->{status}, 0, 'log of encoder, which may be silent');
for my $component (qw(monitor vsock qemu)) {
    my $log = helixvm_ok('logs', $vm, $component)->{out};
    like($log, $component eq 'qemu' ? qr/qemu-system/ : qr/helixvm-$component: /, "log of $component");
    unlike($log, qr/ \| /, '... without a prefix');
}
unlike(slurp(state_path($vm, 'monitor.log')), qr/^\S* ?helixvm-(vsock|encoder): /m,
    "the monitor's log has the parts' no more");
# What a guest may write to its console.
sub append_to_console {
    my ($text) = @_;
    open my $file, '>>', state_path($vm, 'console.log') or die "console.log: $!\n";
    # The guest may have begun a line.
    print $file "\n$text";
    close $file or die "console.log: $!\n";
}
append_to_console("\033[31mred\033]0;title\007 bell\007 end\n");
my $console = helixvm_ok('logs', $vm, 'console')->{out};
like($console, qr/^red bell\x{ef}\x{bf}\x{bd} end$/m, 'what a terminal would act upon is gone');
like(helixvm_ok('logs', $vm, 'console', '--raw')->{out}, qr/\033\[31mred/, '... but for --raw');
unlike(helixvm_ok('logs', $vm, 'guest')->{out}, qr/\033/, "the guest's journal is harmless");
is(scalar(my @lines = split /\n/, helixvm_ok('logs', $vm, 'monitor', '-n', 2)->{out}), 2, '-n 2 gives two lines');
my $all = helixvm_ok('logs', $vm, '-n', 5)->{out};
like($all, qr/^$_ +\| /m, "without a component $_ is among them") for qw(monitor vsock qemu console guest);
is(helixvm('logs', $vm, 'nonsense')->{status}, 2, 'no such component: a usage error');
is(helixvm('logs', $vm, '-n', 'x')->{status}, 2, 'no such number of lines, too');

my $follow = start_helixvm('logs', $vm, '--follow', '-n', 1);
my $followed = sub { my ($pattern) = @_; return wait_until(40, sub { slurp($follow->{out}->filename) =~ $pattern }) };
ok($followed->(qr/^guest +\| /m), 'logs -f follows the guest');
helixvm_ok('exec', $vm, '--', 'sh', '-c', 'logger -t reach said-later');
append_to_console("console-later\n");
ok($followed->(qr/^guest +\| .*said-later/m), "... its journal");
ok($followed->(qr/^console \| console-later/m), '... and its console');

# --- a VM that dies under a terminal, and is started anew ----------------------------------------
$seen = '';
$pid = start_on_terminal($pty, "$build/helixvm", 'ssh', $vm, '--', 'echo ready; cat');
ok(expect($pty, qr/ready/, 30), 'ssh in a VM');
kill 'KILL', qemu_pid($vm);
is(wait_for_pid($pid, 20), 255, 'that dies: status 255');
ok(expect($pty, qr/helixvm: .*\Q$vm\E/), '... said');
is(terminal_modes($pty), $cooked, '... and the terminal is as it was');
ok(wait_until(30, sub { status_of($vm)->{state} eq 'stopped' }), 'the VM is down');
is(helixvm('logs', $vm, 'guest')->{status}, 5, 'the journal of a VM that is down: 5');
helixvm_ok('up', '--quiet', $vm);
ok($followed->(qr/^monitor \| .*"failed".*^monitor \| .*"event":"ready"/ms), 'logs -f goes on with the new run');
ok(-s state_path($vm, "$_.log.1"), "the log of $_ before is kept") for qw(monitor vsock);
ok($followed->(qr/^guest +\| .*said-later.*^guest +\| .*kernel: Linux version/ms), '... and the new journal');
kill 'INT', $follow->{pid};
is(finish($follow, 20)->{status}, 0, 'Ctrl-C ends it well');

done_testing;
