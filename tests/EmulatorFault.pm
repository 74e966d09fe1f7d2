# SPDX-License-Identifier: GPL-2.0-or-later
# A fault of QEMU's own: its emulated CPUs race with the guest's changes of the memory map, and about
# one boot in a hundred ends with a failed assertion.  `helixvm up` starts QEMU again then, and so do
# those that run QEMU without it.  No other end of QEMU's is forgiven.
package EmulatorFault;

use strict;
use warnings;
use Exporter 'import';
use POSIX ();

our @EXPORT = qw(boot_again);

use constant STARTS_AGAIN => 2;

# The assertion by which QEMU ended, with $status as $? has it, if it is that fault.
sub assertion {
    my ($status, $log) = @_;
    return undef if ($status & 127) != POSIX::SIGABRT;
    my @said = $log =~ /^(.*: iotlb_to_section: Assertion .* failed\.?)/mg;
    return $said[-1];
}

# Calls $boot, which starts QEMU and waits for the guest, and returns what it returns.  Where it dies or
# returns undef, $ended is called, for (STATUS, LOG) of a QEMU that has ended and () of one that
# runs; and after that fault it starts again.
sub boot_again {
    my ($boot, $ended) = @_;
    for (my $again = 1;; $again++) {
        my $result = eval { $boot->() };
        my $error = $@;
        return $result if defined $result;
        my ($status, $log) = $ended->();
        my $said = defined $status ? assertion($status, $log) : undef;
        if (!defined $said || $again > STARTS_AGAIN) {
            die $error if $error;
            return undef;
        }
        print STDERR "# QEMU is started again ($again of @{[STARTS_AGAIN]}): $said\n";
    }
}

1;
