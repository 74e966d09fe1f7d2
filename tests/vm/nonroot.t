#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# The whole path as a user who is nobody, from an installed helixvm, with libvirt's session daemon.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use File::Temp;
use HelixVM;
use IO::Socket::INET;
use Test::More;

plan skip_all => 'only root can become another user' if $>;
my $image = ($ENV{HELIXVM_STATE_DIR} // '/var/lib/helixvm') . '/images/default';
plan skip_all => "there is no image in $image" if !-d $image;

my $build = $ENV{BUILD} // 'build';
my $main = $$;
my $uid = 65534;
my $vm = 'nonroot';
my $dir = File::Temp->newdir('hx-nonroot-XXXXXX', TMPDIR => 1);
my @directories = map { "$dir/$_" } qw(home run cache config state work);
my @environment = ('PATH=/usr/bin:/bin:/usr/sbin:/sbin', 'LC_ALL=C.UTF-8', "HOME=$dir/home",
    "XDG_RUNTIME_DIR=$dir/run", "XDG_CACHE_HOME=$dir/cache", "XDG_CONFIG_HOME=$dir/config",
    "HELIXVM_STATE_DIR=$dir/state");

# The processes that have this test's environment, as "comm pid".
sub processes {
    my @found;
    for my $proc (glob '/proc/[0-9]*') {
        my $environment = contents("$proc/environ");
        next if $environment !~ m{\bXDG_RUNTIME_DIR=\Q$dir\E/run\0};
        push @found, slurp("$proc/comm") =~ s/\n/ /r . $proc =~ s{.*/}{}r if -e "$proc/exe";
    }
    return @found;
}

# Of a process that cannot be dumped /proc's files are root's: it is asked itself.
sub uid_of {
    my ($pid) = @_;
    return slurp("/proc/$pid/status") =~ /^Uid:\s+(\d+)/m ? $1 : undef;
}

# The user's own libvirt daemons: they end two minutes after their last user.
sub daemons { return grep { /^(libvirtd|virtlogd) / } processes() }
sub others { return grep { !/^(libvirtd|virtlogd) / } processes() }

sub end_daemons {
    kill 'TERM', map { /(\d+)$/ } daemons();
    # libvirtd itself gives its shutdown 30 s.
    return wait_until(60, sub { !daemons() });
}

sub as_user {
    my ($seconds, @arguments) = @_;
    my $result = finish(start_command('setpriv', "--reuid=$uid", "--regid=$uid", '--clear-groups',
        'env', '-i', "--chdir=$dir", @environment, "$dir/root/usr/bin/helixvm", @arguments), $seconds);
    is($result->{status}, 0, "helixvm @arguments") or do {
        diag($result->{out}, $result->{err});
        die "helixvm @arguments failed\n";
    };
    return $result->{out};
}

END {
    if ($$ == $main && -e "$dir/state/vms/$vm") {
        my $status = $?;
        end_started();
        eval { as_user(60, 'down', '--force', $vm) } if others();
        end_daemons();
        $? = $status;
    }
}

chmod 0711, $dir;
my $said = `make -o all install BUILD=$build DESTDIR=$dir/root PREFIX=/usr 2>&1`;
is($?, 0, 'make install') or BAIL_OUT($said);
# The image is the user's own: helixvm takes nothing from a directory of another.
mkdir $_ or die "$_: $!\n" for @directories, "$dir/state/images";
system('cp', '-r', '--reflink=auto', '--sparse=always', $image, "$dir/state/images/default") == 0
    or die "cp\n";
chmod 0711, "$dir/state" or die "chmod: $!\n";
chmod 0700, "$dir/run" or die "chmod: $!\n";
system('chown', '-R', "$uid:$uid", @directories) == 0 or die "chown\n";

my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1) or die "listen: $!\n";
my $port = $socket->sockport;
close $socket;
as_user(400, 'up', $vm, '--set', "share.folders=work:$dir/work", '--set', "network.forward=tcp:$port:22");
my $status = json(as_user(20, 'status', $vm, '--json'));
is($status->{state}, 'running', 'status: running');
my $qemu = qemu_pid($vm);
is($qemu ? uid_of($qemu) : 'none', $uid, 'QEMU is the user\'s');
is(uid_of($status->{processes}{monitor}), $uid, 'so is the monitor');
as_user(60, 'exec', $vm, '--', 'sh', '-c', 'echo guest >/mnt/work/from-guest');
is((stat "$dir/work/from-guest")[4], $uid, 'what the guest\'s root writes to a shared folder is the user\'s');
my $ssh = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Timeout => 10);
like($ssh ? scalar <$ssh> : '', qr/^SSH-2/, 'a forwarded port leads into the guest');
close $ssh if $ssh;
as_user(300, 'provision', $vm);
my $stats = json(as_user(120, 'stream', $vm, '--duration', 3, '--quiet', '--json'));
is($stats->{source}, 'resource', 'the frames come by resource id');
cmp_ok($stats->{frames}, '>', 10, 'and do come');
note("$stats->{fps} fps");
like(as_user(120, 'down', $vm), qr/powered off/, 'down powers the guest off');
ok(wait_until(30, sub { !others() }), 'no process is left') or diag(join "\n", others());
ok(!-e "$dir/run/helixvm/$vm", 'no socket');
is_deeply([leftovers($vm)], [], 'nothing else');
ok(end_daemons(), 'the user\'s libvirt daemons end when they are told to')
    or diag(join "\n", processes());

done_testing;
