# SPDX-License-Identifier: GPL-2.0-or-later
# The very QEMU that a VM has under `helixvm up`, without libvirt and the launcher: with a disk, an X
# server, a vsock device and an encoder module of its own.
package PlainDomain;

use strict;
use warnings;
use Cwd qw(abs_path);
use Files;
use HelixVM;
use PlainQemu;
use POSIX ();

use constant NOTIFY_PORT => 5009; # HX_NOTIFY_PORT of launcher/domain/vm-domain.h

# of($vm, $image) takes the command line of a VM that runs; $image is where its base image is.
sub of {
    my ($class, $vm, $image) = @_;
    my $pid = qemu_pid($vm) // die "no QEMU of $vm\n";
    my $environment = slurp("/proc/$pid/environ");
    return bless {
        vm => $vm,
        disk => "$image/disk.qcow2",
        has_module => scalar($environment =~ /(^|\0)LD_PRELOAD=/),
        command => [without_libvirt(split /\0/, slurp("/proc/$pid/cmdline"))],
    }, $class;
}

# QEMU's command line without what ties it to libvirt.
sub without_libvirt {
    my (@given) = @_;
    my @kept = shift @given;
    while (@given) {
        my $option = shift @given;
        next if $option eq '-S';
        if ($option eq '-no-shutdown' || !@given || $given[0] =~ /^-/) {
            push @kept, $option if $option ne '-no-shutdown';
            next;
        }
        my $value = shift @given;
        next if $option =~ /^-(add-fd|mon)$/ || $value =~ /charmonitor|masterKey0/;
        push @kept, $option, $value;
    }
    return @kept;
}

# An X server: {pid, number}.
sub start_display {
    local $^F = 1000; # it inherits the pipe
    pipe my $read, my $write or die "pipe: $!\n";
    my $pid = fork // die "fork: $!\n";
    if ($pid == 0) {
        open STDERR, '>', '/dev/null';
        exec 'Xvfb', '-displayfd', fileno $write, '-screen', '0', '1280x1024x24', '-nolisten',
            'tcp', '-noreset', '+extension', 'GLX' or POSIX::_exit(127);
    }
    close $write;
    chomp(my $number = <$read> // die "Xvfb did not start\n");
    return {pid => $pid, number => $number};
}

# start($build, module => PATH, preload => [...], environment => {...}, arguments => [...]) starts it;
# the guest is a PlainQemu, whose module listens at {directory}/export.sock.  The options are for another
# module than $build's, for libraries that come before it, for more of the environment, and for more
# arguments of QEMU's, where {dir} is that directory.
sub start {
    my ($self, $build, %option) = @_;
    my $vm = $self->{vm};
    my $module = abs_path($option{module} // "$build/libhelixvm-export.so");
    my @preload = $self->{has_module} ? (@{$option{preload} // []}, $module) : ();
    my %environment = %{$option{environment} // {}};
    $self->{display} = start_display();
    $self->{guest} = PlainQemu->new(build => $build, port => NOTIFY_PORT, command => sub {
        my ($dir) = @_;
        system('qemu-img', 'create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', $self->{disk},
            "$dir/disk.qcow2", '20G') == 0 or die "qemu-img failed\n";
        my @command = map {
            s{\Q@{[state_path($vm, 'disk.qcow2')]}\E}{$dir/disk.qcow2}r
                =~ s{\Q@{[runtime_path($vm, 'vsock-device.sock')]}\E}{$dir/device}r
                =~ s{/dev/fdset/\d+,append=on}{$dir/console.log}r
                =~ s/\{dir\}/$dir/r
        } @{$self->{command}}, @{$option{arguments} // []};
        return ('env', "DISPLAY=:$self->{display}{number}", (map { "$_=$environment{$_}" } keys %environment),
            (@preload ? 'LD_PRELOAD=' . join ':', @preload : ()),
            "HELIXVM_EXPORT_SOCKET=$dir/export.sock", @command);
    });
    return $self->{guest};
}

sub stop {
    my ($self) = @_;
    my $guest = delete $self->{guest};
    $guest->stop if $guest;
    my $display = delete $self->{display} or return;
    kill 'TERM', $display->{pid};
    waitpid $display->{pid}, 0;
}

sub DESTROY {
    my ($self) = @_;
    local ($., $@, $!, $^E, $?);
    $self->stop;
}

1;
