#compdef helixvm
# SPDX-License-Identifier: GPL-2.0-or-later
# helixvm itself knows what may be typed next; this asks it.

_helixvm() {
    local line word description
    local -a whole open
    local files=
    for line in "${(@f)$("${(Q)words[1]}" complete -- "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}"; do
        word=${line%%$'\t'*}
        description=${line#*$'\t'}
        case $word in
        '') ;;
        :files) files=yes ;;
        *[=:]) open+=("${word//:/\\:}:$description") ;;
        *) whole+=("${word//:/\\:}:$description") ;;
        esac
    done
    local found=1
    (( $#whole )) && _describe 'helixvm' whole && found=0
    (( $#open )) && _describe 'helixvm' open -S '' && found=0
    if [[ -n $files ]]; then
        compset -P '--*='
        _files && found=0
    fi
    return $found
}

if [[ $funcstack[1] == _helixvm ]]; then
    _helixvm "$@"
else
    compdef _helixvm helixvm
fi
