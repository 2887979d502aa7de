import CLinux
package import ForgeBase
import Glibc

/// How a child ended, and what it used.
package struct ExitReport: Sendable, Equatable {
    package enum Status: Sendable, Equatable, CustomStringConvertible {
        case exited(Int32)
        case signalled(Int32)

        /// "exited with 1", "was killed by signal 9 (Killed)".
        package var description: String {
            switch self {
            case .exited(let code): "exited with \(code)"
            case .signalled(let signal): "was killed by signal \(signal) (\(String(cString: strsignal(signal))))"
            }
        }
    }

    package var status: Status
    /// Of the child and of every process below it that has been waited for.
    package var userSeconds: Double
    package var systemSeconds: Double
    /// Bytes of the largest of these processes. Never less than what forge itself had when it started the child.
    package var maxMemory: Int64

    package init(status: Status, userSeconds: Double = 0, systemSeconds: Double = 0, maxMemory: Int64 = 0) {
        self.status = status
        self.userSeconds = userSeconds
        self.systemSeconds = systemSeconds
        self.maxMemory = maxMemory
    }

    package var succeeded: Bool { status == .exited(0) }
}

/// A running program. Killed and waited for when the object goes away.
package final class Child {
    package let pid: Int32
    /// Readable when the child has ended; for `Poller`.
    package let pidfd: Int32
    /// Read end of standard output, and of standard error where that is merged; does not block; -1 once closed.
    package private(set) var output: Int32
    /// Read end of standard error if it has its own pipe, else -1.
    package private(set) var errors: Int32
    /// Read end of the child's descriptor 3, or -1.
    package private(set) var events: Int32
    /// Write end of standard input if that is a pipe, else -1.
    private var input: Int32
    private let reports: Int32
    private let ownGroup: Bool
    private let name: String
    private var report: ExitReport?

    init(_ spawned: Spawned, _ ends: ParentEnds, name: String, ownGroup: Bool) {
        pid = spawned.pid
        pidfd = spawned.pidfd
        reports = spawned.reports
        input = ends.input
        output = ends.output
        errors = ends.errors
        events = ends.events
        self.name = name
        self.ownGroup = ownGroup
    }

    deinit {
        if report == nil {
            kill()
            var usage = forge_usage()
            _ = forge_reap(pid, &usage)
        }
        for fd in [input, output, errors, events, reports, pidfd] where fd >= 0 { close(fd) }
    }

    /// Writes to the child's standard input, which must be a pipe. Waits until the child takes it.
    package func send(_ bytes: [UInt8]) throws(ForgeError) { try FileDescriptor.write(bytes, to: input) }

    /// Closes the child's standard input: there will be no more.
    package func closeInput() {
        if input >= 0 { close(input) }
        input = -1
    }

    /// Asks the child and its process group to end (SIGTERM).
    package func terminate() { signal(SIGTERM) }

    /// Ends the child at once, with its process group, or, in private namespaces, with everything in them.
    package func kill() {
        signal(SIGKILL)
        if report == nil { _ = forge_pidfd_signal(pidfd, SIGKILL) }
    }

    private func signal(_ signal: Int32) {
        // The id of a child that has been waited for may belong to somebody else by now.
        guard report == nil else { return }
        if ownGroup { Glibc.kill(-pid, signal) } else { _ = forge_pidfd_signal(pidfd, signal) }
    }

    /// How the child ended, or nil while it runs. Does not block. What is left of its process group is killed.
    package func reap() throws(ForgeError) -> ExitReport? {
        if let report { return report }
        let ended = forge_ended(pidfd)
        guard ended >= 0 else { throw .system("cannot ask after \(name)") }
        guard ended == 1 else { return nil }
        if ownGroup { Glibc.kill(-pid, SIGKILL) }
        var usage = forge_usage()
        guard forge_reap(pid, &usage) == 1 else { throw .system("cannot wait for \(name)") }
        let status = reports < 0 ? usage.status : reportedStatus() ?? SIGKILL
        let result = ExitReport(
            status: forge_exited(status) != 0
                ? .exited(forge_exit_code(status)) : .signalled(forge_term_signal(status)),
            userSeconds: Double(usage.user_microseconds) / 1e6, systemSeconds: Double(usage.system_microseconds) / 1e6,
            maxMemory: usage.max_resident_bytes)
        report = result
        return result
    }

    /// What the reaper said of the program; nil if it was killed before it could.
    private func reportedStatus() -> Int32? {
        var record = forge_record()
        while forge_spawn_read(reports, &record) == 1 {
            if record.kind == FORGE_EXITED { return record.value }
        }
        return nil
    }

    /// What has come in of standard output: empty if there is nothing yet, nil at the end, when it is closed.
    package func readOutput() throws(ForgeError) -> [UInt8]? { try read(&output) }

    /// As `readOutput`, for standard error with its own pipe.
    package func readErrors() throws(ForgeError) -> [UInt8]? { try read(&errors) }

    /// As `readOutput`, for descriptor 3.
    package func readEvents() throws(ForgeError) -> [UInt8]? { try read(&events) }

    private func read(_ fd: inout Int32) throws(ForgeError) -> [UInt8]? {
        guard fd >= 0 else { return nil }
        var code: Int32 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: 1 << 16) { buffer, filled in
            var got: Int
            repeat { got = Glibc.read(fd, buffer.baseAddress, buffer.count) } while got < 0 && errno == EINTR
            code = got < 0 ? errno : 0
            filled = max(0, got)
        }
        if code == EAGAIN { return [] }
        guard code == 0 else { throw .system("cannot read from \(name)", code: code) }
        if bytes.isEmpty {
            close(fd)
            fd = -1
            return nil
        }
        return bytes
    }

    /// Reads everything until the child has ended, and gives each piece to `sink`.
    /// - Parameters:
    ///   - timeoutSeconds: the child is killed when it runs longer.
    ///   - sink: gets bytes and whether they come from standard error.
    /// - Returns: The report, and whether the time ran out.
    package func drain(
        timeoutSeconds: Double? = nil,
        _ sink: (_ bytes: [UInt8], _ isError: Bool) throws(ForgeError) -> Void = { _, _ in }
    ) throws(ForgeError) -> (report: ExitReport, timedOut: Bool) {
        let deadline = timeoutSeconds.map { SystemTime().monotonic() + Int64($0 * 1e9) }
        var timedOut = false
        while true {
            var patience: Int32?
            if let deadline, !timedOut {
                let left = deadline - SystemTime().monotonic()
                patience = Int32(clamping: max(0, (left + 999_999) / 1_000_000))
            }
            let ready = try Poller.wait(fds: [output, errors, pidfd], timeoutMilliseconds: patience)
            if ready[0], let bytes = try readOutput(), !bytes.isEmpty { try sink(bytes, false) }
            if ready[1], let bytes = try readErrors(), !bytes.isEmpty { try sink(bytes, true) }
            if ready[2] { break }
            if let deadline, !timedOut, SystemTime().monotonic() >= deadline {
                timedOut = true
                kill()
            }
        }
        guard let report = try reap() else { throw ForgeError(.bug, "\(name) has ended, yet it runs") }
        // What the program has written is in the pipes by now. A daemon may hold them open: don't wait for the end.
        while let bytes = try readOutput(), !bytes.isEmpty { try sink(bytes, false) }
        while let bytes = try readErrors(), !bytes.isEmpty { try sink(bytes, true) }
        return (report, timedOut)
    }
}

extension Command {
    /// Runs the program to its end.
    /// - Parameters:
    ///   - limit: bytes of output that are kept; the rest is read and dropped.
    ///   - timeoutSeconds: the program is killed, and an error thrown, when it runs longer.
    /// - Returns: How it ended, and its output (with standard error where that is merged). A bad exit status is no error.
    package func run(
        limit: Int = 1 << 24, timeoutSeconds: Double? = nil
    ) throws(ForgeError) -> (report: ExitReport, output: [UInt8]) {
        let (report, output, _) = try runSeparately(limit: limit, timeoutSeconds: timeoutSeconds)
        return (report, output)
    }

    /// As `run`, with standard error by itself (`errors: .pipe`).
    package func runSeparately(
        limit: Int = 1 << 24, timeoutSeconds: Double? = nil
    ) throws(ForgeError) -> (report: ExitReport, output: [UInt8], errors: [UInt8]) {
        let child = try start()
        var output: [UInt8] = []
        var errors: [UInt8] = []
        let (report, timedOut) = try child.drain(timeoutSeconds: timeoutSeconds) { bytes, isError throws(ForgeError) in
            if isError {
                errors += bytes.prefix(max(0, limit - errors.count))
            } else {
                output += bytes.prefix(max(0, limit - output.count))
            }
        }
        if timedOut, let timeoutSeconds {
            throw ForgeError(
                .stageFailed, "\(executable) ran longer than \(timeoutSeconds) s and was stopped", details: [quoted])
        }
        return (report, output, errors)
    }

    /// Runs the program and returns its output; any exit status but 0 is an error with the command and its last lines.
    package func outputOrThrow(code: ExitCode = .io, timeoutSeconds: Double? = nil) throws(ForgeError) -> [UInt8] {
        let (report, output, errors) = try runSeparately(timeoutSeconds: timeoutSeconds)
        guard !report.succeeded else { return output }
        let text = String(decoding: output + errors, as: UTF8.self)
        let lines = text.split(separator: "\n", omittingEmptySubsequences: true).suffix(10).map(String.init)
        throw ForgeError(code, "\(executable) \(report.status)", details: [quoted] + lines)
    }
}
