# SPDX-License-Identifier: GPL-2.0-or-later
# A guest under TCG that is nothing but tests/bench/traffic, whose vsock device's back end is swapped
# while it runs: the device is unplugged and plugged in again.  So transports take turns in one guest,
# without a boot between them.
package SwapGuest;

use strict;
use warnings;
use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename;
use File::Temp ();
use IO::Select;
use IO::Socket::UNIX;
use JSON::PP;
use POSIX ();
use Time::HiRes qw(sleep time);
use lib dirname(abs_path(__FILE__)) . '/..';
use CpuTime;
use EmulatorFault;
use Files;
use QMP;

use constant {
    # TCG runs the kernel's "rep movsb" byte by byte, the instructions without it word by word: the
    # guest's own copies would hide what the transports cost.
    CPU => 'max,-erms,-fsrm',
    DIRECTIONS => ['guest to host', 'host to guest'],
    SIZES => [map { $_ * 1024 } 4, 16, 32, 64, 128], # bytes of each write
    CID => 3,
    PORT => 5000,
    BOOT_TIMEOUT => 120,
    TIMEOUT => 30, # of commands
    ENDING => 2, # s, of a QEMU whose sockets are closed
    STALL => 2.5, # s, after which a transfer that makes no progress is over
};

our @EXPORT_OK = qw(DIRECTIONS SIZES);

my %running; # every process that this one started

sub spawn {
    my ($log, @command) = @_;
    my $pid = fork // die "fork: $!\n";
    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', $log;
        open STDERR, '>&', \*STDOUT;
        exec @command or POSIX::_exit(127);
    }
    return $running{$pid} = $pid;
}

sub reap {
    my ($pid) = @_;
    kill 'KILL', $pid;
    waitpid $pid, 0;
    delete $running{$pid};
}

# A file of a cpio archive, "newc" format.
sub cpio_entry {
    my ($name, $mode, $data) = @_;
    my $header = '070701' . join '', map { sprintf '%08x', $_ } 0, $mode, 0, 0, 1, 0, length $data,
        0, 0, 0, 0, length($name) + 1, 0;
    my $entry = "$header$name\0";
    $entry .= "\0" x (-length($entry) % 4) . $data;
    return $entry . "\0" x (-length($entry) % 4);
}

# The image's initial ramdisk, whose files come first, with our /init over its own.
sub make_initrd {
    my ($self) = @_;
    my $path = "$self->{directory}/initrd";
    open my $out, '>:raw', $path or die "$path: $!\n";
    print $out slurp($self->{image}{initrd}), "\0" x (-(-s $self->{image}{initrd}) % 4),
        cpio_entry('init', 0100755, slurp("$self->{build}/bench/traffic")),
        cpio_entry('TRAILER!!!', 0, '');
    close $out or die "$path: $!\n";
    return $path;
}

# Calls @connect until it gives a socket.
sub await {
    my ($what, $timeout, $attempt) = @_;
    my $deadline = time + $timeout;
    while (time < $deadline) {
        my $got = $attempt->();
        return $got if $got;
        sleep 0.02;
    }
    die "$what did not come within $timeout s\n";
}

# Whether a program listens at the Unix socket @path: its file is there a moment before.
sub is_listening {
    my ($path) = @_;
    return scalar grep { /^\S+ \S+ \S+ 00010000 .* \Q$path\E$/ } split /\n/, slurp('/proc/net/unix');
}

sub connect_unix {
    my ($path) = @_;
    return await($path, TIMEOUT, sub { IO::Socket::UNIX->new(Peer => $path) });
}

# new(image => {kernel, initrd}, build => DIR, cpus => 2) boots it.
sub new {
    my ($class, %option) = @_;
    my $self = bless {%option}, $class;
    $self->{directory} = File::Temp->newdir('helixvm-traffic-XXXXXX', TMPDIR => 1);
    $self->{boot_initrd} = $self->make_initrd;
    boot_again(sub { $self->boot }, sub { $self->ended });
    $self->start_host;
    return $self;
}

# QEMU's ($?, log) if it ends: its sockets close a moment before.
sub ended {
    my ($self) = @_;
    my $dir = "$self->{directory}";
    my $deadline = time + ENDING;
    do {
        if (waitpid($self->{qemu}, POSIX::WNOHANG()) > 0) {
            my $status = $?;
            delete $running{delete $self->{qemu}};
            return ($status, contents("$dir/qemu.log"));
        }
        sleep 0.02;
    } while (time < $deadline);
    return ();
}

sub boot {
    my ($self) = @_;
    my $dir = "$self->{directory}";
    unlink map { "$dir/$_" } qw(qemu.log qmp control port);
    $self->{qemu} = spawn("$dir/qemu.log",
        'qemu-system-x86_64', '-nodefaults', '-no-user-config', '-no-reboot', '-display', 'none',
        '-machine', 'q35,memory-backend=ram', '-accel', 'tcg,thread=multi', '-cpu', CPU,
        '-smp', $self->{cpus} // 2, '-m', 512, '-object', 'memory-backend-memfd,id=ram,size=512M,share=on',
        '-kernel', $self->{image}{kernel}, '-initrd', $self->{boot_initrd},
        '-append', 'console=ttyS0 no_timer_check quiet panic=-1',
        '-chardev', "file,id=console,path=$dir/console.log", '-serial', 'chardev:console',
        '-chardev', "socket,id=control,path=$dir/control,server=on,wait=off",
        '-serial', 'chardev:control', '-qmp', "unix:$dir/qmp,server=on,wait=off",
        '-device', 'pcie-root-port,id=vsock-slot,chassis=1',
        '-netdev', 'user,id=net', '-device', 'virtio-net-pci,netdev=net',
        '-chardev', "socket,id=port,path=$dir/port,server=on,wait=off",
        '-device', 'virtio-serial-pci', '-device', 'virtserialport,chardev=port');
    $self->{qmp} = QMP->new(connect_unix("$dir/qmp"));
    $self->{guest} = {in => connect_unix("$dir/control"), text => '', name => 'the guest'};
    $self->{guest}{out} = $self->{guest}{in};
    my $told = line_from($self->{guest}, BOOT_TIMEOUT);
    die "the guest did not start:\n" . contents("$dir/console.log") if $told ne 'ready';
    return 1;
}

# The host's end of the traffic.
sub start_host {
    my ($self) = @_;
    pipe my $in, my $to or die "pipe: $!\n";
    pipe my $from, my $out or die "pipe: $!\n";
    my $pid = fork // die "fork: $!\n";
    if ($pid == 0) {
        open STDIN, '<&', $in;
        open STDOUT, '>&', $out;
        exec "$self->{build}/bench/traffic" or POSIX::_exit(127);
    }
    $running{$pid} = $pid;
    $self->{host} = {in => $from, out => $to, text => '', name => 'the host', pid => $pid};
    line_from($self->{host}, TIMEOUT);
}

# The next line, without its end.
sub line_from {
    my ($end, $timeout) = @_;
    my $deadline = time + $timeout;
    until ($end->{text} =~ /\n/) {
        my $left = $deadline - time;
        die "no answer from $end->{name} within $timeout s\n"
            if $left <= 0 || !IO::Select->new($end->{in})->can_read($left);
        sysread $end->{in}, $end->{text}, 4096, length $end->{text} or die "$end->{name} is gone\n";
    }
    (my $line, $end->{text}) = split /\r?\n/, $end->{text}, 2;
    return $line;
}

sub order {
    my ($end, $command) = @_;
    syswrite $end->{out}, "$command\n";
}

# {status => done|stalled|error, text, bytes, ns, …}
sub result_of {
    my ($end, $timeout) = @_;
    my $text = line_from($end, $timeout // TIMEOUT);
    my ($status) = $text =~ /^(\w+)/;
    return {status => $status, text => $text, $text =~ /(\w+)=(\d+)/g};
}

# Plug in a vsock device whose back end @command is; PATH and PATH_PORT are its host's sockets.
sub attach {
    my ($self, @command) = @_;
    my $dir = "$self->{directory}";
    my %place = ('{device}' => "$dir/device", '{host}' => "$dir/v", '{cid}' => CID);
    unlink glob("$dir/v*"), "$dir/device";
    $self->{backend} = spawn("$dir/backend.log", map { s/(\{\w+\})/$place{$1}/gr } @command);
    await("$command[0]'s socket", TIMEOUT, sub { is_listening("$dir/device") });
    $self->{qmp}->run('chardev-add', {id => 'vsock', backend => {type => 'socket', data => {
        addr => {type => 'unix', data => {path => "$dir/device"}}, server => JSON::PP::false}}});
    $self->{qmp}->run('device_add', {driver => 'vhost-user-vsock-pci', id => 'vsock', chardev => 'vsock',
        bus => 'vsock-slot'});
    await('the device in the guest', TIMEOUT, sub {
        order($self->{guest}, 'cid - 0 0');
        return result_of($self->{guest})->{cid} == CID;
    });
}

sub detach {
    my ($self) = @_;
    return unless $self->{backend};
    $self->{qmp}->run('device_del', {id => 'vsock'}, 'DEVICE_DELETED');
    $self->{qmp}->run('chardev-remove', {id => 'vsock'});
    reap(delete $self->{backend});
}

# Run the commands "VERB {address} …" on both sides: first the side that listens.  A transport without
# {host} is the other end itself, and tells by {guest}{VERB} what it is to be.
# Returns their results and the CPU seconds of the back end and of QEMU.
sub together {
    my ($self, $transport, $host_command, $guest_command) = @_;
    my @pids = grep { $_ } $self->{backend}, $self->{qemu};
    my ($verb) = $guest_command =~ /^(\w+)/;
    my $guest_address = ref $transport->{guest} ? $transport->{guest}{$verb} : $transport->{guest};
    my $host_address = $transport->{host};
    if ($host_address) {
        $host_address =~ s/\{dir\}/$self->{directory}/;
        order($self->{host}, $host_command =~ s/\{address\}/$host_address/r);
        line_from($self->{host}, TIMEOUT) if $host_address =~ /-listen:/;
    }
    my @before = map { cpu_of($_) } @pids;
    order($self->{guest}, $guest_command =~ s/\{address\}/$guest_address/r);
    my $guest = result_of($self->{guest});
    my $host = $host_address ? result_of($self->{host}) : undef;
    my @cpu = map { cpu_of($pids[$_]) - $before[$_] } 0 .. $#pids;
    return {guest => $guest, host => $host, backend_cpu => @cpu > 1 ? $cpu[0] : undef,
        qemu_cpu => $cpu[-1]};
}

# Our own vsock device, as attach() and together() take it.
sub own_transport {
    my ($self) = @_;
    return {
        name => 'helixvm-vsock',
        host => 'unix-listen:{dir}/v_' . PORT,
        guest => 'vsock:' . PORT,
        backend => ["$self->{build}/helixvm-vsock", '--socket-path={device}', '--guest-cid={cid}',
            '--host-socket={host}'],
    };
}

# Writes of @size bytes for @seconds.  Returns {speed, MB/s; backend_cpu, of all its threads, and
# qemu_cpu, of the vCPUs too, s/GB}, or what the receiver said as {text} where the transfer hangs.
# Where the receiver is no program, the guest that sends says it.
sub transfer {
    my ($self, $transport, $direction, $size, $seconds) = @_;
    my $sending_for = !$transport->{host} ? $seconds
        : $transport->{stays} ? 1.2 * $seconds
        : $seconds + STALL;
    my $sending = "send {address} $size $sending_for";
    my $receiving = "receive {address} 0 $seconds";
    my $to_host = $direction eq DIRECTIONS->[0];
    my $both = $self->together($transport, $to_host ? ($receiving, $sending) : ($sending, $receiving));
    my $result = $both->{$to_host && $transport->{host} ? 'host' : 'guest'};
    return {text => $result->{text}} if $result->{status} ne 'done' || !$result->{bytes};
    my $gb = $result->{bytes} / 1e9;
    return {
        gb => $gb,
        speed => 1000 * $gb / ($result->{ns} / 1e9),
        backend_cpu => defined $both->{backend_cpu} ? $both->{backend_cpu} / $gb : undef,
        qemu_cpu => $both->{qemu_cpu} / $gb,
    };
}

# @connections at once that open, carry at least @bytes both ways together and close, of @type
# "stream" or "seqpacket"; the @opener, "guest" or "host", connects.  Returns what both sides say, as
# result_of() does: {guest, host}, and the back end's {backend_cpu}.  Takes at most @timeout s.
sub mixed {
    my ($self, $opener, $type, $connections, $bytes, $seed, $timeout) = @_;
    my $dir = "$self->{directory}";
    my $port = $type eq 'stream' ? PORT : PORT + 1;
    my ($from, $to, $at, $where) = $opener eq 'guest'
        ? ($self->{guest}, $self->{host}, "unix-listen:$dir/v_$port", "vsock:$port")
        : ($self->{host}, $self->{guest}, "vsock-listen:$port", "unix-vsock:$port:$dir/v");
    my $before = cpu_of($self->{backend});
    order($to, "mixed $type $at 0 0 0");
    my $told = line_from($to, TIMEOUT);
    die "$to->{name}: $told\n" if $told ne 'listening';
    order($from, "mixed $type $where $connections $bytes $seed");
    my @results = map { result_of($_, $timeout) } $from, $to;
    @results = reverse @results if $opener eq 'host';
    return {guest => $results[0], host => $results[1],
        backend_cpu => cpu_of($self->{backend}) - $before};
}

# CPU seconds of the back end in @seconds with @count connections open and quiet; undef where they
# cannot be opened.
sub idle_cpu {
    my ($self, $transport, $count, $seconds) = @_;
    my ($host, $guest) = map { $_ && s/\{dir\}/$self->{directory}/r } @$transport{qw(host guest)};
    my $held = $seconds + 2;
    order($self->{host}, "hold $host $count $held");
    line_from($self->{host}, TIMEOUT);
    order($self->{guest}, "hold $guest $count $held");
    my @told = map { line_from($_, TIMEOUT) } @$self{qw(guest host)};
    if (grep { $_ ne 'holding' } @told) {
        print STDERR "$transport->{name}: @told\n";
        $told[$_] eq 'holding' and result_of($self->{(qw(guest host))[$_]}) for 0, 1;
        return undef;
    }
    sleep 0.5;
    my $before = cpu_of($self->{backend});
    sleep $seconds;
    my $cpu = cpu_of($self->{backend}) - $before;
    result_of($_) for @$self{qw(guest host)};
    return $cpu;
}

# The back end's open descriptors.
sub descriptors {
    my ($self) = @_;
    return scalar(() = glob "/proc/$self->{backend}/fd/*");
}

# Waits until they are @count, and returns what they are.
sub descriptors_become {
    my ($self, $count) = @_;
    my $deadline = time + TIMEOUT;
    sleep 0.05 while $self->descriptors != $count && time < $deadline;
    return $self->descriptors;
}

# The most that it had in memory so far, in KiB.
sub backend_memory {
    my ($self) = @_;
    return slurp("/proc/$self->{backend}/status") =~ /^VmHWM:\s*(\d+) kB/m ? $1 : undef;
}

# What it has said so far.
sub backend_log {
    my ($self) = @_;
    return contents("$self->{directory}/backend.log");
}

sub stop {
    my ($self) = @_;
    reap($_) for grep { $_ } map { delete $self->{$_} } qw(qemu backend);
    reap(delete $self->{host}{pid}) if $self->{host}{pid};
}

sub DESTROY {
    my ($self) = @_;
    local ($., $@, $!, $^E, $?);
    $self->stop;
}

$SIG{INT} = $SIG{TERM} = sub { exit 130 };
END {
    my $status = $?;
    reap($_) for keys %running;
    $? = $status;
}

1;
