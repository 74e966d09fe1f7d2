# SPDX-License-Identifier: GPL-2.0-or-later
# Whether the parts work for the user that sessions run as, one "KEY VALUE" a line.
# Argument: a name for what is verified, to be remembered until the guest restarts.
export LC_ALL=C
directory=$(mktemp -d) || exit 1
trap 'rm -rf "$directory"' EXIT
chmod 755 "$directory"
runtime=$directory/runtime
mkdir -m 700 "$runtime" && chown helixvm: "$runtime" || exit 1

as_user() {
    timeout 120 setpriv --reuid helixvm --regid helixvm --init-groups --inh-caps=-all \
        env HOME="$(getent passwd helixvm | cut -d: -f6)" XDG_RUNTIME_DIR="$runtime" "$@"
}

# Debian's mesa-utils-bin alone has it under its architecture's name.
for eglinfo in /usr/bin/eglinfo /usr/bin/eglinfo.*; do
    [ -x "$eglinfo" ] && break
done
# The three wait for the disk and each other little: together they take as long as the slowest.
as_user gst-inspect-1.0 vsockenc >"$directory/element" 2>&1 &
element=$!
as_user "$eglinfo" -B -a gl -p gbm >"$directory/gl" 2>/dev/null &
as_user vulkaninfo --summary >"$directory/vulkan" 2>/dev/null &
wait "$element"
status=$?
wait

{
    if [ $status -eq 0 ]; then
        echo "element $(sed -n 's/^ *Long-name *//p' "$directory/element")"
    else
        sed 's/^/element-error /' "$directory/element" | tail -n 3
    fi
    sed -n 's/^[[:space:]]*OpenGL .*renderer[^:]*: /gl /p' "$directory/gl" | head -n 1
    # A guest with Venus also has its own software renderer, and may name it first.
    sed -n 's/^[[:space:]]*deviceName *= /vulkan /p' "$directory/vulkan" |
        awk '/^vulkan llvmpipe/ { own = $0; next } { print; own = ""; exit } END { if (own) print own }'
} >"$directory/result"
cat "$directory/result"
if [ $status -eq 0 ]; then
    { echo "key $1"; cat "$directory/result"; } >"$directory/verified"
    mv "$directory/verified" /run/helixvm-verified
fi
exit 0
