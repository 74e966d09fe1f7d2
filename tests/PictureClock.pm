# SPDX-License-Identifier: GPL-2.0-or-later
# The clock that tests/bench/drawing draws in a guest: from the guest to a decoded picture, and from the
# guest's time to the host's.  All times are CLOCK_MONOTONIC's, in seconds.
package PictureClock;

use strict;
use warnings;
use Carp;
use Exporter 'import';
use Fcntl qw(O_NONBLOCK O_RDONLY);
use File::Temp ();
use Files;
use HelixVM;
use IO::Select;
use IO::Socket::UNIX;
use List::Util qw(max min);
use POSIX ();
use Time::HiRes qw(CLOCK_MONOTONIC clock_gettime sleep);

our @EXPORT = qw(now put_drawing connect_clock sample_clock guest_time watch_stream pictures_of
    read_clock);

# As tests/bench/drawing/drawing.h has them.
use constant {CLOCK_BITS => 40, CELLS => 48, CHECK_SEED => 0xa5, ROW_PART => 20};
use constant {
    PROGRAM => '/usr/local/bin/drawing',
    PORT => 7300,    # of the guest's, where it tells its clock
    WINDOW => 1,     # s: the quickest answer within is the one that counts,
    QUICK => 4,      # where it took at most so many times as long as the quickest of all
};

sub now { return clock_gettime(CLOCK_MONOTONIC) }

# --- the guest ----------------------------------------------------------------------------------------

# Put the program into the VM's guest, with a session $name that it fills, and let it tell its clock.
sub put_drawing {
    my ($vm, $name, $width, $height) = @_;
    my $build = $ENV{BUILD} // 'build';
    my $run = sub {
        my $result = helixvm({seconds => 120}, @_);
        croak "helixvm @_: $result->{err}" if $result->{status};
    };
    my $conf = File::Temp->new;
    put($conf->filename, "[session]\nwidth=$width\nheight=$height\ncommand=@{[PROGRAM]} clock\n");
    $run->('cp', "$build/bench/drawing", "$vm:@{[PROGRAM]}");
    $run->('cp', $conf->filename, "$vm:/etc/helixvm/sessions/$name.conf");
    $run->('exec', $vm, '--', 'sh', '-c',
        "chmod 644 /etc/helixvm/sessions/$name.conf && exec systemd-run -q @{[PROGRAM]} answer @{[PORT]}");
}

# --- the two clocks -----------------------------------------------------------------------------------

# A connection to what tells the guest's clock.
sub connect_clock {
    my ($vm) = @_;
    my $socket;
    wait_until(20, sub {
        $socket = IO::Socket::UNIX->new(Peer => runtime_path($vm, 'vsock.sock')) or return 0;
        syswrite $socket, "CONNECT @{[PORT]}\n";
        my $answer = '';
        sysread $socket, $answer, 1, length $answer or return 0 until $answer =~ /\n/;
        return $answer =~ /^OK /;
    }) or croak "$vm: the guest does not tell its clock";
    return $socket;
}

# Ask once: [the host's time before, and after, the guest's between them].
sub sample_clock {
    my ($socket) = @_;
    my ($before, $told) = (now(), '');
    syswrite $socket, '?';
    while (length $told < 8) {
        sysread $socket, $told, 8 - length $told, length $told or croak 'the guest\'s clock is gone';
    }
    return [$before, now(), unpack('Q<', $told) / 1e6];
}

# Of samples: a function from the guest's time to the host's, and how far off it may be.  Of each
# WINDOW the quickest sample counts, whose guest time is between the host's two, wherever; a window in
# which none was quick is left out.  Between those that count the clocks' difference goes straight.
sub guest_time {
    my (@samples) = @_;
    my %best;
    for my $sample (@samples) {
        my $best = \$best{int($sample->[0] / WINDOW)};
        $$best = $sample if !$$best || $sample->[1] - $sample->[0] < $$best->[1] - $$best->[0];
    }
    my @points = map { [$_->[2], ($_->[0] + $_->[1]) / 2 - $_->[2], ($_->[1] - $_->[0]) / 2] }
        map { $best{$_} } sort { $a <=> $b } keys %best;
    my $quick = QUICK * min(map { $_->[2] } @points);
    @points = grep { $_->[2] <= $quick } @points;
    my $to_host = sub {
        my ($guest) = @_;
        my $next = 0;
        $next++ while $next < @points && $points[$next][0] < $guest;
        my ($left, $right) = @points[$next ? $next - 1 : 0, $next < @points ? $next : -1];
        my $span = $right->[0] - $left->[0];
        my $part = $span ? ($guest - $left->[0]) / $span : 0;
        return $guest + $left->[1] + $part * ($right->[1] - $left->[1]);
    };
    return ($to_host, max(map { $_->[2] } @points));
}

# --- the picture --------------------------------------------------------------------------------------

# View $session for $seconds: {h264, arrivals => [[offset, when all before it was there]...], told, what
# `helixvm stream` says of it}.  $directory is for the pipe.
sub watch_stream {
    my ($vm, $session, $seconds, $directory) = @_;
    my $pipe = "$directory/$session-pipe.h264";
    POSIX::mkfifo($pipe, 0600) or croak "$pipe: $!" if !-e $pipe;
    sysopen my $in, $pipe, O_RDONLY | O_NONBLOCK or croak "$pipe: $!";
    my $viewer = start_helixvm('stream', $vm, '--session', $session, '--duration', $seconds,
        '--output', $pipe, '--quiet', '--json');
    my ($h264, @arrivals) = '';
    my $end = now() + $seconds + 90;
    while (now() < $end) {
        if (!IO::Select->new($in)->can_read(1)) {
            last if contents("/proc/$viewer->{pid}/stat") =~ /\) Z /; # it did not begin
            next;
        }
        my $size = sysread $in, $h264, 1 << 20, length $h264;
        last if defined $size && !$size;
        push @arrivals, [length $h264, now()] if $size;
    }
    my $result = finish($viewer, 30);
    croak "helixvm stream $vm: $result->{err}" if $result->{status};
    return {h264 => $h264, arrivals => \@arrivals, told => json($result->{out})};
}

# The offsets at which the pictures (access units) of an H.264 byte stream end.
sub picture_ends {
    my ($h264) = @_;
    my ($has_slice, @ends) = 0;
    while ($h264 =~ /\x00\x00\x01(..)/gs) {
        my ($at, $head, $slice) = ($-[0], unpack 'CC', $1);
        my $type = $head & 31;
        my $is_slice = $type >= 1 && $type <= 5;
        # A slice whose first macroblock is number 0, or what comes before slices.
        my $begins = $is_slice ? $slice & 0x80 : $type >= 6 && $type <= 9;
        if ($has_slice && $begins) {
            push @ends, substr($h264, $at - 1, 1) eq "\0" ? $at - 1 : $at;
            $has_slice = 0;
        }
        $has_slice ||= $is_slice;
    }
    return (@ends, $has_slice ? length $h264 : ());
}

# The guest's time, s, in the CELLS greys, a byte each, that the clock's row has; undef where none is to be
# read.
sub read_clock {
    my ($cells) = @_;
    my $bits = join '', map { $_ > 127 ? 1 : 0 } unpack 'C*', $cells;
    my ($clock, $check) = (substr($bits, 0, CLOCK_BITS), oct '0b' . substr $bits, CLOCK_BITS);
    $check ^= oct "0b$_" for unpack '(a8)*', $clock;
    return $check == CHECK_SEED ? oct("0b$clock") / 1e6 : undef;
}

# The guest's time in each picture of the file $path; undef where none is to be read.
sub read_clocks {
    my ($path) = @_;
    open my $in, '-|:raw', 'ffmpeg', '-v', 'error', '-f', 'h264', '-i', $path, '-fps_mode',
        'passthrough', '-vf', "crop=iw:ih/@{[ROW_PART]}:0:0,scale=@{[CELLS]}:1:flags=area,format=gray",
        '-f', 'rawvideo', '-' or croak "ffmpeg: $!";
    my @clocks;
    while (read $in, my $cells, CELLS) {
        push @clocks, read_clock($cells);
    }
    close $in or croak "ffmpeg cannot decode $path";
    return @clocks;
}

# The pictures of what watch_stream() saw, which is put into the file $path: {clock, the guest's time in
# it or undef; arrived, the host's when all of it was there; tail, its last bytes, at most $length}.
sub pictures_of {
    my ($seen, $path, $length) = @_;
    my @ends = picture_ends($seen->{h264});
    my @clocks = read_clocks(put($path, $seen->{h264}));
    croak @clocks . ' pictures are decoded of ' . @ends if @clocks != @ends;
    my ($read, @pictures) = 0;
    for my $n (0 .. $#ends) {
        my $begin = max($n ? $ends[$n - 1] : 0, $ends[$n] - ($length // 0));
        $read++ while $seen->{arrivals}[$read][0] < $ends[$n];
        push @pictures, {clock => $clocks[$n], arrived => $seen->{arrivals}[$read][1],
            tail => substr $seen->{h264}, $begin, $ends[$n] - $begin};
    }
    return @pictures;
}

1;
