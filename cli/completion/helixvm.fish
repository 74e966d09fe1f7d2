# fish completion for helixvm
# SPDX-License-Identifier: GPL-2.0-or-later
# helixvm itself knows what may be typed next; this asks it.

function __helixvm_complete
    set -l words (commandline --current-process --tokenize --cut-at-cursor)
    set -l begun (commandline --current-token --cut-at-cursor)
    for line in ($words[1] complete -- $words[2..] "$begun" 2>/dev/null)
        if string match --quiet ':files*' -- $line
            __fish_complete_path (string replace --regex '^--[^=]*=' '' -- "$begun")
        else
            printf '%s\n' $line
        end
    end
end

complete --command helixvm --no-files --arguments '(__helixvm_complete)'
