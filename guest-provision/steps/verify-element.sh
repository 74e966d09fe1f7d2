# SPDX-License-Identifier: GPL-2.0-or-later
# Whether vsockenc works for the user that this runs as, one "KEY VALUE" a line.
# Argument: how many seconds a part has.
export LC_ALL=C
limit=$1
directory=$(mktemp -d) || exit 1
trap 'rm -rf "$directory"' EXIT

# Run the rest of the arguments, with its output and errors in files named by the first; what
# hangs is told.
part() {
    name=$1
    shift
    timeout --kill-after 5 "$limit" "$@" </dev/null >"$directory/$name" 2>"$directory/$name.errors"
    status=$?
    case $status in
    124 | 137) echo "hung $name" ;;
    esac
    return $status
}

for node in /dev/dri/renderD*; do
    [ -r "$node" ] && [ -w "$node" ] && echo "render $node"
done
part element gst-inspect-1.0 vsockenc || {
    cat "$directory/element" "$directory/element.errors" | sed 's/^/element-error /' | tail -n 3
    exit 0
}
echo "element $(sed -n 's/^ *Long-name *//p' "$directory/element")"
# One frame there and back: what comes is H.264 that begins with its parameters.
part frame gst-launch-1.0 -q videotestsrc num-buffers=1 ! \
    video/x-raw,format=BGRx,width=320,height=240 ! vsockenc ! fdsink
case $(od -A n -t x1 -N 5 "$directory/frame") in
' 00 00 00 01 67') echo "frame H.264, $(wc -c <"$directory/frame") bytes" ;;
*) sed -n 's/^ERROR: //p; s/^WARNING: erroneous pipeline: //p' "$directory/frame.errors" | head -n 1 |
    sed 's/^from element [^ ]* //; s/^/frame-error /' ;;
esac
exit 0
