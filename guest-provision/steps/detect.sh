# SPDX-License-Identifier: GPL-2.0-or-later
# What the guest is and has, one "KEY VALUE" a line.  Changes nothing.
# Arguments: packages, "--", paths of files with %m for the machine.
export LC_ALL=C
( . /etc/os-release; echo "os ${PRETTY_NAME:-$ID}" )
echo "machine $(uname -m)"
for node in /dev/dri/renderD*; do
    [ -e "$node" ] && echo "render $node"
done
groups=" $(id -nG helixvm 2>/dev/null) "
if [ "${groups#* render }" != "$groups" ] && [ "${groups#* video }" != "$groups" ]; then
    echo "user yes"
fi

wanted=
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    wanted="$wanted $1"
    shift
done
shift
if command -v dpkg-query >/dev/null; then
    # One process for all of them; dpkg-query complains about those that it has never heard of.
    all=$(dpkg-query -W -f '${db:Status-Status} ${Package} ${Version}\n' $wanted \
        libgstreamer1.0-0 2>/dev/null)
    installed=$(echo "$all" | sed -n 's/^installed \([^ ]*\) .*/\1/p')
    echo "$all" | sed -n 's/^installed libgstreamer1.0-0 /gstreamer /p' | head -n 1
    for package in $wanted; do
        case "
$installed
" in
        *"
$package
"*) ;;
        *) echo "missing $package" ;;
        esac
    done
else
    echo "nodpkg yes"
fi

sha256sum $(printf '%s\n' "$@" | sed "s/%m/$(uname -m)/") 2>/dev/null | sed 's/^/sum /'
sed 's/^/installed /' /var/lib/helixvm/installed 2>/dev/null
# What was verified since the guest started.
sed 's/^/verified /' /run/helixvm-verified 2>/dev/null
exit 0
