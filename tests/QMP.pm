# SPDX-License-Identifier: GPL-2.0-or-later
# QEMU's monitor, by the QEMU Machine Protocol.
package QMP;

use strict;
use warnings;
use Errno;
use JSON::PP;
use Socket;

use constant TIMEOUT => 30; # s, of each answer

# new(SOCKET), which is connected to QEMU and has not been read from.
sub new {
    my ($class, $socket) = @_;
    setsockopt $socket, SOL_SOCKET, SO_RCVTIMEO, pack('l!l!', TIMEOUT, 0) or die "SO_RCVTIMEO: $!\n";
    my $self = bless {socket => $socket}, $class;
    $self->run('qmp_capabilities');
    return $self;
}

# What QEMU returns for @command; dies where that fails.  With @event it has also come, for the device
# that is the command's @arguments' id.
sub run {
    my ($self, $command, $arguments, $event) = @_;
    local $SIG{PIPE} = 'IGNORE'; # of a QEMU that is gone: the answer tells
    syswrite $self->{socket},
        encode_json({execute => $command, ($arguments ? (arguments => $arguments) : ())}) . "\n";
    my ($answer, $seen) = (undef, !$event);
    until ($answer && $seen) {
        $! = 0; # an end of file leaves it as it is
        my $line = readline $self->{socket};
        die "QEMU: $command: ", $!{EAGAIN} ? "no answer within @{[TIMEOUT]} s\n" : "it is gone\n"
            if !defined $line;
        my $message = decode_json($line);
        die "QEMU: $command: $message->{error}{desc}\n" if $message->{error};
        $answer = $message if exists $message->{return};
        $seen = 1 if $event && ($message->{event} // '') eq $event
            && ($message->{data}{device} // '') eq ($arguments->{id} // '');
    }
    return $answer->{return};
}

1;
