#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# What helixvm writes on terminals of several widths, and on a dumb one.
use strict;
use warnings;
use File::Temp;
use IO::Pty;
use POSIX ();
use Test::More;

binmode Test::More->builder->$_, ':encoding(UTF-8)' for qw(output failure_output);

my $helixvm = ($ENV{BUILD} // 'build') . '/helixvm';
my $dir = File::Temp->newdir('helixvm-screen-XXXXXX', TMPDIR => 1);
$ENV{HELIXVM_STATE_DIR} = "$dir/state";
$ENV{HELIXVM_RUNTIME_DIR} = "$dir/run";
$ENV{XDG_CONFIG_HOME} = "$dir/config";
$ENV{LC_ALL} = 'C.UTF-8';
system('mkdir', '-p', "$dir/state/vms/work", "$dir/state/images/base") == 0 or die "mkdir\n";

sub write_file {
    my ($path, $text) = @_;
    open my $file, '>', $path or die "$path: $!\n";
    print $file $text;
    close $file or die "$path: $!\n";
}
write_file("$dir/state/vms/work/profile.conf", '');
write_file("$dir/state/images/base/image.json", '{"built_at":"2030-01-02T03:04:05Z","debian_version":"13.9",'
    . '"kernel_version":"6.12","recipe":"abcd","virtual_size":1048576}');
write_file("$dir/state/images/base/$_", 'x') for qw(disk.qcow2 kernel initrd);

# What it writes on a terminal of so many columns, and its exit status.
sub on_terminal {
    my ($columns, $term, @words) = @_;
    my $pty = IO::Pty->new;
    my $pid = fork // die "fork: $!\n";
    if ($pid == 0) {
        $pty->make_slave_controlling_terminal;
        my $slave = $pty->slave;
        $slave->set_winsize(24, $columns);
        open STDIN, '<&', $slave;
        open STDOUT, '>&', $slave;
        open STDERR, '>&', $slave;
        $ENV{TERM} = $term;
        exec $helixvm, @words or POSIX::_exit(127);
    }
    $pty->close_slave;
    my $text = '';
    while (sysread $pty, $text, 65536, length $text) { }
    waitpid $pid, 0;
    utf8::decode($text);
    return ($text =~ s/\r\n/\n/gr, $? >> 8);
}

# The longest line that has a blank to be broken at.
sub widest {
    my ($text) = @_;
    my ($longest) = sort { length $b <=> length $a } grep { /\S \S/ } split /\n/, $text;
    return length($longest // '');
}

for my $columns (80, 60) {
    for my $words ('', 'help up', 'image --help', 'image fetch --help', 'stream --help', 'profile keys', 'profile list',
        'list', 'image list', 'status work') {
        my ($text) = on_terminal($columns, 'xterm', split ' ', $words);
        last if $columns < 80 && $words eq 'list';    # tables are as wide as they are
        cmp_ok(widest($text), '<=', $columns, "helixvm $words: in $columns columns") or diag($text);
    }
}
my ($narrow) = on_terminal(40, 'xterm', 'help', 'up');
my ($option) = $narrow =~ /^(  -p, .*?)^  -s/ms;
like($option, qr/\A  -p, --profile=PROFILE\|FILE *\n(        \S.*\n)+\z/, 'where there is no room beside it, below it')
    or diag($narrow);
cmp_ok(widest($option), '<=', 40, '... in 40 columns');
is(join(' ', split ' ', $narrow), join(' ', split ' ', decoded("help up")), '... with the same words');
like(decoded("help up"), qr/.{100}/, 'a pipe gets whole lines');

sub decoded {
    my ($words) = @_;
    my $text = `$helixvm $words`;
    utf8::decode($text);
    return $text;
}

# Progress: on one line that is overwritten, cut to the terminal; in lines on a dumb one.
write_file("$dir/disk", ("\0" x 510) . "\x55\xaa" . ('x' x (8 << 20)));
for my $term (qw(xterm dumb)) {
    my ($text, $status) = on_terminal(40, $term, 'image', 'fetch', "$dir/disk", '--as', "on-$term");
    is($status, 0, "image fetch on $term") or diag($text);
    my @updates = grep { /\S/ } map { /\A\e\[K(.*)\z/s ? $1 : () } split /\r/, $text;
    if ($term eq 'dumb') {
        unlike($text, qr/[\r\e]/, '... moves no cursor');
    } else {
        cmp_ok(scalar @updates, '>', 0, '... overwrites a line');
        is((grep { !/\n/ && length > 39 } @updates), 0, '... of less than the width') or diag(explain(\@updates));
    }
}

done_testing;
