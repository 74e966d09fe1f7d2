# SPDX-License-Identifier: GPL-2.0-or-later
# What the guest is and has, one "KEY VALUE" a line.  Changes nothing.
# Arguments: what is needed, as "KEY KIND NAME", of which is told what is not there; "--"; paths of files
# with %m for the machine and %p for GStreamer's plugins.
export LC_ALL=C
machine=$(uname -m)
sed 's/^/os-release /' /etc/os-release
echo "machine $machine"
for module in virtio_gpu vmw_vsock_virtio_transport; do
    [ -d "/sys/module/$module" ] && echo "module $module"
done
for node in /dev/dri/renderD*; do
    [ -e "$node" ] && echo "render $node"
done
groups=" $(id -nG helixvm 2>/dev/null) "
if [ "${groups#* render }" != "$groups" ] && [ "${groups#* video }" != "$groups" ]; then
    echo "user yes"
fi
getconf GNU_LIBC_VERSION 2>/dev/null
libraries=/usr/lib/$machine-linux-gnu
for directory in "$libraries" /usr/lib64 /usr/lib; do
    [ -e "$directory/gstreamer-1.0/libgstcoreelements.so" ] && libraries=$directory && break
done
plugins=$libraries/gstreamer-1.0

# --- what is needed: by package where there are Debian's, else by what is in them ---
if command -v dpkg-query >/dev/null; then
    by_package=yes
    wanted=$(printf '%s\n' "$@" | sed -n '/^--$/q; s/^[^ ]* package //p')
    # One process for all of them; dpkg-query complains about those that it has never heard of.
    # shellcheck disable=SC2086
    all=$(dpkg-query -W -f '${db:Status-Status} ${Package} ${Version}\n' $wanted \
        libgstreamer1.0-0 libglib2.0-0 libglib2.0-0t64 2>/dev/null)
    installed=$(echo "$all" | sed -n 's/^installed \([^ ]*\) .*/\1/p')
    echo "$all" | sed -n 's/^installed libgstreamer1.0-0 /gstreamer /p
        s/^installed libglib2.0-0\(t64\)\{0,1\} /glib /p
        s/^installed libsoup-3.0-0 /libsoup /p
        s/^installed libjson-glib-1.0-0 /json-glib /p
        s/^installed weston /weston /p'
else
    by_package=
    gst-inspect-1.0 --version 2>/dev/null | sed -n 's/^GStreamer /gstreamer /p'
    weston --version 2>/dev/null | grep '^weston '
fi
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    key=${1%% *}
    requirement=${1#* }
    name=${requirement#* }
    shift
    case $requirement in
    package*)
        [ "$by_package" ] || continue
        case "
$installed
" in
        *"
$name
"*) ;;
        *) echo "$key $name" ;;
        esac
        continue
        ;;
    esac
    [ ! "$by_package" ] || continue
    case $requirement in
    program*) command -v "$name" ;;
    plugin*) [ -e "$plugins/libgst$name.so" ] ;;
    library*) [ -e "$libraries/$name" ] ;;
    module*) pkg-config --exists "$name" ;;
    esac >/dev/null 2>&1 || echo "$key $requirement"
done
shift

sha256sum $(printf '%s\n' "$@" | sed "s|%m|$machine|; s|%p|$plugins|") 2>/dev/null | sed 's/^/sum /'
echo "plugins $plugins"
sed 's/^/installed /' /var/lib/helixvm/installed 2>/dev/null
# What was verified since the guest started.
sed 's/^/verified /' /run/helixvm-verified 2>/dev/null
exit 0
