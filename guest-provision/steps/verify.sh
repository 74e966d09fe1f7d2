# SPDX-License-Identifier: GPL-2.0-or-later
# Whether the parts work for the user that sessions run as, one "KEY VALUE" a line.
# Arguments: a name for what is verified, to be remembered until the guest restarts; and how many
# seconds a part has: what hangs, and what its processes wait for, is told.
export LC_ALL=C
limit=$2
user=helixvm
# Where vsockenc was put alone, no sessions run, and so as nobody.
getent passwd $user >/dev/null || user=nobody
directory=$(mktemp -d) || exit 1
trap 'rm -rf "$directory"' EXIT
chmod 755 "$directory"
runtime=$directory/runtime
mkdir -m 700 "$runtime" && chown $user: "$runtime" || exit 1

as_user() {
    timeout --kill-after 5 "$limit" setpriv --reuid $user --regid "$(id -g $user)" --init-groups \
        --inh-caps=-all env HOME="$(getent passwd $user | cut -d: -f6)" XDG_RUNTIME_DIR="$runtime" "$@"
}

# Debian's mesa-utils-bin alone has it under its architecture's name.
for eglinfo in /usr/bin/eglinfo /usr/bin/eglinfo.*; do
    [ -x "$eglinfo" ] && break
done
# Run the rest of the arguments as that user; its output and status go to files named by the first.
part() {
    name=$1
    shift
    as_user "$@" >"$directory/$name" 2>"$directory/$name.errors"
    echo $? >"$directory/$name.status"
}
# Of an element that does not load there is no frame.
for name in frame frame.errors frame.status; do
    echo 0 >"$directory/$name"
done
# They wait for the disk and each other little: together they take as long as the slowest.
{
    part element gst-inspect-1.0 vsockenc
    # One frame there and back: what comes is H.264 that begins with its parameters.  After the first,
    # which may have to look at all plugins.
    [ "$(cat "$directory/element.status")" -ne 0 ] ||
        part frame gst-launch-1.0 -q videotestsrc num-buffers=1 ! \
            video/x-raw,format=BGRx,width=320,height=240 ! vsockenc ! fdsink
} &
parts=$!
part gl "$eglinfo" -B -a gl -p gbm &
parts="$parts $!"
part vulkan vulkaninfo --summary &
parts="$parts $!"
setsid sh -c "sleep $((limit - 5)); exec ps -u $user -o stat=,wchan:24=,args=" >"$directory/late" &
late=$!
# shellcheck disable=SC2086 # one word each
wait $parts
kill -- -$late 2>/dev/null

hung=
for name in element gl vulkan frame; do
    status=$(cat "$directory/$name.status")
    [ "$status" -ne 124 ] && [ "$status" -ne 137 ] || hung="$hung $name"
done
if [ "$hung" ]; then
    echo "hung$hung"
    sed 's/^ */late /' "$directory/late"
    exit 0
fi
status=$(cat "$directory/element.status")
{
    if [ $status -eq 0 ]; then
        echo "element $(sed -n 's/^ *Long-name *//p' "$directory/element")"
    else
        cat "$directory/element" "$directory/element.errors" | sed 's/^/element-error /' | tail -n 3
    fi
    case $(od -A n -t x1 -N 5 "$directory/frame") in
    ' 00 00 00 01 67') echo "frame H.264, $(wc -c <"$directory/frame") bytes" ;;
    *) sed -n 's/^ERROR: //p; s/^WARNING: erroneous pipeline: //p' "$directory/frame.errors" | head -n 1 |
        sed 's/^from element [^ ]* //; s/^/frame-error /' ;;
    esac
    sed -n 's/^[[:space:]]*OpenGL .*renderer[^:]*: /gl /p' "$directory/gl" | head -n 1
    # A guest with Venus also has its own software renderer, and may name it first.
    sed -n 's/^[[:space:]]*deviceName *= /vulkan /p' "$directory/vulkan" |
        awk '/^vulkan llvmpipe/ { own = $0; next } { print; own = ""; exit } END { if (own) print own }'
} >"$directory/result"
cat "$directory/result"
if grep -q '^element ' "$directory/result" && grep -q '^frame ' "$directory/result"; then
    { echo "key $1"; cat "$directory/result"; } >"$directory/verified"
    mv "$directory/verified" /run/helixvm-verified
fi
exit 0
