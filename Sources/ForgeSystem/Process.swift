import CLinux
package import ForgeBase
import Glibc

/// A program to run, with everything it sees: nothing is inherited.
package struct Command: Sendable {
    /// What the program reads.
    package enum Input: Sendable {
        /// Nothing.
        case null
        /// These bytes, from a file in memory.
        case bytes([UInt8])
        /// An open descriptor, which stays the caller's: 0 for the terminal.
        case descriptor(Int32)
        /// What `Child.send` writes.
        case pipe
    }

    /// Where standard output or standard error goes.
    package enum Output: Sendable, Equatable {
        /// A pipe that the caller reads.
        case pipe
        /// Standard error only: where standard output goes.
        case merged
        /// Away.
        case null
        /// An open descriptor, which stays the caller's.
        case descriptor(Int32)
    }

    /// A path, or a name that is looked for in `PATH` of the host.
    package var executable: String
    /// Without `argv[0]`, which is `executable`.
    package var arguments: [String]
    /// Complete.
    package var environment: [(String, String)]
    /// The working directory; `/` if nil.
    package var directory: String?
    package var input: Input
    package var output: Output
    package var errors: Output
    /// Whether descriptor 3 is a pipe to `Child.events`; else it is closed.
    package var events: Bool
    package var namespaces: Namespaces
    /// Stays in this process's session and process group: the terminal's Ctrl-C reaches it. For `forge shell`.
    package var keepsTerminal: Bool

    package init(
        _ executable: String, _ arguments: [String] = [], environment: [(String, String)] = Command.plainEnvironment,
        directory: String? = nil, input: Input = .null, output: Output = .pipe, errors: Output = .merged,
        events: Bool = false, namespaces: Namespaces = .none, keepsTerminal: Bool = false
    ) {
        self.executable = executable
        self.arguments = arguments
        self.environment = environment
        self.directory = directory
        self.input = input
        self.output = output
        self.errors = errors
        self.events = events
        self.namespaces = namespaces
        self.keepsTerminal = keepsTerminal
    }

    /// The least a program of the host needs, the same everywhere.
    package static let plainEnvironment: [(String, String)] = [
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"), ("LC_ALL", "C.UTF-8"), ("TZ", "UTC"),
    ]

    /// Starts the program.
    ///
    /// The kernel kills the child when the *thread* that started it ends, also by `kill -9`; so start children from a
    /// thread that outlives them. A child without namespaces that starts others should be asked to end, not killed:
    /// only its process group dies with it. In private namespaces every process in them dies.
    /// - Throws: `unsupportedHost` if the program is not there or namespaces can't be had, else `io`.
    package func start() throws(ForgeError) -> Child {
        var plan = SpawnPlan()
        plan.program = try resolvedExecutable()
        plan.namespaces = namespaces.flags
        plan.steps = namespaces.steps
        // Only new namespaces have ids to map.
        let isNew = namespaces.flags != 0
        if isNew { plan.idMap = try IDMap.current() }
        return try start(plan) { failure in
            if isNew && failure.phase != FORGE_AT_EXEC && failure.phase != FORGE_AT_DIRECTORY {
                return failure.namespaceError()
            }
            return failure.programError(self, code: .unsupportedHost)
        }
    }

    /// Starts the program as a plan says, with this command's arguments and descriptors.
    func start(_ base: SpawnPlan, explain: (SpawnFailure) -> ForgeError) throws(ForgeError) -> Child {
        var plan = base
        plan.arguments = [executable] + arguments
        plan.environment = environment.map { "\($0.0)=\($0.1)" }
        plan.directory = directory ?? "/"
        plan.ownSession = !keepsTerminal
        let ends = try ChildEnds(self)
        plan.descriptors = ends.childSide
        do {
            let spawned = try plan.start()
            return Child(spawned, ends.take(), name: executable, ownGroup: plan.ownSession)
        } catch let failure as SpawnFailure {
            throw explain(failure)
        } catch let error as ForgeError {
            throw error
        } catch {
            throw ForgeError(.bug, "starting \(executable): \(error)")
        }
    }

    private func resolvedExecutable() throws(ForgeError) -> String {
        if executable.utf8.contains(UInt8(ascii: "/")) { return executable }
        if let path = Host.findProgram(executable) { return path }
        throw ForgeError(
            .unsupportedHost, "the program \(executable) is not installed", details: ["it is in no directory of PATH"],
            remedy: "install it, or add its directory to PATH")
    }

    /// The command as a shell would read it.
    package var quoted: String { ([executable] + arguments).map(\.shellQuoted).joined(separator: " ") }
}

extension String {
    /// In quotes if a POSIX shell would not take it as one plain word.
    package var shellQuoted: String {
        let plain = utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: "-_./=:,@%+".utf8.contains(byte)
            }
        }
        if plain && !isEmpty { return self }
        return "'" + split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
    }
}

extension SpawnFailure {
    /// The error of a program that could not be started.
    func programError(_ command: Command, code exitCode: ExitCode) -> ForgeError {
        let reason = String(cString: strerror(code))
        switch phase {
        case FORGE_AT_EXEC:
            var error = ForgeError(exitCode, "cannot run \(command.executable): \(reason)")
            switch code {
            case ENOENT:
                error.details = ["the file is not there, or the interpreter it names (`#!` line, loader) is not"]
            case EACCES: error.details = ["it is not executable, or a directory above it can't be entered"]
            case ENOEXEC: error.details = ["it is no program of this machine, and no script with a `#!` line"]
            case E2BIG: error.details = ["the arguments and environment are too long"]
            default: break
            }
            return error
        case FORGE_AT_DIRECTORY:
            return ForgeError(exitCode, "cannot run \(command.executable) in \(command.directory ?? "/"): \(reason)")
        case FORGE_AT_CLONE:
            return ForgeError(
                .io, "cannot start a process: \(reason)", remedy: "check the limit of processes (`ulimit -u`)")
        case FORGE_AT_PARENT:
            return ForgeError(.io, "\(command.executable) was killed before it ran")
        default:
            let what = step.map { "cannot \($0.purpose)" } ?? "cannot start \(command.executable)"
            return ForgeError(.io, "\(what): \(reason)")
        }
    }
}
