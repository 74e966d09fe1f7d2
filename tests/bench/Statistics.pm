# SPDX-License-Identifier: GPL-2.0-or-later
# What benchmarks measured, as rows: ours against a peer's, with the bounds that ours has to keep.
package Statistics;

use strict;
use warnings;
use Carp;
use Exporter 'import';
use File::Basename;
use File::Path qw(make_path);
use JSON::PP ();
use List::Util qw(max min);

my @BOUNDS = qw(ours_at_most ours_at_least ratio_at_most ratio_at_least);

our @EXPORT = qw(median summary row print_rows write_rows is_over);

# The median of @_; undef of nothing.
sub median {
    my @sorted = sort { $a <=> $b } @_;
    return @sorted ? ($sorted[$#sorted / 2] + $sorted[@sorted / 2]) / 2 : undef;
}

sub rounded { return 0 + sprintf '%.4g', $_[0] }

# {median, min, max} of @_, which holds something.
sub summary {
    return {median => rounded(median(@_)), min => rounded(min(@_)), max => rounded(max(@_))};
}

# A row: name, unit, ours => [...]; and where there is a peer, peer => [...], measured in turn with
# ours, and peer_name.  Bounds: ours_at_most and ours_at_least for our median, ratio_at_most and
# ratio_at_least for the ratio, which is the median of each of ours divided by the peer's beside it.
sub row {
    my (%given) = @_;
    my ($ours, $peer) = @given{qw(ours peer)};
    croak "$given{name}: nothing was measured" if !@$ours;
    croak "$given{name}: not in pairs" if $peer && @$peer != @$ours;
    my %row = (
        (map { $_ => $given{$_} } qw(name unit peer_name), @BOUNDS),
        ours => summary(@$ours),
        peer => $peer ? summary(@$peer) : undef,
        runs => scalar @$ours,
    );
    my $ratios = $peer ? summary(map { $ours->[$_] / $peer->[$_] } 0 .. $#$ours) : undef;
    $row{ratio} = $ratios ? $ratios->{median} : undef;
    $row{ratio_spread} = $ratios;
    $row{ratio_of_medians} = $peer ? rounded(median(@$ours) / median(@$peer)) : undef;
    $row{over} = is_over(\%row) ? JSON::PP::true : JSON::PP::false;
    return \%row;
}

# Whether @$row passes a bound of its own.
sub is_over {
    my ($row) = @_;
    for my $bound (grep { defined $row->{$_} } @BOUNDS) {
        my $figure = $bound =~ /^ours/ ? $row->{ours}{median} : $row->{ratio};
        return 1 if $bound =~ /most$/ ? $figure > $row->{$bound} : $figure < $row->{$bound};
    }
    return '';
}

sub spread { return $_[0] ? sprintf '%.4g (%.4g, %.4g)', @{$_[0]}{qw(median min max)} : '-' }

# What is said of a row's bounds: nothing where it has none.
sub verdict {
    my ($row) = @_;
    my @bounds;
    for my $bound (grep { defined $row->{$_} } @BOUNDS) {
        my ($of, $way) = $bound =~ /^(ours|ratio)_at_(most|least)$/;
        push @bounds, join ' ', grep { length } $of eq 'ratio' ? $of : (), "at $way",
            $row->{$bound}, $of eq 'ours' ? $row->{unit} : ();
    }
    return @bounds ? (is_over($row) ? 'OVER: ' : 'ok: ') . join(', ', @bounds) : '';
}

# The rows as a table, ours under the heading $ours and the peers' under $peer.
sub print_rows {
    my ($ours, $peer, @rows) = @_;
    printf "\n%-24s %-5s %26s %26s %22s  %s\n", 'median (min, max)', '', $ours, $peer, 'ratio',
        'bound';
    for my $row (@rows) {
        my $line = sprintf '%-24s %-5s %26s %26s %22s  %s', @$row{qw(name unit)},
            (map { spread($_) } @$row{qw(ours peer ratio_spread)}), verdict($row);
        print $line =~ s/\s+$//r, "\n";
    }
}

sub read_all {
    my ($path) = @_;
    open my $file, '<', $path or return '';
    local $/;
    return <$file> // '';
}

# The rows as JSON, with the machine and the commit they are of, in the file $path.
sub write_rows {
    my ($path, @rows) = @_;
    my ($cpu) = read_all('/proc/cpuinfo') =~ /^model name\s*: (.*)$/m;
    chomp(my ($cpus, $commit) = (`nproc`, `git rev-parse --short HEAD`));
    make_path(dirname($path));
    open my $file, '>', $path or croak "$path: $!";
    print $file JSON::PP->new->pretty->canonical->encode({
        machine => sprintf('%s, %d CPUs', $cpu // 'unknown CPU', $cpus),
        commit => $commit,
        rows => \@rows,
    });
    close $file or croak "$path: $!";
}

1;
