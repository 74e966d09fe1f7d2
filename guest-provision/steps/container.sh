# SPDX-License-Identifier: GPL-2.0-or-later
# What the engines know of a container, one "ENGINE-KEY VALUE" a line.  Changes nothing.
# Arguments: the container's name; engines.
export LC_ALL=C
name=$1
shift
for engine; do
    command -v "$engine" >/dev/null || continue
    echo "engine $engine"
    # shellcheck disable=SC2016 # the engine's
    if told=$(timeout 30 "$engine" container inspect --format 'id {{.Id}}
name {{.Name}}
status {{.State.Status}}
image {{.Config.Image}}
user {{.Config.User}}' "$name" 2>&1); then
        echo "$told" | sed "s/^/$engine-/"
        id=$(echo "$told" | sed -n 's/^id //p')
        # What was verified of it since the guest started.
        sed "s/^/$engine-verified /" "/run/helixvm-containers/${id##*/}" 2>/dev/null
    else
        case $told in
        *[Nn]"o such "* | *"no container with"*) ;;
        *) echo "$told" | tail -n 1 | sed "s/^/trouble $engine: /" ;;
        esac
    fi
done
exit 0
