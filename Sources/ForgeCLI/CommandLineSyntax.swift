import ForgeBase

/// An option of a command line: `--name VALUE`, or a switch without a value.
struct OptionSyntax: Sendable {
    var name: String
    /// What stands for the value in help; nil for a switch.
    var value: String?
    var summary: String
    var repeats = false
    /// The only values there are, for checks and completion.
    var choices: [String] = []

    static func flag(_ name: String, _ summary: String) -> OptionSyntax {
        OptionSyntax(name: name, value: nil, summary: summary)
    }

    static func value(
        _ name: String, _ value: String, _ summary: String, repeats: Bool = false, choices: [String] = []
    ) -> OptionSyntax {
        OptionSyntax(name: name, value: value, summary: summary, repeats: repeats, choices: choices)
    }
}

/// What a word that is no option stands for.
struct OperandSyntax: Sendable {
    enum Kind: Sendable { case recipe, stage, word, choice([String]) }

    var name: String
    var kind: Kind
    var required = false
    var repeats = false
}

/// One command: the source of its parser, its help, its completions and its part of the manual page.
struct CommandSyntax: Sendable {
    var name: String
    var summary: String
    var discussion: String = ""
    var operands: [OperandSyntax] = []
    var options: [OptionSyntax] = []
    var examples: [(command: String, meaning: String)] = []

    /// `forge build [OPTIONS] [RECIPE]`.
    var usage: String {
        let words = operands.map { operand in
            let word = operand.name + (operand.repeats ? "…" : "")
            return operand.required ? word : "[\(word)]"
        }
        return (["forge", name, "[OPTIONS]"] + words).joined(separator: " ")
    }
}

/// A command line that fits its syntax.
struct Arguments: Sendable {
    var command: CommandSyntax
    private var values: [String: [String]] = [:]
    private(set) var operands: [String] = []

    /// Options that every command has.
    static let common: [OptionSyntax] = [
        .value("cache", "DIR", "Where objects, results and logs are kept (or FORGE_CACHE)"),
        .flag("json", "Write JSON to standard output"),
        .value(
            "color", "WHEN", "Colour: auto, always or never (NO_COLOR is honoured)",
            choices: ["auto", "always", "never"]),
        .flag("quiet", "Write errors and results only"),
        .flag("help", "Show this help"),
    ]

    /// - Throws: one error that names the word and what was probably meant.
    init(parsing words: ArraySlice<String>, for command: CommandSyntax) throws(ForgeError) {
        self.command = command
        let known = command.options + Arguments.common
        let help = "see `forge \(command.name) --help`"
        var rest = words
        while let word = rest.popFirst() {
            if word == "--" {
                operands += rest
                break
            }
            guard word.hasPrefix("-"), word != "-" else {
                operands.append(word)
                continue
            }
            let body = word == "-h" ? "help" : String(word.drop { $0 == "-" })
            let parts = body.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard word.hasPrefix("--") || word == "-h", let option = known.first(where: { $0.name == parts[0] }) else {
                let hint = Suggestion.hint(for: parts[0], in: known.map(\.name))
                throw ForgeError(.badInput, "unknown option \(word)\(hint)", remedy: help)
            }
            try take(option, inline: parts.count > 1 ? parts[1] : nil, rest: &rest, remedy: help)
        }
        try checkOperands(remedy: help)
    }

    private mutating func take(
        _ option: OptionSyntax, inline: String?, rest: inout ArraySlice<String>, remedy: String
    ) throws(ForgeError) {
        guard let name = option.value else {
            guard inline == nil else {
                throw ForgeError(.badInput, "--\(option.name) takes no value", remedy: remedy)
            }
            values[option.name] = [""]
            return
        }
        guard let value = inline ?? rest.popFirst() else {
            throw ForgeError(.badInput, "--\(option.name) needs a value: --\(option.name) \(name)", remedy: remedy)
        }
        guard option.choices.isEmpty || option.choices.contains(value) else {
            throw ForgeError(
                .badInput,
                "--\(option.name) cannot be “\(value)”: choose from \(option.choices.joined(separator: ", "))",
                remedy: remedy)
        }
        guard option.repeats || values[option.name] == nil else {
            throw ForgeError(.badInput, "--\(option.name) is given twice", remedy: remedy)
        }
        values[option.name, default: []].append(value)
    }

    private func checkOperands(remedy: String) throws(ForgeError) {
        if has("help") { return }
        let most = command.operands.contains(where: \.repeats) ? Int.max : command.operands.count
        guard operands.count <= most else {
            throw ForgeError(.badInput, "unexpected “\(operands[most])”", remedy: remedy)
        }
        for (i, operand) in command.operands.enumerated() {
            if operand.required, i >= operands.count {
                throw ForgeError(.badInput, "missing \(operand.name): \(command.usage)", remedy: remedy)
            }
            if case .choice(let choices) = operand.kind, i < operands.count, !choices.contains(operands[i]) {
                let hint = Suggestion.hint(for: operands[i], in: choices)
                throw ForgeError(
                    .badInput, "“\(operands[i])” is none of \(choices.joined(separator: ", "))\(hint)", remedy: remedy)
            }
        }
    }

    func has(_ option: String) -> Bool { values[option] != nil }

    func value(_ option: String) -> String? { values[option]?.last }

    func list(_ option: String) -> [String] { values[option] ?? [] }

    func operand(_ index: Int) -> String? { index < operands.count ? operands[index] : nil }

    /// A whole number from `least` up.
    func number(_ option: String, least: Int, most: Int = .max) throws(ForgeError) -> Int? {
        guard let text = value(option) else { return nil }
        guard let number = Int(text), (least...most).contains(number) else {
            let range = most == .max ? "of at least \(least)" : "from \(least) to \(most)"
            throw ForgeError(.badInput, "--\(option) must be a whole number \(range), not “\(text)”")
        }
        return number
    }

    /// `name=value` pairs of a repeatable option, in order.
    func pairs(_ option: String) throws(ForgeError) -> [(String, String)] {
        var pairs: [(String, String)] = []
        for text in list(option) {
            guard let equals = text.firstIndex(of: "="), equals != text.startIndex else {
                throw ForgeError(.badInput, "--\(option) must be NAME=VALUE, not “\(text)”")
            }
            pairs.append((String(text[..<equals]), String(text[text.index(after: equals)...])))
        }
        return pairs
    }
}
