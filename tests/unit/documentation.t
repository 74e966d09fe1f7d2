#!/usr/bin/env perl
# SPDX-License-Identifier: GPL-2.0-or-later
# The manual page says what the program knows: verbs, profile keys, exit status.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/..";
use Files;
use Test::More;

my $build = $ENV{BUILD} // 'build';

my $page = slurp('helixvm.1');
my $readme = slurp('README.md');

my $lint = `mandoc -Tlint -Wwarning helixvm.1 2>&1`;
is($lint, '', 'mandoc has nothing to object to');


# What stands in quotes ends before the next begins, over the ends of lines, too.
for my $file (qw(helixvm.1 helixvm-vsock.1)) {
    my $rendered = `mandoc -Tutf8 -Owidth=1000 $file` =~ s/.\x08//gr;
    my ($open, $close) = ("\xe2\x80\x9c", "\xe2\x80\x9d");
    cmp_ok(scalar(() = $rendered =~ /$open/g), '>', 0, "$file has quotes");
    my @nested = $rendered =~ /($open(?:(?!$close).)*?$open.{0,40})/gs;
    is("@nested", '', "$file: no quote within another");
}
unlike($page, qr/Fl Fl \w+ \| (?!Fl )\w+ Ar/, 'each long option has both its dashes');

my $help = join '', `$build/helixvm help`;
my @verbs = $help =~ /^  ([a-z-]+) +[a-z]/mg;
cmp_ok(scalar @verbs, '>', 5, 'help lists the verbs');
ok($page =~ /^\.It Cm .*\b$_\b|^\.Cm .*\b$_\b/m, "the page has the verb $_") for @verbs;
like($help, qr/^  \Q$1\E /m, "helixvm has the verb $1 that the page lists")
    while $page =~ /^\.It Cm ([a-z-]+)/mg;
for my $verb (@verbs) {
    my ($actions) = join('', `$build/helixvm $verb --help 2>&1`) =~ /^Actions:\n(.*)/ms or next;
    ok($page =~ /^\.It Cm (.*)?$verb $_\b/m, "the page has $verb $_")
        for $actions =~ /^  ([a-z]+) +[a-z]/mg;
}

# What is in the item of each verb, or of its action: without the page's other lists.
my ($section_of_verbs) = $page =~ /^\.Ss Verbs\n(.*?)^\.Sh /ms;
my (%item, $name);
my $depth = 0;
for my $line (split /\n/, $section_of_verbs) {
    $depth++ if $line =~ /^\.Bl /;
    $depth-- if $line =~ /^\.El/;
    $name = $1 if $depth == 1 and $line =~ /^\.It Cm (.*)/;
    $item{$name} .= "$line\n" if defined $name;
}
for my $verb (@verbs) {
    my ($actions) = join('', `$build/helixvm $verb --help 2>&1`) =~ /^Actions:\n(.*?)\n\n/ms;
    for my $call ($actions ? map { "$verb $_" } $actions =~ /^  ([a-z-]+) +[a-z]/mg : $verb) {
        my @options = join('', `$build/helixvm $call --help`) =~ /^  (?:-\w, )?--([a-z0-9-]+)/mg;
        my @missing = grep { $_ ne 'help' and ($item{$call} // '') !~ /Fl Fl $_\b/ } @options;
        is("@missing", '', "the page has the options of $call in its item");
    }
}

# `make man` writes it.
my ($keys) = $page =~ /^\.\\" The keys are made by .*?\n(.*?)^\.\\" End of the keys\.$/ms;
my $made = join '', `$build/helixvm profile keys --mdoc`;
cmp_ok(scalar(() = $made =~ /^\.It Sy /mg), '>', 10, 'helixvm tells the keys of a profile');
is($keys, $made, 'the page has the keys of a profile as the table in the code has them');

my ($codes) = slurp('launcher/base/error.h') =~ /typedef enum \{(.*?)\}/s;
my %code = map { $_ => 1 } $codes =~ /= (\d+),/g;
my ($section) = $page =~ /^\.Sh EXIT STATUS\n(.*?)^\.Sh/ms;
my %status = map { $_ => 1 } grep { $_ } $section =~ /^\.It (\d+)$/mg;
is_deeply(\%status, \%code, 'the page has each exit status');

for my $verb (@verbs) {
    my $text = `$build/helixvm $verb --help 2>&1`;
    is($?, 0, "$verb --help");
    like($text, qr/Usage:\s+helixvm $verb/, "$verb --help tells its usage");
}
is(system("$build/helixvm nonsense >/dev/null 2>&1") >> 8, 2, 'an unknown verb is a usage error');
is(system("$build/helixvm up --nonsense >/dev/null 2>&1") >> 8, 2,
    'an unknown option is a usage error');

my $device_page = slurp('helixvm-vsock.1');
is(scalar `mandoc -Tlint -Wwarning helixvm-vsock.1 2>&1`, '', "nor to the vsock device's page");
my @device_options = join('', `$build/helixvm-vsock --help`) =~ /--([a-z-]+)/g;
cmp_ok(scalar @device_options, '>', 5, 'the vsock device tells its options');
like($device_page, qr/^\.It Fl Fl \Q$_\E\b/m, "its page has --$_") for @device_options;
my %device_option = map { $_ => 1 } @device_options;
ok($device_option{$1}, "the vsock device has --$1 that its page lists")
    while $device_page =~ /^\.It Fl Fl ([a-z-]+)/mg;

like($readme, qr{\./devenv make demo.*\./devenv make check}s, 'the README has the two commands');

done_testing;
