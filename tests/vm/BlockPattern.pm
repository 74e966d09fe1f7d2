# SPDX-License-Identifier: GPL-2.0-or-later
# A picture of blocks, each of a colour of its own, far from its neighbours' and its mirror images'; and
# where a picture that was seen differs from it.
package BlockPattern;

use strict;
use warnings;
use Exporter 'import';
use Files;
use HelixVM 'pixel';

our @EXPORT = qw(BLOCK MIDDLE write_pattern wrong_blocks);

# The length of a block's sides.
use constant BLOCK => 40;
# A point of a block, and how far what is seen there may be off: x, y, tolerance.
use constant MIDDLE => [BLOCK / 2, BLOCK / 2, 10];

sub colour_of {
    my ($column, $row) = @_;
    return (($column * 67 + $row * 29) % 200 + 28, ($column * 31 + $row * 83) % 200 + 28,
        ($column * 97 + $row * 53) % 200 + 28);
}

# Write it to $path, a PNG; its sides are so many blocks.
sub write_pattern {
    my ($path, $width, $height) = @_;
    my $lines = join '', map {
        my $row = $_;
        join('', map { pack('C3', colour_of($_, $row)) x BLOCK } 0 .. $width / BLOCK - 1) x BLOCK;
    } 0 .. $height / BLOCK - 1;
    put("$path.ppm", "P6\n$width $height\n255\n", $lines);
    system('ffmpeg', '-v', 'error', '-y', '-i', "$path.ppm", $path) == 0 or die "ffmpeg\n";
}

# The blocks, [COLUMN, ROW] each, that differ in $picture, bytes of RGB, at one of @points.
sub wrong_blocks {
    my ($picture, $width, $height, @points) = @_;
    my @wrong;
    for my $row (0 .. $height / BLOCK - 1) {
        for my $column (0 .. $width / BLOCK - 1) {
            my @want = colour_of($column, $row);
            my $differs = 0;
            for my $point (@points) {
                my ($x, $y, $tolerance) = @$point;
                my $seen = pixel($picture, $width, $column * BLOCK + $x, $row * BLOCK + $y);
                $differs ||= abs($seen->[$_] - $want[$_]) > $tolerance for 0 .. 2;
            }
            push @wrong, [$column, $row] if $differs;
        }
    }
    return @wrong;
}

1;
