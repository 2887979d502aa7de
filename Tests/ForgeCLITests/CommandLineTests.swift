import ForgeBase
import Testing

@testable import ForgeCLI

@Suite struct ArgumentsTests {
    func parse(_ words: String...) throws(ForgeError) -> Arguments {
        guard let command = CommandCatalog.named(words[0]) else { throw ForgeError(.bug, "no such command") }
        return try Arguments(parsing: words.dropFirst(), for: command)
    }

    @Test func optionsAndOperandsComeInAnyOrder() throws {
        let arguments = try parse("build", "--set", "suite=trixie", "debian-node", "--set=a=b=c", "--locked")
        #expect(arguments.operands == ["debian-node"])
        #expect(arguments.has("locked") && !arguments.has("offline"))
        let pairs = try arguments.pairs("set")
        #expect(pairs.map(\.0) == ["suite", "a"] && pairs.map(\.1) == ["trixie", "b=c"])
    }

    @Test func whatFollowsTwoDashesIsNoOption() throws {
        #expect(try parse("init", "--", "--help").operands == ["--help"])
    }

    @Test(arguments: [
        (["build", "--lockd"], "unknown option --lockd; did you mean “locked”?"),
        (["build", "-x"], "unknown option -x"),
        (["build", "--locked=yes"], "--locked takes no value"),
        (["build", "--jobs"], "--jobs needs a value: --jobs N"),
        (["run", "--firmware", "efi"], "--firmware cannot be “efi”: choose from bios, uefi"),
        (["build", "a", "b"], "unexpected “b”"),
        (["lock"], "missing RECIPE: forge lock [OPTIONS] RECIPE [PACKAGE…]"),
        (["cache", "purge"], "“purge” is none of stat, verify, repair, gc, pin, unpin, pins, export, import, clear"),
        (["build", "--output", "a", "--output", "b"], "--output is given twice"),
    ]) func wrongLinesSayWhatIsWrong(words: [String], message: String) {
        let error = #expect(throws: ForgeError.self) {
            guard let command = CommandCatalog.named(words[0]) else { return }
            _ = try Arguments(parsing: words.dropFirst(), for: command)
        }
        #expect(error?.message == message)
        #expect(error?.code == .badInput)
        #expect(error?.remedy == "see `forge \(words[0]) --help`")
    }

    @Test func numbersAreChecked() throws {
        #expect(try parse("build", "--jobs", "3").number("jobs", least: 1) == 3)
        #expect(throws: ForgeError.self) { try parse("build", "--jobs", "0").number("jobs", least: 1) }
    }
}

@Suite struct HelpTests {
    @Test func everyCommandHasHelpWithItsOptionsAndExamples() {
        for command in CommandCatalog.all {
            let text = Help.text(for: command)
            #expect(text.hasPrefix(command.summary))
            for option in command.options { #expect(text.contains("--" + option.name)) }
            #expect(Help.overview().contains("  \(command.name)"))
            for line in text.split(separator: "\n") { #expect(line.count <= 130, "\(command.name): \(line)") }
        }
    }

    @Test func examplesAreCommandLinesThatForgeTakes() throws {
        for command in CommandCatalog.all {
            for example in command.examples where example.command.hasPrefix("forge ") {
                let words = example.command.split(separator: " ").map(String.init).prefix { $0 != ">" && $0 != "|" }
                #expect(words[1] == command.name)
                #expect(throws: Never.self, "\(example.command)") {
                    try Arguments(parsing: words.dropFirst(2), for: command)
                }
            }
        }
    }

    @Test func theManualNamesEveryCommand() {
        for command in CommandCatalog.all { #expect(Help.manual().contains(".SS forge \(command.name)")) }
    }

    @Test(arguments: ["bash", "zsh", "fish"]) func completionsKnowEveryOption(shell: String) {
        let script = Completions.script(for: shell)
        for command in CommandCatalog.all {
            for option in command.options { #expect(script.contains(option.name), "\(shell): \(option.name)") }
        }
    }
}

@Suite struct FormatTests {
    @Test(
        arguments: [
            (0, "0 B"), (999, "999 B"), (1000, "1.00 kB"), (12_345, "12.3 kB"), (999_499, "999 kB"),
            (999_999, "1.00 MB"),
            (288_000_000, "288 MB"),
        ] as [(Int64, String)]) func bytesHaveThreeDigits(count: Int64, text: String)
    {
        #expect(Format.bytes(count) == text)
    }

    @Test(arguments: [
        (0.00004, "0.0 ms"), (0.0035, "3.5 ms"), (0.04, "40 ms"), (0.999, "999 ms"), (0.9996, "1.0 s"), (9.94, "9.9 s"),
        (12.4, "12 s"), (125, "2 min 5 s"),
    ])
    func secondsAreShort(seconds: Double, text: String) {
        #expect(Format.seconds(seconds) == text)
    }

    @Test func sizesAreReadAsPeopleWriteThem() {
        #expect(Format.size("20G") == 20 << 30)
        #expect(Format.size("512M") == 512 << 20)
        #expect(Format.size("1048576") == 1 << 20)
        for wrong in ["", "G", "-1G", "20GB", "99999999999G"] { #expect(Format.size(wrong) == nil, "\(wrong)") }
    }
}
