#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# Checks what the demo left in a directory: stream.h264, stats.json, status.json.  Writes frame.png
# and result.  Prints one line for each thing that does not hold.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/..";
use Files;
use JSON::PP;

my ($out) = @ARGV;
my @wrong;

sub check {
    my ($holds, $what) = @_;
    push @wrong, $what unless $holds;
}

sub read_json {
    my ($path) = @_;
    return decode_json(slurp($path));
}

my $stats = read_json("$out/stats.json");
my $status = read_json("$out/status.json");

check($stats->{source} eq 'resource', "source is \"$stats->{source}\", not \"resource\"");
check($stats->{width} == 1280 && $stats->{height} == 720,
    "size is $stats->{width}x$stats->{height}, not 1280x720");
check($stats->{fps} >= 15, "$stats->{fps} fps, not at least 15");
check($status->{vsock}{kind} eq 'vhost-user' || -e '/dev/vhost-vsock',
    "vsock is \"$status->{vsock}{kind}\", not the vhost-user device");
my $gl = $status->{provisioned}{gl_renderer} // '';
my $vulkan = $status->{provisioned}{vulkan_renderer} // '';
check(scalar($gl =~ /^virgl/), "the guest's OpenGL renderer is \"$gl\", not virgl");
check(scalar($vulkan =~ /Venus/), "the guest's Vulkan renderer is \"$vulkan\", not Venus");

# Every frame decodes, without a word from the decoder.
my @hashes;
my $said = `ffmpeg -v warning -y -f h264 -i $out/stream.h264 -f framemd5 $out/frames.md5 2>&1`;
check($? == 0, "ffmpeg failed: $said");
check($said eq '', "ffmpeg warned: $said");
open my $list, '<', "$out/frames.md5" or die "frames.md5: $!\n";
while (<$list>) {
    push @hashes, (split /,\s*/)[5] unless /^#/;
}
check(@hashes == $stats->{frames},
    "ffmpeg decoded " . @hashes . " frames, the viewer counted $stats->{frames}");
my $repeated = grep { $hashes[$_] eq $hashes[$_ - 1] } 1 .. $#hashes;
check($repeated == 0, "$repeated of " . @hashes . " frames equal the one before");

my $middle = int(@hashes / 2);
system('ffmpeg', '-v', 'error', '-y', '-f', 'h264', '-i', "$out/stream.h264", '-vf',
    "select=eq(n\\,$middle)", '-frames:v', 1, "$out/frame.png");
check(-s "$out/frame.png", 'there is no frame.png');

my $line;
if (@wrong) {
    print "demo: $_\n" for @wrong;
    $line = 'demo: FAILED: ' . $wrong[0];
    print "$line\n";
} else {
    $line = sprintf 'demo: OK frames=%d fps=%.1f source=%s', $stats->{frames}, $stats->{fps},
        $stats->{source};
}
put("$out/result", "$line\n");
exit(@wrong ? 1 : 0);
