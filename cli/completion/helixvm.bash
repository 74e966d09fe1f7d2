# bash completion for helixvm                                             -*- shell-script -*-
# SPDX-License-Identifier: GPL-2.0-or-later
# helixvm itself knows what may be typed next; this asks it.

_helixvm() {
    local words=() rest=$COMP_LINE i word lead begun strip
    # Readline breaks words at '=' and ':' too: what no blank separates is one word.
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        lead=${rest%%[![:space:]]*}
        rest=${rest#"$lead"}
        rest=${rest#"$word"}
        if [[ $i -gt 0 && -z $lead ]]; then
            words[-1]+=$word
        else
            words+=("$word")
        fi
    done
    begun=${words[-1]}
    # It then replaces only what follows the last of them.
    strip=${begun%"${begun##*[=:]}"}
    COMPREPLY=()
    while IFS=$'\t' read -r word _; do
        if [[ $word == :files ]]; then
            compopt -o filenames
            while IFS= read -r word; do
                COMPREPLY+=("$word")
            done < <(compgen -f -- "${begun##*[=:]}")
        else
            COMPREPLY+=("${word#"$strip"}")
        fi
    done < <("${words[0]}" complete -- "${words[@]:1}" 2>/dev/null)
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[=:] ]]; then
        compopt -o nospace
    fi
}

complete -F _helixvm helixvm
