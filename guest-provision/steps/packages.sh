# SPDX-License-Identifier: GPL-2.0-or-later
# Install the packages that are the arguments.
export LC_ALL=C DEBIAN_FRONTEND=noninteractive
command -v apt-get >/dev/null || {
    echo "this guest has no apt-get; install by hand: $*" >&2
    exit 1
}
apt_get() {
    apt-get -q -o DPkg::Lock::Timeout=60 -o APT::Install-Recommends=false \
        -o Dpkg::Use-Pty=0 -o Acquire::Retries=2 "$@" </dev/null
}
apt_get update >/dev/null && apt_get install -y "$@" >/dev/null
