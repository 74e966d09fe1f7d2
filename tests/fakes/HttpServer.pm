# SPDX-License-Identifier: GPL-2.0-or-later
# An HTTP server on 127.0.0.1 that does what it is told, well or badly, and says what it was asked.
package HttpServer;
use strict;
use warnings;
use Fcntl qw(:flock SEEK_SET);
use IO::Socket::INET;
use POSIX ();

# Starts to serve.  %$paths: path => sub ($server, $client, $request), which answers by reply() or by
# print; $request has path, n (how many times the path was asked for, from 1), and the headers by their
# names in small letters.  $log: a file that is written.
sub new {
    my ($class, $paths, $log) = @_;
    my $socket = IO::Socket::INET->new(Listen => 20, LocalAddr => '127.0.0.1', ReuseAddr => 1)
        or die "listen: $!";
    my $self = bless { paths => $paths, log => $log, port => $socket->sockport }, $class;
    open my $empty, '>', $log or die "$log: $!";
    close $empty;
    my $parent = $$;
    $self->{pid} = fork // die "fork: $!";
    if ($self->{pid} == 0) {
        $SIG{CHLD} = 'IGNORE';
        $SIG{TERM} = 'DEFAULT';
        while (getppid == $parent) {
            my $client = $socket->accept or next;
            my $child = fork // die "fork: $!";
            if ($child == 0) {
                close $socket;
                eval { $self->answer($client); 1 } or print STDERR "server: $@";
                close $client;
                POSIX::_exit(0);
            }
            close $client;
        }
        POSIX::_exit(0);
    }
    return $self;
}

sub stop {
    my ($self) = @_;
    return unless $self->{pid};
    kill 'TERM', $self->{pid};
    waitpid delete $self->{pid}, 0;
}

sub url { return "http://127.0.0.1:$_[0]{port}$_[1]" }

# The requests for @$path so far: one "Range, If-Range" each.
sub requests {
    my ($self, $path) = @_;
    open my $log, '<', $self->{log} or die "$self->{log}: $!";
    return map { /^\Q$path\E (.*)$/ ? $1 : () } <$log>;
}

sub answer {
    my ($self, $client) = @_;
    local $SIG{ALRM} = sub { POSIX::_exit(0) };
    local $SIG{PIPE} = sub { POSIX::_exit(0) };
    alarm 60;
    my $first = <$client> // return;
    my ($path) = $first =~ m{^GET (\S+) HTTP/1} or die "not understood: $first";
    my %request = (path => $path);
    while (defined(my $line = <$client>)) {
        $line =~ s/\r?\n$//;
        last if $line eq '';
        $request{lc $1} = $2 if $line =~ /^([^:]+):\s*(.*)/;
    }
    $path =~ s/\?.*//;
    open my $log, '+>>', $self->{log} or die "$self->{log}: $!";
    flock $log, LOCK_EX;
    seek $log, 0, SEEK_SET;
    $request{n} = 1 + grep { /^\Q$path\E / } <$log>;
    printf $log "%s %s, %s\n", $path, $request{range} // '-', $request{'if-range'} // '-';
    close $log;
    my $handler = $self->{paths}{$path} // sub { $_[0]->status($_[1], '404 Not Found') };
    $handler->($self, $client, \%request);
}

sub status {
    my ($self, $client, $status, @headers) = @_;
    print $client join("\r\n", "HTTP/1.1 $status", 'Content-Length: 5', 'Connection: close', @headers, '', "what?");
}

# Answers with $bytes.  etag, last_modified: told, and compared with If-Range.  no_range: Range is not
# heeded.  length: told instead of the true one.  cut: so many bytes, then it hangs up.  pause_at: after
# so many it goes silent.  no_length: the end is the end of the connection.
sub reply {
    my ($self, $client, $request, $bytes, %how) = @_;
    my $total = length $bytes;
    my @headers = ('Connection: close', 'Content-Type: application/octet-stream');
    push @headers, "ETag: $how{etag}" if $how{etag};
    push @headers, "Last-Modified: $how{last_modified}" if $how{last_modified};
    my $status = '200 OK';
    my ($from) = ($request->{range} // '') =~ /^bytes=(\d+)-$/;
    my $if = $request->{'if-range'};
    undef $from if $how{no_range} or (defined $if and $if ne ($how{etag} // $how{last_modified} // ''));
    if (defined $from && $from >= $total) {
        return $self->status($client, '416 Range Not Satisfiable', "Content-Range: bytes */$total");
    }
    if (defined $from) {
        $status = '206 Partial Content';
        push @headers, sprintf 'Content-Range: bytes %d-%d/%d', $from + ($how{shift} // 0), $total - 1, $total;
        $bytes = substr $bytes, $from;
    }
    push @headers, 'Content-Length: ' . ($how{length} // length $bytes) unless $how{no_length};
    print $client join("\r\n", "HTTP/1.1 $status", @headers, '', '');
    $client->flush;
    $bytes = substr $bytes, 0, $how{cut} if defined $how{cut};
    if (defined $how{pause_at}) {
        print $client substr $bytes, 0, $how{pause_at};
        $client->flush;
        sleep 30;    # longer than anybody waits
        return;
    }
    print $client $bytes;
    $client->flush;
}

1;
