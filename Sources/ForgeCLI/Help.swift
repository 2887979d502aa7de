import ForgeBase

/// Help and the manual page, made from the command catalog.
enum Help {
    static let summary = "builds bootable Kubernetes node images: reproducible, cached, verified"

    private static let environment: [(String, String)] = [
        ("FORGE_CACHE", "the cache directory, like --cache"),
        ("FORGE_MIRROR_<ARCHIVE>", "where to fetch an archive from, like --mirror; FORGE_MIRROR_DEBIAN for “debian”"),
        ("FORGE_SNAPSHOT_<ARCHIVE>", "a snapshot service, like --snapshot"),
        ("SOURCE_DATE_EPOCH", "the time that artifacts carry, instead of the lock's date"),
        ("NO_COLOR", "no colour, whatever its value"),
    ]

    private static let exitCodes: [(ExitCode, String)] = [
        (.done, "done"),
        (.badInput, "a recipe, lock, stage or command line is wrong"),
        (.unsupportedHost, "the host lacks something that forge needs"),
        (.network, "the network or a mirror failed"),
        (.io, "a file, disk or cache operation failed"),
        (.stageFailed, "a stage, or a test of an image, failed"),
        (.verification, "a digest or signature does not hold"),
        (.bug, "a mistake in forge"),
        (.interrupted, "stopped by the user"),
    ]

    static func overview() -> String {
        var text = "forge \(summary)\n\nUsage: forge COMMAND [OPTIONS]\n\nCommands:\n"
        text += table(CommandCatalog.all.map { ($0.name, $0.summary) })
        text += "\nEnvironment:\n" + table(environment)
        text += "\nExit codes:\n" + table(exitCodes.map { (String($0.0.rawValue), $0.1) })
        text += "\nStart with `forge build debian-node`; `forge COMMAND --help` has options and examples.\n"
        return text
    }

    static func text(for command: CommandSyntax) -> String {
        var text = "\(command.summary)\n\nUsage: \(command.usage)\n"
        if !command.discussion.isEmpty { text += "\n" + wrap(command.discussion, indent: 0) }
        for operand in command.operands {
            if case .choice(let words) = operand.kind {
                text += "\n\(operand.name): \(words.joined(separator: ", "))\n"
            }
        }
        text += "\nOptions:\n" + table((command.options + Arguments.common).map { (written($0), $0.summary) })
        if !command.examples.isEmpty {
            text += "\nExamples:\n"
            for example in command.examples { text += "  \(example.command)\n      \(example.meaning)\n" }
        }
        return text
    }

    static func written(_ option: OptionSyntax) -> String {
        "--\(option.name)" + (option.value.map { " \($0)" } ?? "")
    }

    private static func table(_ rows: [(String, String)]) -> String {
        let width = min(28, rows.map(\.0.count).max() ?? 0)
        return rows.map { name, meaning in
            let gap =
                name.count > width
                ? "\n" + String(repeating: " ", count: width + 4)
                : String(repeating: " ", count: width - name.count + 2)
            return "  \(name)\(gap)\(meaning)\n"
        }.joined()
    }

    static func wrap(_ text: String, indent: Int, width: Int = 78) -> String {
        var lines: [String] = []
        var line = ""
        for word in text.split(whereSeparator: \.isWhitespace) {
            if !line.isEmpty, line.count + word.count + 1 > width - indent {
                lines.append(line)
                line = ""
            }
            line += (line.isEmpty ? "" : " ") + word
        }
        lines.append(line)
        return lines.map { String(repeating: " ", count: indent) + $0 + "\n" }.joined()
    }

    // MARK: Manual page

    /// The manual page in man(7) troff.
    static func manual() -> String {
        var page = ".TH FORGE 1 \"\" \"forge \(Version.text)\" \"User Commands\"\n"
        page += ".SH NAME\nforge \\- \(escape(summary))\n.SH SYNOPSIS\n.B forge\n.I COMMAND\n[\\fIOPTIONS\\fR]\n"
        page += ".SH COMMANDS\n"
        for command in CommandCatalog.all {
            page += ".SS \(escape(command.usage))\n\(escape(command.summary)).\n"
            if !command.discussion.isEmpty { page += "\(escape(command.discussion))\n" }
            for option in command.options { page += ".TP\n.B \(escape(written(option)))\n\(escape(option.summary)).\n" }
            for example in command.examples {
                page += ".PP\n.RS\n.nf\n\(escape(example.command))\n.fi\n.RE\n\(escape(example.meaning)).\n"
            }
        }
        page += ".SH COMMON OPTIONS\n"
        for option in Arguments.common { page += ".TP\n.B \(escape(written(option)))\n\(escape(option.summary)).\n" }
        page += ".SH ENVIRONMENT\n"
        for (name, meaning) in environment { page += ".TP\n.B \(escape(name))\n\(escape(meaning)).\n" }
        page += ".SH EXIT STATUS\n"
        for (code, meaning) in exitCodes { page += ".TP\n.B \(code.rawValue)\n\(escape(meaning)).\n" }
        return page
    }

    private static func escape(_ text: String) -> String {
        var out = ""
        for character in text {
            switch character {
            case "\\": out += "\\e"
            case "-": out += "\\-"
            default: out.append(character)
            }
        }
        return out.hasPrefix(".") || out.hasPrefix("'") ? "\\&" + out : out
    }
}
