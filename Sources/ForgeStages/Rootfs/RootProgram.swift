import ForgeBase
import ForgeScripts
import ForgeSystem

/// Runs programs of the image, in the image, and keeps the end of what they say.
struct RootProgram: Sendable {
    /// The path of the root out here.
    let root: String
    let epoch: Int64
    let log: @Sendable ([UInt8]) -> Void
    /// By how much the programs' clock is wrong on purpose; for tests of reproducibility.
    var clockOffset: String?

    /// What a program did.
    struct Outcome {
        var report: ExitReport
        /// Everything it wrote, up to 4 MiB.
        var output: String

        /// The last lines that say anything.
        func lastLines(_ count: Int) -> [String] {
            output.split(separator: "\n").map(String.init).filter { !$0.trimmed.isEmpty }.suffix(count)
        }
    }

    /// The environment of maintainer scripts: nobody answers questions, nothing of the host.
    var environment: [(String, String)] {
        [
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"), ("HOME", "/root"),
            ("LC_ALL", "C.UTF-8"), ("LANG", "C.UTF-8"), ("TZ", "UTC"), ("TERM", "dumb"), ("SHELL", "/bin/sh"),
            ("DEBIAN_FRONTEND", "noninteractive"), ("DEBCONF_NONINTERACTIVE_SEEN", "true"),
            ("DEBCONF_NOWARNINGS", "yes"),
            // Python then writes byte code that is checked by the hash of its source, which no time enters.
            ("SOURCE_DATE_EPOCH", String(epoch)), ("PYTHONHASHSEED", "0"), ("PERL_HASH_SEED", "0"),
            ("PERL_PERTURB_KEYS", "0"), ("SYSTEMD_OFFLINE", "1"),
        ]
    }

    /// Runs a program to its end. A bad exit status is no error.
    func run(
        _ program: String, _ arguments: [String], extra: [(String, String)] = [], input: Command.Input = .null
    ) throws(ForgeError) -> Outcome {
        var sandbox = Sandbox(root: .directory(root))
        FakeClock.apply(clockOffset, to: &sandbox)
        let command = Command(
            program, arguments, environment: environment + extra + FakeClock.environment(clockOffset), directory: "/",
            input: input, output: .pipe,
            errors: .merged)
        let child = try sandbox.start(command)
        var text: [UInt8] = []
        let (report, _) = try child.drain { bytes, _ throws(ForgeError) in
            log(bytes)
            if text.count < 4 << 20 { text += bytes }
        }
        return Outcome(report: report, output: String(decoding: text, as: UTF8.self))
    }

    /// Runs a program that must succeed.
    /// - Parameter what: what it is done for, for the error: “cannot <what>”.
    func require(
        _ what: String, _ program: String, _ arguments: [String], extra: [(String, String)] = [],
        input: Command.Input = .null
    ) throws(ForgeError) {
        let outcome = try run(program, arguments, extra: extra, input: input)
        guard !outcome.report.succeeded else { return }
        throw ForgeError(
            .stageFailed, "cannot \(what): \(program) \(outcome.report.status)",
            details: [([program] + arguments).joined(separator: " ")] + outcome.lastLines(10))
    }
}
