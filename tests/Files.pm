# SPDX-License-Identifier: GPL-2.0-or-later
# Whole files, as bytes.
package Files;

use strict;
use warnings;
use Carp;
use Exporter 'import';

our @EXPORT = qw(put slurp contents);

# Make @text what is in $path; returns $path.
sub put {
    my ($path, @text) = @_;
    open my $file, '>:raw', $path or croak "$path: $!";
    print $file @text;
    close $file or croak "$path: $!";
    return $path;
}

sub slurp {
    my ($path) = @_;
    open my $file, '<:raw', $path or croak "$path: $!";
    local $/;
    return scalar <$file>;
}

# The same; '' where there is none, or no more, as of a process that ends.
sub contents {
    my ($path) = @_;
    open my $file, '<:raw', $path or return '';
    local $/;
    return scalar(<$file>) // '';
}

1;
