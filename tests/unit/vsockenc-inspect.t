#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# What gst-inspect-1.0 shows of the element: nothing takes it by itself, and each property that is a
# number tells its unit and its range.
use strict;
use warnings;
use Cwd 'abs_path';
use File::Temp;
use Test::More;

my $build = $ENV{BUILD} // 'build';
my $dir = File::Temp->newdir('helixvm-inspect-XXXXXX', TMPDIR => 1);
plan skip_all => 'gst-inspect-1.0 has no sanitiser\'s runtime' if qx{ldd $build/guest/libgstvsockenc.so} =~ /libasan/;
mkdir "$dir/plugins" or die "mkdir: $!\n";
symlink abs_path("$build/guest/libgstvsockenc.so"), "$dir/plugins/libgstvsockenc.so" or die "symlink: $!\n";
$ENV{GST_REGISTRY} = "$dir/registry";
$ENV{GST_PLUGIN_PATH} = "$dir/plugins";
my $shown = qx{gst-inspect-1.0 --no-colors vsockenc 2>&1};
is($?, 0, 'gst-inspect-1.0 knows the element') or BAIL_OUT($shown);

like($shown, qr/^  Rank +none \(0\)$/m, 'it has no rank');
like($shown, qr{^  Klass +Codec/Encoder/Video$}m, 'it is an encoder');
like($shown, qr/^ +drm-format: .*\bXR24:0x00ffffffffffffff\b/m, 'it takes dma-bufs with a modifier');

# By name: what is said of it, and what may be set.
my ($text) = $shown =~ /^Element Properties:\n(.*)/ms;
my %shown = $text =~ /^  ([a-z-]+) *: (.*?)(?=^  [a-z-]+ *: |\z)/msg;

# In what each is counted.
my %unit = (
    bitrate => qr{kbit/s}, 'keyframe-interval' => qr/coded frames/, timeout => qr/\bms\b/,
    'reconnect-timeout' => qr/\bms\b/, 'statistics-interval' => qr/\bms\b/, cid => qr/context ID/, port => qr/vsock port/,
    'tcp-port' => qr/TCP port/,
);
for my $name (sort keys %unit) {
    like($shown{$name} // '', qr/\A.*$unit{$name}/, "$name: its unit");
    like($shown{$name} // '', qr/Unsigned Integer\. Range: \d+ - \d+ Default: \d+/, "$name: its range");
}
for my $name (qw(bitrate keyframe-interval statistics-interval)) {
    like($shown{$name}, qr/changeable in NULL, READY, PAUSED or PLAYING state/, "$name: may change while it plays");
}
like($shown{$_} // '', qr/^ +flags:.*\n +String/m, "$_: a text") for qw(socket-path tcp-host);
like($shown{statistics}, qr/source.*fps.*latency-p50.* in ms /, 'statistics: its fields, and their unit');

# No property is left out above: the others are those of any encoder.
my @known = (keys %unit, qw(socket-path tcp-host statistics name parent qos min-force-key-unit-interval));
is_deeply([sort keys %shown], [sort @known], 'these are all');

done_testing;
