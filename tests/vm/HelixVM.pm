# SPDX-License-Identifier: GPL-2.0-or-later
# What the VM tests share: running helixvm, talking to a VM's sockets, and seeing what is left over.
package HelixVM;

use strict;
use warnings;
use Carp;
use Exporter 'import';
use Fcntl ();
use File::Temp ();
use FindBin;
use lib "$FindBin::Bin/..";
use Files;
use IO::Socket::UNIX;
use JSON::PP ();
use POSIX ();
use Test::More ();
use Time::HiRes qw(sleep time);

our @EXPORT = qw(helixvm helixvm_ok start_helixvm start_command finish json put slurp contents vm_name status_of
    down_and_delete powers_off leftovers wait_until runtime_path state_path connect_port pixel
    make_hollow_image qemu_pid own_libvirtd end_started);

my $build = $ENV{BUILD} // 'build';
my $runtime = $ENV{HELIXVM_RUNTIME_DIR} // '/run/helixvm';
my $state = $ENV{HELIXVM_STATE_DIR} // '/var/lib/helixvm';
my $main = $$;
my @vms;
# Process groups that were started and have not been waited for.
my %started;

# A VM of this test's own, which ends with the test.
sub vm_name {
    my ($suffix) = @_;
    my $name = "t$$-$suffix";
    push @vms, $name;
    return $name;
}

sub runtime_path { return "$runtime/$_[0]/$_[1]" }
sub state_path { return "$state/vms/$_[0]/$_[1]" }

sub json { return JSON::PP::decode_json($_[0]) }

# Start @command in a process group of its own, as a shell would: a handle for finish().
sub start_command {
    my @command = @_;
    my %self = map { $_ => File::Temp->new } qw(out err);
    $self{pid} = fork // croak "fork: $!";
    if ($self{pid} == 0) {
        setpgrp;
        open STDIN, '<', '/dev/null';
        open STDOUT, '>&', $self{out};
        open STDERR, '>&', $self{err};
        exec @command or POSIX::_exit(127);
    }
    setpgrp $self{pid}, $self{pid}; # also here: who is first does not matter
    $started{$self{pid}} = 1;
    return \%self;
}

sub start_helixvm {
    my @args = @_;
    return start_command("$build/helixvm", @args);
}

# Wait for it, at most $seconds: {status, out, err}.  One that takes longer is killed, with its
# group, status 124.
sub finish {
    my ($self, $seconds) = @_;
    my $end = time + ($seconds // 60);
    my $status;
    until (defined $status) {
        if (waitpid($self->{pid}, POSIX::WNOHANG) > 0) {
            $status = $? & 127 ? 128 + ($? & 127) : $? >> 8;
        } elsif (time > $end) {
            kill 'KILL', -$self->{pid};
            waitpid $self->{pid}, 0;
            $status = 124;
        } else {
            sleep 0.05;
        }
    }
    delete $started{$self->{pid}};
    return {
        status => $status,
        out => slurp($self->{out}->filename),
        err => slurp($self->{err}->filename),
    };
}

sub helixvm {
    my @args = @_;
    my $seconds = ref $args[0] ? shift(@args)->{seconds} : 60;
    return finish(start_helixvm(@args), $seconds);
}

# One that must succeed, or the test file ends.
sub helixvm_ok {
    my @args = @_;
    my $seconds = ref $args[0] ? $args[0]{seconds} : 300;
    shift @args if ref $args[0];
    my $result = helixvm({seconds => $seconds}, @args);
    main::is($result->{status}, 0, "helixvm @args") or do {
        main::diag($result->{out}, $result->{err});
        main::BAIL_OUT("cannot go on without `helixvm @args`") if $ENV{HELIXVM_BAIL_OUT};
        die "helixvm @args failed\n";
    };
    return $result;
}

sub status_of {
    my ($vm) = @_;
    my $result = helixvm('status', $vm, '--json');
    croak "helixvm status $vm: $result->{err}" if $result->{status};
    return json($result->{out});
}

sub wait_until {
    my ($seconds, $condition) = @_;
    my $end = time + $seconds;
    until ($condition->()) {
        return 0 if time > $end;
        sleep 0.1;
    }
    return 1;
}

# The process of the VM's QEMU, undef where there is none.
sub qemu_pid {
    my ($vm) = @_;
    my ($proc) = grep { contents($_) =~ /\bguest=helixvm-\Q$vm\E[,\0]/ }
        glob '/proc/[0-9]*/cmdline';
    return defined $proc && $proc =~ m{^/proc/(\d+)/} ? $1 : undef;
}

# Connect to where the VM's guest would come out for $port of the host's vsock.
sub connect_port {
    my ($vm, $port) = @_;
    return IO::Socket::UNIX->new(Peer => runtime_path($vm, "vsock.sock_$port"))
        // croak "port $port of $vm: $!";
}

# `down` of a guest that can power off, and does.
sub powers_off {
    my ($vm, $what) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $down = helixvm_ok({seconds => 120}, 'down', $vm);
    Test::More::like($down->{out}, qr/powered off/, $what)
        or Test::More::diag(map { ("$_:\n", contents(state_path($vm, $_))) } 'console.log', 'monitor.log');
}

sub down_and_delete {
    my ($vm) = @_;
    helixvm({seconds => 60}, 'down', '--force', $vm);
    helixvm({seconds => 60}, 'delete', '--yes', $vm);
}

# Sockets of X servers that are no more.
sub stale_x_sockets {
    return grep { !IO::Socket::UNIX->new(Peer => $_) } glob '/tmp/.X11-unix/X*';
}
my %had_stale = map { $_ => 1 } stale_x_sockets();

# What is there of VM $vm that should not be: lines of text.
sub leftovers {
    my ($vm) = @_;
    my @left;
    for my $proc (glob '/proc/[0-9]*') {
        my ($pid) = $proc =~ /(\d+)/;
        next if $pid == $$;
        my $command = contents("$proc/cmdline");
        $command =~ tr/\0/ /;
        push @left, "process $pid: " . substr $command, 0, 200
            if $command =~ m{guest=helixvm-\Q$vm\E\b|/\Q$vm\E/|monitor\b.* \Q$vm\E };
        # virgl_render_server names no VM, but has QEMU's environment: the module's path.
        push @left, "process $pid: " . substr $command, 0, 200
            if $command =~ /^\S*virgl_render_server/
            and contents("$proc/environ") =~ m{/\Q$vm\E/};
    }
    push @left, map { "X socket $_" } grep { !$had_stale{$_} } stale_x_sockets();
    push @left, grep { -e } "$runtime/$vm", "$state/locks/$vm", state_path($vm, 'run.json');
    my $mounts = slurp('/proc/self/mounts');
    push @left, "mount $1" while $mounts =~ m{^\S+ (\S*/\Q$vm\E\S*) }gm;
    return @left;
}

# An image below the state directory $directory, of files that hold nothing of use: enough to describe
# a VM, not to start one.  "default" for x86_64 with a kernel beside it, unless %option says another
# "name", "architecture" or "boot": "firmware" has no kernel beside it.
sub make_hollow_image {
    my ($directory, %option) = @_;
    my $path = "$directory/images/" . ($option{name} // 'default');
    system('mkdir', '-p', '-m', '0711', $directory) == 0 && system('mkdir', '-p', $path) == 0
        or croak "mkdir $path";
    my $firmware = ($option{boot} // '') eq 'firmware';
    my %content = (
        map({ $_ => "hollow\n" } 'disk.qcow2', $firmware ? () : qw(kernel initrd)),
        'image.json' => JSON::PP::encode_json({
            built_at => '2020-01-01T00:00:00Z',
            debian_version => '13',
            kernel_version => 'none',
            recipe => 'none',
            virtual_size => 2**30,
            architecture => $option{architecture} // 'x86_64',
            $firmware ? (boot => 'firmware') : (),
        }),
    );
    put("$path/$_", $content{$_}) for keys %content;
}

# The colour of a pixel of raw RGB24 data: [r, g, b].
sub pixel {
    my ($data, $width, $x, $y) = @_;
    return [unpack 'C3', substr $data, 3 * ($y * $width + $x), 3];
}

$SIG{INT} = $SIG{TERM} = $SIG{HUP} = sub { exit 130 };

# Where no init system starts libvirt's daemons, helixvm does; by themselves they end minutes later.
sub daemons {
    return grep { contents($_) =~ /^(libvirtd|virtlogd)$/ } glob '/proc/[0-9]*/comm';
}
my $had_daemons = daemons();

# The daemons that the tests' helixvm started.
sub end_daemons {
    return if $had_daemons;
    kill 'TERM', map { m{(\d+)} } daemons();
    wait_until(40, sub { !daemons() }) or warn "libvirt's daemons do not end\n";
}

# The libvirtd that the tests' helixvm started; undef where one was there before.
sub own_libvirtd {
    return undef if $had_daemons;
    my ($comm) = grep { slurp($_) =~ /^libvirtd/ } daemons();
    return defined $comm && $comm =~ m{^/proc/(\d+)/} ? $1 : undef;
}

# What still runs could make a VM anew: end it, and wait until it has cleaned up.
sub end_started {
    for my $pid (keys %started) {
        kill 'TERM', -$pid;
        wait_until(90, sub { waitpid($pid, POSIX::WNOHANG) != 0 }) or kill 'KILL', -$pid;
    }
    %started = ();
}

END {
    if ($$ == $main) {
        my $status = $?;
        $SIG{$_} = 'IGNORE' for qw(INT TERM HUP);
        end_started();
        down_and_delete($_) for @vms;
        end_daemons();
        $? = $status;
    }
}

1;
