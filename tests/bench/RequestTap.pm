# SPDX-License-Identifier: GPL-2.0-or-later
# When the guest's requests come to the frame-export service of a running VM, and its answers go: a relay
# in a process of its own takes the place of the service's socket, and passes on what comes.
package RequestTap;

use strict;
use warnings;
use File::Temp ();
use Files;
use IO::Select;
use IO::Socket::UNIX;
use POSIX ();
use PictureClock;

# HXFR (encoder/protocol.h).
use constant {
    HEADER_SIZE => 12,
    FRAME_REQUEST => 1,
    FRAME_RESPONSE => 2,
    RESPONSE_SIZE => 36,    # of a FRAME_RESPONSE without a picture
    TAIL => 24,             # bytes at a picture's end, by which it is known again
};

# Take the place of the socket $path, until end().  Clients that are connected stay so, untapped.
sub begin {
    my ($class, $path) = @_;
    my $self = bless {path => $path, behind => "$path.tapped", log => File::Temp->new}, $class;
    my ($mode, $user, $group) = (stat $path)[2, 4, 5];
    rename $path, $self->{behind} or die "$path: $!\n";
    my $listening = IO::Socket::UNIX->new(Local => $path, Listen => 8) or die "$path: $!\n";
    chmod $mode & 07777, $path;
    chown $user, $group, $path;
    $self->{pid} = fork // die "fork: $!\n";
    if ($self->{pid} == 0) {
        eval { $self->relay($listening) };
        print STDERR "the tap of $path: $@" if $@;
        POSIX::_exit(1);
    }
    return $self;
}

# Give the socket back, and return what went: {asked, answered, tail} of each picture, in order.
sub end {
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;
    kill 'TERM', $pid;
    waitpid $pid, 0;
    rename $self->{behind}, $self->{path};
    my (@pictures, @asked);
    for my $line (split /\n/, slurp($self->{log}->filename)) {
        my ($what, $time, $tail) = split / /, $line;
        push @asked, $time if $what eq 'request';
        next if $what ne 'response';
        my $asked = shift @asked;
        push @pictures, {asked => $asked, answered => $time, tail => pack 'H*', $tail} if $tail;
    }
    return @pictures;
}

sub DESTROY {
    my ($self) = @_;
    local ($., $@, $!, $^E, $?);
    $self->end;
}

# --- in the relay's process ---------------------------------------------------------------------------

sub relay {
    my ($self, $listening) = @_;
    open my $log, '>', $self->{log}->filename or die "$!\n";
    $SIG{TERM} = sub { close $log; POSIX::_exit(0) };
    my $select = IO::Select->new($listening);
    my %to;    # by the socket that it comes from: {socket, text: what of a message has come}
    for (;;) {
        for my $from ($select->can_read) {
            if ($from == $listening) {
                my $client = $listening->accept or next;
                my $service = IO::Socket::UNIX->new(Peer => $self->{behind}) or die "$!\n";
                $to{$client} = {socket => $service, text => ''};
                $to{$service} = {socket => $client, text => ''};
                $select->add($client, $service);
                next;
            }
            my $way = $to{$from} or next;
            if (!sysread $from, my $data, 1 << 18) {
                $select->remove($from, $way->{socket});
                delete @to{$from, $way->{socket}};
                shutdown $_, 2 for $from, $way->{socket};
            } else {
                pass_on($way->{socket}, $data);
                $way->{text} .= $data;
                note_messages($log, \$way->{text}, now());
            }
        }
    }
}

sub pass_on {
    my ($to, $data) = @_;
    while (length $data) {
        my $size = syswrite $to, $data or return;
        substr $data, 0, $size, '';
    }
}

# Take whole messages off $$text, which came until $time.
sub note_messages {
    my ($log, $text, $time) = @_;
    while (length $$text >= HEADER_SIZE) {
        my ($type, $size) = unpack 'x4 C x3 V', $$text;
        return if length $$text < HEADER_SIZE + $size;
        my $message = substr $$text, 0, HEADER_SIZE + $size, '';
        printf $log "request %.6f\n", $time if $type == FRAME_REQUEST;
        printf $log "response %.6f %s\n", $time,
            length $message > RESPONSE_SIZE ? unpack('H*', substr $message, -TAIL) : ''
            if $type == FRAME_RESPONSE;
    }
}

1;
