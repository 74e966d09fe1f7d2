#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# A short form of `make stress-export`.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use HelixVM;
use Test::More;

plan skip_all => 'only root can run a VM without libvirt as this does' if $>;

my $requests = 4000;
my $stress = finish(start_command("$FindBin::Bin/../stress/export-module", $requests), 900);
is($stress->{status}, 0, "$requests requests for resources that come and go")
    or diag($stress->{out}, $stress->{err});
like($stress->{out}, qr/^ok     QEMU runs on$/m, 'QEMU runs on');
like($stress->{out}, qr/^ok     the sanitisers found nothing$/m, 'with nothing found');
note($stress->{out});

done_testing;
