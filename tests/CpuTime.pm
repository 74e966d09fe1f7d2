# SPDX-License-Identifier: GPL-2.0-or-later
# What processes use of the CPUs.
package CpuTime;

use strict;
use warnings;
use Exporter 'import';
use Files;

our @EXPORT = qw(cpu_of);

# CPU seconds that the threads of a process have used, to the ns.
sub cpu_of {
    my ($pid) = @_;
    my $ns = 0;
    for my $path (glob "/proc/$pid/task/*/schedstat") {
        $ns += (split ' ', contents($path))[0] // 0;
    }
    return $ns / 1e9;
}

1;
