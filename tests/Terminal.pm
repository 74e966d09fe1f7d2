# SPDX-License-Identifier: GPL-2.0-or-later
# A process on a terminal.
package Terminal;

use strict;
use warnings;
use Exporter 'import';

our @EXPORT = qw(take_terminal);

# In a forked process, before it executes: $pty, an IO::Pty, is its controlling terminal, stdin,
# stdout and stderr.
sub take_terminal {
    my ($pty) = @_;
    $pty->make_slave_controlling_terminal;
    my $slave = $pty->slave;
    open STDIN, '<&', $slave or die "stdin: $!\n";
    open STDOUT, '>&', $slave or die "stdout: $!\n";
    open STDERR, '>&', $slave or die "stderr: $!\n";
}

1;
