import ForgeBase
import ForgeEngine
import ForgeRecipe
import ForgeStore
import ForgeSystem
import Glibc

/// Runs each action as a child process: `forge-helper run`.
final class HelperRunner: ActionRunner {
    /// Where helpers fetch from, and what else they may know that is in no key.
    struct Surroundings {
        var mirrors: [(String, [String])] = []
        var snapshots: [(String, [String])] = []
        var offline = false
        /// Seconds by which the sandbox's clock is wrong on purpose; for tests of reproducibility.
        var clockOffset: String?
        /// Bytes that a tool cache should not grow over; nil: scripts do without.
        var toolCacheLimit: Int64?
    }

    private final class Running {
        let child: Child
        let scratch: Scratch
        let log: String
        let started: Double
        /// The limit in seconds, and when it is over.
        let limit: Int64?
        var deadline: Double? { limit.map { started + Double($0) } }
        var isOverdue = false
        var events: [UInt8] = []
        var outcome: Result<(outputs: [ActionResult.Output], provides: [JSON]), ForgeError>?

        init(child: Child, scratch: Scratch, log: String, started: Double, limit: Int64?) {
            self.child = child
            self.scratch = scratch
            self.log = log
            self.started = started
            self.limit = limit
        }
    }

    /// The word that makes `forge` the child process of a script's action.
    static let scriptCommand = "run-script"

    private let helper: String
    private let program: String
    private let store: Store
    private var cache: String { store.directory }
    private let surroundings: Surroundings
    private let signals: Signals
    private let time: any TimeSource
    private var running: [Int: Running] = [:]
    private var pending: [RunnerEvent] = []

    init(helper: String, store: Store, surroundings: Surroundings, signals: Signals, time: any TimeSource) {
        self.helper = helper
        program = Host.executablePath ?? helper
        self.store = store
        self.surroundings = surroundings
        self.signals = signals
        self.time = time
    }

    /// The log of an action, by its key.
    static func log(of key: Digest, cache: String) -> String { "\(cache)/logs/\(key.hex).log" }

    func start(_ index: Int, _ request: ActionRequest) throws {
        // What the plan has put into the store must be there for the other process.
        try store.flush()
        let scratch = try Scratch(cache: cache, name: String(request.key.digest.hex.prefix(16)), helper: helper)
        let message = HelperRequest(
            request, cache: cache, scratch: scratch.path, mirrors: surroundings.mirrors,
            snapshots: surroundings.snapshots, clockOffset: surroundings.clockOffset,
            offline: surroundings.offline, toolCacheLimit: surroundings.toolCacheLimit)
        let log = HelperRunner.log(of: request.key.digest, cache: cache)
        try Files.makeDirectories(Files.parent(of: log))
        let logFile = try FileDescriptor(opening: log, flags: O_WRONLY | O_CREAT | O_TRUNC)
        let isScript = request.action.program == .script
        let child = try Command(
            isScript ? program : helper, [isScript ? HelperRunner.scriptCommand : "run"],
            environment: HelperRunner.environment(),
            input: .bytes(Array(message.json.description.utf8)),
            output: .descriptor(logFile.raw), events: true,
            // Offline, a stage that fetches may still find everything in the cache; the kernel sees to it that it asks nobody.
            namespaces: request.action.network && !surroundings.offline ? .none : .private(network: false)
        ).start()
        running[index] = Running(
            child: child, scratch: scratch, log: log, started: seconds(), limit: request.action.timeout)
    }

    /// What helpers see of forge's environment: how to reach the network, where programs are. Nothing of it can reach an
    /// artifact: sandboxes start from an environment of their own.
    static func environment() -> [(String, String)] {
        let passed = [
            "http_proxy", "https_proxy", "no_proxy", "all_proxy",
            // libcurl takes these in capitals too, but never HTTP_PROXY, which a CGI client could set.
            "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE",
        ]
        return Command.plainEnvironment + passed.compactMap { name in Host.environment(name).map { (name, $0) } }
    }

    private func seconds() -> Double { Double(time.monotonic()) / 1e9 }

    func next() throws -> RunnerEvent {
        while pending.isEmpty {
            let order = running.keys.sorted()
            var fds = [signals.fd]
            for index in order {
                if let action = running[index] { fds += [action.child.events, action.child.pidfd] }
            }
            let ready = try Poller.wait(fds: fds, timeoutMilliseconds: 100)
            if ready[0], signals.next() != nil { return .interrupted }
            for (i, index) in order.enumerated() where ready[1 + 2 * i] || ready[2 + 2 * i] {
                try readEvents(index)
                if ready[2 + 2 * i] { try conclude(index) }
            }
            stopOverdue()
            if pending.isEmpty { return .tick }
        }
        return pending.removeFirst()
    }

    /// Ends what has run longer than its limit, with every process below it; its end is then an event like any other.
    private func stopOverdue() {
        let now = seconds()
        for action in running.values {
            guard let deadline = action.deadline, now >= deadline, !action.isOverdue else { continue }
            action.isOverdue = true
            action.child.kill()
        }
    }

    private static func overdue(_ action: Running, _ limit: Int64) -> ForgeError {
        ForgeError(
            .stageFailed, "it ran longer than its limit of \(TimeLimit.text(limit)) and was stopped",
            details: tail(of: action.log),
            remedy:
                "if it needs the time, raise the limit: timeout: \(TimeLimit.text(limit * 2)), for this stage in the "
                + "recipe or for all in its stage.yaml")
    }

    private func readEvents(_ index: Int) throws {
        guard let action = running[index] else { return }
        while let bytes = try action.child.readEvents(), !bytes.isEmpty { action.events += bytes }
        while let end = action.events.firstIndex(of: UInt8(ascii: "\n")) {
            let line = Array(action.events[..<end])
            action.events.removeFirst(line.count + 1)
            guard let json = try? JSON(parsing: line, file: "helper"), let event = HelperEvent(json: json) else {
                action.outcome = .failure(ForgeError(.bug, "the helper said something that forge does not understand"))
                continue
            }
            switch event {
            case .progress(let progress): pending.append(.progress(index, progress))
            case .result(let outputs, let provides): action.outcome = .success((outputs, provides))
            case .error(let error): action.outcome = .failure(error)
            }
        }
    }

    /// The child has ended: its last word and its exit status make the result.
    private func conclude(_ index: Int) throws {
        guard let action = running[index], let report = try action.child.reap() else { return }
        try readEvents(index)
        running[index] = nil
        action.scratch.remove()
        let result: Result<ActionResult, ForgeError>
        switch action.outcome {
        case .success(let value) where report.succeeded:
            result = .success(
                ActionResult(
                    outputs: value.outputs, provides: value.provides, seconds: seconds() - action.started,
                    cpuSeconds: report.userSeconds + report.systemSeconds, maxMemory: report.maxMemory))
        case _ where action.isOverdue:
            result = .failure(HelperRunner.overdue(action, action.limit ?? 0))
        case .failure(var error):
            if error.code == .stageFailed { error.details += HelperRunner.tail(of: action.log) }
            result = .failure(error)
        default:
            result = .failure(
                ForgeError(.stageFailed, "the helper \(report.status)", details: HelperRunner.tail(of: action.log)))
        }
        pending.append(.finished(index, result))
    }

    /// The last lines of a log, for an error.
    static func tail(of log: String, lines: Int = 12) -> [String] {
        guard let bytes = try? Files.read(log), !bytes.isEmpty else { return [] }
        let text = String(decoding: bytes.suffix(8192), as: UTF8.self)
        return text.split(separator: "\n").suffix(lines).map { "│ \($0)" } + ["the whole log: \(log)"]
    }

    func cancelAll() {
        for action in running.values { action.child.terminate() }
        let deadline = seconds() + 2
        while seconds() < deadline, running.values.contains(where: { (try? $0.child.reap()) == .some(nil) }) {
            _ = try? Poller.wait(fds: running.values.map(\.child.pidfd), timeoutMilliseconds: 50)
        }
        for action in running.values {
            action.child.kill()
            _ = try? action.child.drain()
            action.scratch.remove()
        }
        running = [:]
    }
}
