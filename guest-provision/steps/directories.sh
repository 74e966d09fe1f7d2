# SPDX-License-Identifier: GPL-2.0-or-later
# Make the directories that are the arguments, for everybody to read.
umask 022
exec mkdir -p "$@"
