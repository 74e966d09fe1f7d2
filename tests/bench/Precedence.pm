# SPDX-License-Identifier: GPL-2.0-or-later
# Precedence for a benchmark: whatever else runs is to disturb little.  What uses it has it, with all
# that it starts, and its session has it until it ends.
package Precedence;

use strict;
use warnings;

# The session's weight (sched(7), "The autogroup feature").
sub weigh {
    my ($nice) = @_;
    open my $file, '>', '/proc/self/autogroup' or return;
    print $file $nice;
    close $file;
}

weigh(-20);
setpriority 0, 0, -10;
END { weigh(0) }

1;
