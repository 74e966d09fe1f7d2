# SPDX-License-Identifier: GPL-2.0-or-later
# A guest in plain QEMU with helixvm's vsock device and a listener for its READY=1, without libvirt
# and the launcher: for the image's own tests and for benchmarks' peers.
package PlainQemu;

use strict;
use warnings;
use Carp;
use Cwd qw(abs_path);
use File::Basename;
use File::Temp ();
use lib dirname(abs_path(__FILE__)) . '/..';
use EmulatorFault;
use Files;
use IO::Select;
use IO::Socket::UNIX;
use POSIX ();
use Time::HiRes qw(time);

use constant READY_PORT => 9999;

my %running;    # every process that this one started

sub spawn {
    my ($log, @command) = @_;
    defined(my $pid = fork) or croak "fork: $!";
    if ($pid == 0) {
        open STDIN,  '<',  '/dev/null';
        open STDOUT, '>>', $log;
        open STDERR, '>&', \*STDOUT;
        exec @command or POSIX::_exit(127);
    }
    $running{$pid} = $command[0];
    return $pid;
}

sub reap {
    my ($pid) = @_;
    kill 'KILL', $pid;
    waitpid $pid, 0;
    delete $running{$pid};
}

# new(image => {disk, kernel, initrd}, build => DIR, append => TEXT, credentials => {NAME => VALUE},
#     binary_credentials => {NAME => BASE64}, memory => MIB, args => [...]) starts the guest.
# new(command => sub { ($directory) -> @command }, port => PORT, build => DIR) starts this command in
# place of QEMU's, which is made for each start: the device is at $directory/device, and READY is
# awaited at vsock port PORT.
sub new {
    my ($class, %option) = @_;
    my $self = bless {
        directory => File::Temp->newdir('helixvm-qemu-XXXXXX', TMPDIR => 1),
        lines     => [],
        %option,
    }, $class;
    my $dir = "$self->{directory}";
    $self->{console} = "$dir/console.log";
    $self->{vsock}   = "$dir/v";
    $self->{listener} = IO::Socket::UNIX->new(
        Local  => "$dir/v_" . ($option{port} // READY_PORT),
        Listen => 64,
    ) or croak "listen: $!";

    $self->start;
    return $self;
}

# The device and QEMU.
sub start {
    my ($self) = @_;
    $self->start_device;
    my $dir  = "$self->{directory}";
    my $made = $self->{command};
    my @command = $made ? $made->($dir) : $self->command_line;
    $self->{lines}     = [];
    $self->{log_begin} = -s "$dir/qemu.log" // 0;
    $self->{started}   = time;
    $self->{qemu}      = spawn("$dir/qemu.log", @command);
}

sub start_device {
    my ($self) = @_;
    my $dir   = "$self->{directory}";
    my $build = $self->{build} // $ENV{BUILD} // 'build';
    my ($is_ready, $ready);
    {
        local $^F = 1000;    # the device inherits the pipe
        pipe $is_ready, $ready or croak "pipe: $!";
    }
    $self->{device} = spawn(
        "$dir/vsock.log", "$build/helixvm-vsock", "--socket-path=$dir/device", '--guest-cid=3',
        "--host-socket=$dir/v", '--ready-fd=' . fileno $ready
    );
    close $ready;
    my $told = <$is_ready>;
    croak 'helixvm-vsock did not start' unless defined $told && $told =~ /READY=1/;
    close $is_ready;
}

sub command_line {
    my ($self) = @_;
    my $dir    = "$self->{directory}";
    my $memory = $self->{memory} // 2048;
    my $binary = $self->{binary_credentials} // {};
    my %credentials = (
        'vmm.notify_socket' => 'vsock-stream:2:' . READY_PORT,
        %{ $self->{credentials} // {} }
    );
    return (
        'qemu-system-x86_64', '-nodefaults', '-no-user-config', '-no-reboot',
        '-display', 'none', '-machine', 'q35,memory-backend=ram', '-accel', 'tcg,thread=multi',
        '-cpu', 'max', '-smp', 2, '-m', $memory,
        '-object', "memory-backend-memfd,id=ram,size=${memory}M,share=on",
        '-kernel', $self->{image}{kernel}, '-initrd', $self->{image}{initrd},
        '-append', "root=/dev/vda rw console=ttyS0 no_timer_check panic=-1 " . ($self->{append} // ''),
        '-drive', "file=$self->{image}{disk},if=virtio,format=qcow2,snapshot=on",
        '-chardev', "file,id=console,path=$dir/console.log", '-serial', 'chardev:console',
        '-chardev', "socket,id=vsock,path=$dir/device",
        '-device', 'vhost-user-vsock-pci,chardev=vsock',
        '-netdev', 'user,id=net,restrict=on', '-device', 'virtio-net-pci,netdev=net',
        '-device', 'virtio-rng-pci', '-device', 'virtio-vga',
        (map { ('-smbios', "type=11,value=io.systemd.credential:$_=$credentials{$_}") }
            sort keys %credentials),
        (map { ('-smbios', "type=11,value=io.systemd.credential.binary:$_=$binary->{$_}") }
            sort keys %$binary),
        @{ $self->{args} // [] },
    );
}

# Seconds from QEMU's start to the guest's READY=1; undef where it ends first or @timeout s pass.
# Each message of the guest's is kept in {lines} as [seconds, text].  Where QEMU ends by its own fault
# it has been started again, and the seconds and the timeout are those of the last start.
sub wait_ready {
    my ($self, $timeout) = @_;
    return boot_again(
        sub {
            if (!$self->{qemu}) {
                reap(delete $self->{device});
                unlink map { "$self->{directory}/$_" } qw(device v console.log export.sock);
                $self->start;
            }
            return $self->await_ready($timeout);
        },
        sub {
            my $log = contents("$self->{directory}/qemu.log");
            return $self->{qemu} ? () : ($self->{status}, substr $log, $self->{log_begin});
        }
    );
}

sub await_ready {
    my ($self, $timeout) = @_;
    my $deadline = $self->{started} + $timeout;
    my $select   = IO::Select->new($self->{listener});
    my %text;
    while ((my $left = $deadline - time) > 0) {
        my @readable = $select->can_read($left < 1 ? $left : 1);
        for my $socket (@readable) {
            if ($socket == $self->{listener}) {
                my $client = $socket->accept or next;
                $select->add($client);
                $text{$client} = '';
                next;
            }
            my $size = sysread $socket, $text{$socket}, 4096, length $text{$socket};
            next if $size;
            # The guest waits for this end of the connection before it goes on.
            $select->remove($socket);
            close $socket;
            my $message = delete $text{$socket};
            my $at      = time - $self->{started};
            push @{ $self->{lines} }, map { [$at, $_] } split /\n/, $message;
            if ($message =~ /^READY=1$/m) {
                # PID 1 tells more later on, and would wait for an answer for ever: from now on it
                # is refused.
                unlink delete($self->{listener})->hostpath;
                return $at;
            }
        }
        if (waitpid($self->{qemu}, POSIX::WNOHANG()) != 0) {
            $self->{status} = $?;
            delete $running{ delete $self->{qemu} };
            return undef;
        }
    }
    return undef;
}

# Seconds of CPU time that QEMU has used: where other things run besides, they tell more than wall
# clock time.
sub cpu_seconds {
    my ($self) = @_;
    open my $file, '<', "/proc/$self->{qemu}/stat" or return undef;
    my @fields = split ' ', (<$file> =~ s/.*\) //r);
    return ($fields[11] + $fields[12]) / POSIX::sysconf(POSIX::_SC_CLK_TCK());
}

# Runs a command in the guest as root, over SSH over vsock, with the private key $self->{identity}.
# Returns its exit status and what it wrote to stdout.
sub ssh {
    my ($self, @command) = @_;
    my $here = __FILE__;
    my $pid  = open my $out, '-|', 'ssh', '-q', '-F', 'none', '-i', $self->{identity},
        '-o', "ProxyCommand=perl $here $self->{vsock} 22", '-o', 'BatchMode=yes',
        '-o', 'StrictHostKeyChecking=no', '-o', "UserKnownHostsFile=$self->{directory}/known_hosts",
        '-o', 'ConnectTimeout=60', 'root@guest', @command;
    croak "ssh: $!" unless $pid;
    local $/;
    my $text = <$out> // '';
    close $out;
    return ($? >> 8, $text);
}

# What ProxyCommand runs: joins standard input and output to a port in the guest.
sub proxy {
    my ($path, $port) = @_;
    my $guest = IO::Socket::UNIX->new(Peer => $path) or die "$path: $!\n";
    syswrite $guest, "CONNECT $port\n";
    my $answer = '';
    while ($answer !~ /\n/) {
        sysread $guest, $answer, 1, length $answer or die "nobody listens on port $port\n";
    }
    die "unexpected answer\n" unless $answer =~ /^OK /;
    my $select = IO::Select->new($guest, \*STDIN);
    for (;;) {
        for my $from ($select->can_read) {
            my $to = $from == $guest ? \*STDOUT : $guest;
            my $size = sysread $from, my $data, 65536;
            if (!$size) {
                return if $from == $guest;
                $select->remove($from);
                shutdown $guest, 1;
            }
            while ($size && length $data) {
                my $written = syswrite $to, $data or return;
                substr $data, 0, $written, '';
            }
        }
    }
}

sub console {
    my ($self) = @_;
    return contents($self->{console});
}

sub stop {
    my ($self) = @_;
    reap(delete $self->{qemu})   if $self->{qemu};
    reap(delete $self->{device}) if $self->{device};
    delete $self->{listener};
}

sub DESTROY {
    my ($self) = @_;
    local ($., $@, $!, $^E, $?);
    $self->stop;
}

# Interrupted, a test takes what it started with it.
$SIG{INT} = $SIG{TERM} = sub { exit 130 } if caller;
END {
    my $status = $?;
    reap($_) for keys %running;
    $? = $status;
}

proxy(@ARGV) unless caller;

1;
