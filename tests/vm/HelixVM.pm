# SPDX-License-Identifier: GPL-2.0-or-later
# What the VM tests share: running helixvm, talking to a VM's sockets, and seeing what is left over.
package HelixVM;

use strict;
use warnings;
use Carp;
use Exporter 'import';
use Fcntl ();
use File::Temp ();
use IO::Socket::UNIX;
use JSON::PP ();
use POSIX ();
use Time::HiRes qw(sleep time);

our @EXPORT = qw(helixvm helixvm_ok start_helixvm finish json slurp vm_name status_of
    down_and_delete leftovers wait_until runtime_path state_path connect_port pixel);

my $build = $ENV{BUILD} // 'build';
my $runtime = $ENV{HELIXVM_RUNTIME_DIR} // '/run/helixvm';
my $state = $ENV{HELIXVM_STATE_DIR} // '/var/lib/helixvm';
my $main = $$;
my @vms;

# A VM of this test's own, which ends with the test.
sub vm_name {
    my ($suffix) = @_;
    my $name = "t$$-$suffix";
    push @vms, $name;
    return $name;
}

sub runtime_path { return "$runtime/$_[0]/$_[1]" }
sub state_path { return "$state/vms/$_[0]/$_[1]" }

sub slurp {
    my ($path) = @_;
    open my $file, '<:raw', $path or croak "$path: $!";
    local $/;
    return scalar <$file>;
}

sub json { return JSON::PP::decode_json($_[0]) }

# Start helixvm with @args in a process group of its own, as a shell would: a handle for finish().
sub start_helixvm {
    my @args = @_;
    my %self = map { $_ => File::Temp->new } qw(out err);
    $self{pid} = fork // croak "fork: $!";
    if ($self{pid} == 0) {
        setpgrp;
        open STDIN, '<', '/dev/null';
        open STDOUT, '>&', $self{out};
        open STDERR, '>&', $self{err};
        exec "$build/helixvm", @args or POSIX::_exit(127);
    }
    return \%self;
}

# Wait for it, at most $seconds: {status, out, err}.  One that takes longer is killed, status 124.
sub finish {
    my ($self, $seconds) = @_;
    my $end = time + ($seconds // 60);
    my $status;
    until (defined $status) {
        if (waitpid($self->{pid}, POSIX::WNOHANG) > 0) {
            $status = $? & 127 ? 128 + ($? & 127) : $? >> 8;
        } elsif (time > $end) {
            kill 'KILL', $self->{pid};
            waitpid $self->{pid}, 0;
            $status = 124;
        } else {
            sleep 0.05;
        }
    }
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

# Connect to where the VM's guest would come out for $port of the host's vsock.
sub connect_port {
    my ($vm, $port) = @_;
    return IO::Socket::UNIX->new(Peer => runtime_path($vm, "vsock.sock_$port"))
        // croak "port $port of $vm: $!";
}

sub down_and_delete {
    my ($vm) = @_;
    helixvm({seconds => 60}, 'down', '--force', $vm);
    helixvm({seconds => 60}, 'delete', '--yes', $vm);
}

# What is there of VM $vm that should not be: lines of text.
sub leftovers {
    my ($vm) = @_;
    my @left;
    for my $proc (glob '/proc/[0-9]*') {
        my ($pid) = $proc =~ /(\d+)/;
        next if $pid == $$;
        my $command = eval { slurp("$proc/cmdline") } // '';
        $command =~ tr/\0/ /;
        push @left, "process $pid: " . substr $command, 0, 200
            if $command =~ m{guest=helixvm-\Q$vm\E\b|/\Q$vm\E/|monitor\b.* \Q$vm\E };
    }
    push @left, "$runtime/$vm" if -e "$runtime/$vm";
    my $mounts = slurp('/proc/self/mounts');
    push @left, "mount $1" while $mounts =~ m{^\S+ (\S*/\Q$vm\E\S*) }gm;
    return @left;
}

# The colour of a pixel of raw RGB24 data: [r, g, b].
sub pixel {
    my ($data, $width, $x, $y) = @_;
    return [unpack 'C3', substr $data, 3 * ($y * $width + $x), 3];
}

$SIG{INT} = $SIG{TERM} = $SIG{HUP} = sub { exit 130 };

# Where no init system starts libvirt's daemons, helixvm does, and they end when they are idle.
sub daemons {
    return grep { (eval { slurp($_) } // '') =~ /^(libvirtd|virtlogd)$/ } glob '/proc/[0-9]*/comm';
}
my $had_daemons = daemons();

END {
    if ($$ == $main) {
        my $status = $?;
        down_and_delete($_) for grep { -e "$state/vms/$_" } @vms;
        wait_until(20, sub { !daemons() }) unless $had_daemons;
        $? = $status;
    }
}

1;
