# SPDX-License-Identifier: GPL-2.0-or-later
# One thread of a process that is stopped for most of the time, by ptrace(2): what it serves is late,
# and all else goes on.
package SlowThread;

use strict;
use warnings;
use Carp;
use POSIX ();
use Time::HiRes 'sleep';

# linux/ptrace.h, and wait(2)'s.
use constant {CONT => 7, SEIZE => 0x4206, INTERRUPT => 0x4207, WALL => 0x40000000};
use constant SYS_PTRACE => {x86_64 => 101, aarch64 => 117}->{(POSIX::uname())[4]};

sub ptrace {
    my ($request, $thread) = @_;
    return syscall(SYS_PTRACE, $request, $thread + 0, 0, 0) != -1;
}

# The thread of process $pid that is called $name: its id.
sub find {
    my ($class, $pid, $name) = @_;
    for my $path (glob "/proc/$pid/task/*/comm") {
        open my $file, '<', $path or next;
        chomp(my $comm = <$file>);
        return $path =~ m{task/(\d+)} if $comm eq $name;
    }
    croak "process $pid has no thread $name";
}

# Stop $thread for $stopped seconds, let it run for $running, and so on until the object goes.
sub new {
    my ($class, $thread, $stopped, $running) = @_;
    pipe my $begun, my $begins or croak "pipe: $!";
    my $pid = fork // croak "fork: $!";
    if ($pid == 0) {
        ptrace(SEIZE, $thread) or POSIX::_exit(1);
        POSIX::write(fileno $begins, '.', 1);
        while (ptrace(INTERRUPT, $thread) && waitpid($thread, WALL) == $thread) {
            sleep $stopped;
            ptrace(CONT, $thread) or last;
            sleep $running;
        }
        POSIX::_exit(0);
    }
    close $begins;
    my $self = bless {pid => $pid, owner => $$}, $class;
    sysread $begun, my $byte, 1 or croak "ptrace of thread $thread is not allowed";
    return $self;
}

# The kernel lets a thread run whose tracer has gone.
sub DESTROY {
    my ($self) = @_;
    return if $self->{owner} != $$;
    local $?;
    kill 'KILL', $self->{pid};
    waitpid $self->{pid}, 0;
}

1;
