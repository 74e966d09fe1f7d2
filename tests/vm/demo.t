#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# The demo: what it says holds, what it leaves, and that Ctrl-C leaves nothing.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use File::Temp;
use HelixVM;
use Test::More;
use Time::HiRes qw(sleep);

my $build = $ENV{BUILD} // 'build';
sub start_demo {
    return start_command('bash', '-c', 'exec bash tests/vm/demo.sh 2>&1');
}

my $result = finish(start_demo(), 900);
is($result->{status}, 0, 'the demo succeeds') or diag($result->{out});
my @lines = split /\n/, $result->{out};
my ($vm) = $result->{out} =~ /^==> .* up (demo-\d+)$/m;
ok($vm, 'it has a VM of its own') or BAIL_OUT('the demo does not say which');
like($lines[-1], qr/^demo: OK frames=\d+ fps=[\d.]+ source=resource$/, 'its last line says so');
my ($fps) = $lines[-1] =~ /fps=([\d.]+)/;
cmp_ok($fps // 0, '>=', 15, 'at least 15 fps');
note($lines[-1]);
my $stats = json(slurp("$build/demo/stats.json"));
my $status = json(slurp("$build/demo/status.json"));
is($stats->{source}, 'resource', 'the frames came by resource id');
like($status->{provisioned}{vulkan_renderer}, qr/Venus/, 'the guest had Venus');
like($status->{provisioned}{gl_renderer}, qr/^virgl/, 'the guest had virgl');
is(`file -b --mime-type $build/demo/frame.png`, "image/png\n", 'there is a picture');
is_deeply([leftovers($vm)], [], 'it leaves nothing');
ok(!-e state_path($vm, ''), 'not even the VM');

# The checker is one that can fail: take each thing away in turn.
my $copy = File::Temp->newdir('helixvm-demo-XXXXXX', TMPDIR => 1);
sub checked {
    my ($file, $change) = @_;
    system('cp', (map { "$build/demo/$_" } qw(stream.h264 stats.json status.json)), $copy) == 0
        or die "cp\n";
    my $content = slurp("$copy/$file");
    $change->() for $content;
    put("$copy/$file", $content);
    return scalar `perl tests/vm/check-demo.pl $copy 2>&1`;
}
like(checked('stats.json', sub { s/"resource"/"pixels"/ }), qr/FAILED: source/, 'source is checked');
like(checked('stats.json', sub { s/("fps" : )[\d.]+/${1}14.9/ }), qr/FAILED: 14.9 fps/,
    'fps is checked');
like(checked('status.json', sub { s/Venus/venom/ }), qr/FAILED: .*Vulkan/, 'Venus is checked');
like(checked('status.json', sub { s/"vulkan_renderer" : "[^"]*"/"vulkan_renderer" : null/ }),
    qr/FAILED: .*Vulkan/, 'a missing renderer is seen');
like(checked('stream.h264', sub { substr($_, length($_) / 2, 400) = 'x' x 400 }), qr/FAILED: ffmpeg/,
    'a broken stream is seen');

# Ctrl-C, as a terminal sends it to all that run in the foreground; twice, as people do.
for my $point (qw(up provision stream)) {
    my $demo = start_demo();
    my $its_vm;
    ok(wait_until(300, sub {
        ($its_vm) = slurp($demo->{out}->filename) =~ /^==> \S* $point (demo-\d+)/m;
    }), "demo: $point");
    sleep 1.5;
    kill 'INT', -$demo->{pid};
    sleep 0.3;
    kill 'INT', -$demo->{pid};
    is(finish($demo, 90)->{status}, 130, "Ctrl-C during \"$point\": exit status 130");
    ok(!leftovers($its_vm), "Ctrl-C during \"$point\": nothing is left")
        or diag(join "\n", leftovers($its_vm));
    ok(!-e state_path($its_vm, ''), "Ctrl-C during \"$point\": not even the VM");
}

done_testing;
