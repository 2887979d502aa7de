import ForgeBase

/// Completion scripts, made from the command catalog. Recipes and stages are asked of forge itself when completing.
enum Completions {
    static func script(for shell: String) -> String {
        switch shell {
        case "bash": bash()
        case "zsh": "autoload -U +X bashcompinit && bashcompinit\n" + bash()
        default: fish()
        }
    }

    private static func bash() -> String {
        var cases = ""
        for command in CommandCatalog.all {
            let options = (command.options + Arguments.common).map { "--\($0.name)" }.joined(separator: " ")
            cases += "    \(command.name)) words=\"\(options)\" ;;\n"
        }
        var choices = ""
        for command in CommandCatalog.all {
            for operand in command.operands {
                if case .choice(let words) = operand.kind {
                    // What follows the choice is asked of forge.
                    let only = command.operands.count > 1 ? "[ \"$COMP_CWORD\" -eq 2 ] && " : ""
                    let rest = only.isEmpty ? "" : " || words=\"$asked\""
                    choices += "    \(command.name)) \(only)words=\"\(words.joined(separator: " "))\"\(rest) ;;\n"
                }
            }
        }
        var values: [String: [String]] = [:]
        for option in CommandCatalog.all.flatMap(\.options) + Arguments.common where !option.choices.isEmpty {
            values[option.name] = option.choices
        }
        let valueCases = values.sorted { $0.key < $1.key }.map {
            "    --\($0.key)) COMPREPLY=($(compgen -W \"\($0.value.joined(separator: " "))\" -- \"$cur\")); return ;;\n"
        }.joined()
        let names = CommandCatalog.all.map(\.name).joined(separator: " ")
        return """
            _forge() {
              local cur="${COMP_WORDS[COMP_CWORD]}" prev="${COMP_WORDS[COMP_CWORD-1]}" words=""
              if [ "$COMP_CWORD" -eq 1 ]; then
                COMPREPLY=($(compgen -W "\(names)" -- "$cur")); return
              fi
              case "$prev" in
            \(valueCases)    --cache|--output) COMPREPLY=($(compgen -d -- "$cur")); return ;;
              esac
              if [[ "$cur" == -* ]]; then
                case "${COMP_WORDS[1]}" in
            \(cases)    esac
              else
                local asked="$(forge complete "${COMP_WORDS[@]:1:COMP_CWORD-1}" 2>/dev/null)"
                case "${COMP_WORDS[1]}" in
            \(choices)    *) words="$asked" ;;
                esac
              fi
              COMPREPLY=($(compgen -W "$words" -- "$cur"))
            }
            complete -F _forge forge

            """
    }

    private static func fish() -> String {
        var script = "complete -c forge -f\n"
        for command in CommandCatalog.all {
            script += "complete -c forge -n __fish_use_subcommand -a \(command.name) -d '\(quoted(command.summary))'\n"
            let within = "-n '__fish_seen_subcommand_from \(command.name)'"
            for option in command.options + Arguments.common {
                let value =
                    option.value == nil
                    ? "" : " -r" + (option.choices.isEmpty ? "" : " -a '\(option.choices.joined(separator: " "))'")
                script += "complete -c forge \(within) -l \(option.name)\(value) -d '\(quoted(option.summary))'\n"
            }
            for operand in command.operands {
                switch operand.kind {
                case .choice(let words): script += "complete -c forge \(within) -a '\(words.joined(separator: " "))'\n"
                case .recipe: script += "complete -c forge \(within) -a '(forge complete \(command.name))'\n"
                default: break
                }
            }
        }
        return script
    }

    private static func quoted(_ text: String) -> String { text.split(separator: "'").joined(separator: "\\'") }
}
