#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# What `make install` puts there is whole: the installed helixvm finds its parts, away from here.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../vm";
use File::Temp;
use JSON::PP;

my $dir;

BEGIN {
    $dir = File::Temp->newdir('helixvm-install-XXXXXX', TMPDIR => 1);
    $ENV{HELIXVM_STATE_DIR} = "$dir/state";
    $ENV{HELIXVM_RUNTIME_DIR} = "$dir/run";
}
use HelixVM;
use Test::More;

my $build = $ENV{BUILD} // 'build';
my $usr = "$dir/root/usr";

# -o: what is built is installed, whatever flags this make would build with.
my $said = `make -o all install BUILD=$build DESTDIR=$dir/root PREFIX=/usr 2>&1`;
is($?, 0, 'make install') or BAIL_OUT($said);

# What the sources say they look for.
my @sources = split /\n/, `find cli launcher guest-provision encoder -name '*.c'`;
my %wanted;
for my $source (@sources) {
    my $text = slurp($source);
    $wanted{"libexec/helixvm/$1"} = 1 while $text =~ /hx_part_path\("([^"]+)"/g;
    $wanted{"share/helixvm/$1"} = 1 while $text =~ /(?:hx_data_path|hx_list_read)\("([^"]+)"/g;
    # What provisioning uploads, from its table.
    $wanted{"libexec/helixvm/$1"} = 1 while $text =~ m{[^e] "(guest/[^"]+)"}g;
    $wanted{"share/helixvm/$1"} = 1 while $text =~ m{(?:[^e] |\{)"(guest-provision/[^"]+)"}g;
}
cmp_ok(scalar(keys %wanted), '>=', 4, 'the sources name parts');
ok(-e "$usr/$_", "$_ is installed") for sort keys %wanted;
for my $program ('bin/helixvm', map { "libexec/helixvm/$_" } qw(helixvm-vsock helixvm-encoder helixvm-recorder
    guest/helixvm-session guest/helixvm-init)) {
    ok(-x "$usr/$program", "$program may be run");
}
ok(-f "$usr/share/man/man1/$_.1", "the manual page of $_ is there") for qw(helixvm helixvm-vsock);
my $back_end = decode_json(slurp("$usr/share/qemu/vhost-user/50-helixvm-vsock.json"));
is($back_end->{type}, 'vsock', 'what looks for vhost-user back ends finds the vsock device');
ok(-x "$dir/root$back_end->{binary}", 'and its program');
my @steps = map { s{.*/}{}r } glob 'guest-provision/steps/*';
ok(-f "$usr/share/helixvm/guest-provision/steps/$_", "step $_ is there") for @steps;

# Where the shells look for completion, each as it looks.
{
    local $ENV{PATH} = "$usr/bin:$ENV{PATH}";
    local $ENV{XDG_DATA_DIRS} = "$usr/share:/usr/share";
    local $ENV{HOME} = "$dir";
    like(join('', `bash --norc -c '. /usr/share/bash-completion/bash_completion
        _comp_load helixvm 2>/dev/null || __load_completion helixvm; complete -p helixvm'`),
        qr/-F _helixvm helixvm/, 'bash finds its completion');
    is(join('', `zsh -f -c 'fpath=($usr/share/zsh/site-functions \$fpath)
        autoload -U compinit; compinit -u -D; print \$_comps[helixvm]'`), "_helixvm\n", 'and zsh');
    like(join('', `fish -c 'complete -C "helixvm provis"'`), qr/^provision\t/, 'and fish');
}

make_hollow_image("$dir/state");
sub installed {
    my (@arguments) = @_;
    return scalar `cd / && $usr/bin/helixvm @arguments 2>&1`;
}
like(installed('define', 'installed'), qr{<domain .*<name>helixvm-installed</name>.*</domain>}s,
    'the installed helixvm finds its profile');
is($?, 0, 'and defines a VM');
rename "$usr/share/helixvm/qemu-profiles", "$usr/share/helixvm/away" or die "rename: $!\n";
like(installed('define', 'installed'), qr/qemu-profiles.*make install/s,
    'it is the installed one: without it helixvm says what to do');
isnt($?, 0, 'and fails');

done_testing;
