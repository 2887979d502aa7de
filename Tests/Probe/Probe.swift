import ForgeBase
import ForgeSystem
import Glibc

/// What the tests of `ForgeSystem` need in a process of its own: as another user, as the child in private namespaces
/// that makes a sandbox, as a parent that is killed.
///
/// `forge-probe VERB ARGUMENT…`.
@main
struct Probe {
    static func main() {
        do {
            exit(try run(Array(CommandLine.arguments.dropFirst())))
        } catch {
            print("error: \(error)")
            exit((error as? ForgeError)?.code.rawValue ?? 70)
        }
    }

    static func run(_ arguments: [String]) throws -> Int32 {
        let rest = Array(arguments.dropFirst())
        switch arguments.first {
        case "private": return try privately(rest, network: false)
        case "network": return try privately(rest, network: true)
        case "plain":
            return finish(try Command(rest[0], Array(rest.dropFirst()), output: .descriptor(1)).start().drain().report)
        case "bridged": return try bridged(rest)
        case "sandbox": return try sandbox(rest)
        case "remove":
            try Removal.remove(rest[0])
            return 0
        case "time": return try time(rest)
        case "descriptors": return try descriptors()
        case "race": return try race(locked: rest == ["locked"])
        case let verb: throw ForgeError(.badInput, "no verb \(verb ?? "")")
        }
    }

    /// `private PROGRAM ARGUMENT…`: runs it in private namespaces.
    static func privately(_ words: [String], network: Bool) throws -> Int32 {
        let command = Command(
            words[0], Array(words.dropFirst()), input: .descriptor(0), output: .descriptor(1),
            namespaces: .private(network: network))
        return finish(try command.start().drain().report)
    }

    /// `bridged FIRST SECOND`: a shell script in namespaces with a bridge of two taps, and a second one that joins them while
    /// the first waits for the end of its input.
    static func bridged(_ scripts: [String]) throws -> Int32 {
        let bridge = Bridge(name: "plug", address: "10.99.0.1", bits: 24, taps: ["tap1", "tap2"])
        let first = try Command(
            "/bin/sh", ["-c", scripts[0] + "; cat >/dev/null"], input: .pipe, output: .descriptor(1),
            namespaces: .bridged(bridge)
        ).start()
        let second = try Command(
            "/bin/sh", ["-c", scripts[1]], output: .descriptor(1), namespaces: .joined(first.pidfd)
        ).start().drain().report
        first.closeInput()
        let status = finish(try first.drain().report)
        return status == 0 ? finish(second) : status
    }

    /// `sandbox [lower=DIR]… [scratch=DIR | directory=DIR] [ro=SOURCE:TARGET]… [rw=SOURCE:TARGET]… [timeout=S] --
    /// PROGRAM ARGUMENT…`: in this process's namespaces.
    static func sandbox(_ words: [String]) throws -> Int32 {
        var lower: [String] = []
        var sandbox = Sandbox(root: .directory("/nowhere"))
        let end = words.firstIndex(of: "--") ?? words.endIndex
        for word in words[..<end] {
            let parts = word.split(separator: "=", maxSplits: 1).map(String.init)
            let value = parts.count > 1 ? parts[1] : ""
            switch parts[0] {
            case "lower": lower.append(value)
            case "scratch": sandbox.root = .overlay(lower: lower, scratch: value)
            case "directory": sandbox.root = .directory(value)
            case "ro", "rw":
                let ends = value.split(separator: ":").map(String.init)
                sandbox.binds.append(.init(ends[0], at: ends[1], writable: parts[0] == "rw"))
            case "network": sandbox.network = true
            case "keep": sandbox.emptyTemporaries = false
            case "strict": sandbox.noNewPrivileges = true
            case "timeout": sandbox.timeoutSeconds = Double(value)
            default: throw ForgeError(.badInput, "no option \(word)")
            }
        }
        let program = words[words.index(after: end)...]
        return finish(
            try sandbox.run(
                program.first ?? "", Array(program.dropFirst()), environment: Command.plainEnvironment,
                input: .descriptor(0)))
    }

    /// `time COUNT VERB…`: milliseconds per run, least and median.
    static func time(_ words: [String]) throws -> Int32 {
        var times: [Double] = []
        for _ in 0..<(Int(words[0]) ?? 1) {
            let start = SystemTime().monotonic()
            _ = try run(Array(words.dropFirst()))
            times.append(Double((SystemTime().monotonic() - start) / 1000) / 1000)
        }
        times.sort()
        print("\(words[1]): \(times[0]) ms, \(times[times.count / 2]) ms")
        return 0
    }

    /// `descriptors`: how many more are open after children that ran and children that could not.
    static func descriptors() throws -> Int32 {
        func count() throws -> Int { try Files.list("/proc/self/fd").count }
        let before = try count()
        for namespaces in [Namespaces.none, .private(network: false)] {
            for program in ["/bin/true", "/no/such/program"] {
                for _ in 0..<5 {
                    _ = try? Command(program, input: .bytes([1]), errors: .pipe, events: true, namespaces: namespaces)
                        .run()
                }
            }
        }
        print(try count() - before)
        return 0
    }

    /// `race [locked]`: several threads count in one place; without the lock thread sanitizer must say so.
    static func race(locked: Bool) throws -> Int32 {
        // Unchecked because the race is wanted.
        final class Counter: @unchecked Sendable { var count = 0 }
        let (counter, lock) = (Counter(), Locked(()))
        try Threads.forEach(40, width: 4) { _ in
            // Else one thread may have done everything before the others begin.
            SystemTime.sleep(milliseconds: 1)
            if locked { lock.withLock { _ in counter.count += 1 } } else { counter.count += 1 }
        }
        return counter.count > 0 ? 0 : 1
    }

    static func finish(_ report: ExitReport) -> Int32 {
        switch report.status {
        case .exited(let code): return code
        case .signalled(let signal): return 128 + signal
        }
    }
}
