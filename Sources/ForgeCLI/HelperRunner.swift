import ForgeBase
import ForgeEngine
import ForgeRecipe
import ForgeStore
import ForgeSystem
import Glibc

/// Runs each action in a child process: `forge-helper run` for a built-in stage, one of a few `forge run-scripts` for a
/// script.
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
        /// The child if it goes on to the next script.
        let scripts: ScriptChild?
        let log: String
        let started: Double
        /// The limit in seconds, and when it is over.
        let limit: Int64?
        var deadline: Double? { limit.map { started + Double($0) } }
        var isOverdue = false
        var events: [UInt8] = []
        var outcome: Result<(outputs: [ActionResult.Output], provides: [JSON]), ForgeError>?
        /// Processor time in seconds and bytes of memory, as a script's child says.
        var used: (seconds: Double, memory: Int64)?

        init(child: Child, scripts: ScriptChild?, log: String, started: Double, limit: Int64?) {
            self.child = child
            self.scripts = scripts
            self.log = log
            self.started = started
            self.limit = limit
        }
    }

    private let helper: String
    private let program: String
    private let store: Store
    private var cache: String { store.directory }
    private let surroundings: Surroundings
    private let signals: Signals
    private let time: any TimeSource
    private var running: [Int: Running] = [:]
    /// Children that wait for a script.
    private var idle: [ScriptChild] = []
    /// Of the actions that are this build's until it releases them.
    private var claims: [Int: Scratch] = [:]
    /// Keys of actions that another build has.
    private var elsewhere: [Int: Digest] = [:]
    /// When those were asked for last.
    private var asked = 0.0
    private var lookups = 0
    private var pending: [RunnerEvent] = []

    init(helper: String, store: Store, surroundings: Surroundings, signals: Signals, time: any TimeSource) {
        self.helper = helper
        program = Host.executablePath ?? helper
        self.store = store
        self.surroundings = surroundings
        self.signals = signals
        self.time = time
    }

    deinit {
        for scripts in idle { scripts.finish() }
        for scratch in claims.values { scratch.remove() }
    }

    /// The log of an action, by its key.
    static func log(of key: Digest, cache: String) -> String { "\(cache)/logs/\(key.hex).log" }

    func claim(_ index: Int, _ request: ActionRequest) throws -> Bool {
        if claims[index] != nil { return true }
        claims[index] = try Scratch.claim(cache: cache, key: request.key.digest, helper: helper)
        if claims[index] != nil { return true }
        elsewhere[index] = request.key.digest
        pending.append(.progress(index, ActionProgress(phase: "waits for another build")))
        return false
    }

    func release(_ index: Int) { claims.removeValue(forKey: index)?.remove() }

    /// Takes what other builds are done with, or have died of.
    private func claimFreed() throws {
        guard !elsewhere.isEmpty, seconds() - asked > 0.05 else { return }
        asked = seconds()
        for (index, key) in elsewhere.sorted(by: { $0.key < $1.key }) {
            guard let scratch = try Scratch.claim(cache: cache, key: key, helper: helper) else { continue }
            claims[index] = scratch
            elsewhere[index] = nil
            pending.append(.free(index))
        }
    }

    /// Look-ups take microseconds: to ask before a few of them is soon enough.
    func isInterrupted() -> Bool {
        lookups += 1
        return lookups % 32 == 0 && signals.next() != nil
    }

    func start(_ index: Int, _ request: ActionRequest) throws {
        guard let scratch = claims[index] else { throw ForgeError(.bug, "\(request.action.name) is not claimed") }
        // What the plan has put into the store must be there for the other process.
        try store.flush()
        let log = HelperRunner.log(of: request.key.digest, cache: cache)
        try Files.makeDirectories(Files.parent(of: log))
        let message = HelperRequest(
            request, cache: cache, scratch: scratch.path, log: log, mirrors: surroundings.mirrors,
            snapshots: surroundings.snapshots, clockOffset: surroundings.clockOffset,
            offline: surroundings.offline, toolCacheLimit: surroundings.toolCacheLimit)
        let scripts = request.action.program == .script ? try ask(message) : nil
        let child = try scripts?.child ?? startHelper(message, network: request.action.network, log)
        running[index] = Running(
            child: child, scripts: scripts, log: log, started: seconds(), limit: request.action.timeout)
    }

    private func startHelper(_ message: HelperRequest, network: Bool, _ log: String) throws -> Child {
        let log = try FileDescriptor(opening: log, flags: O_WRONLY | O_CREAT | O_TRUNC)
        return try Command(
            helper, ["run"], environment: HelperRunner.environment(),
            input: .bytes(Array(message.json.description.utf8)), output: .descriptor(log.raw), events: true,
            // Offline, a stage that fetches may still find everything in the cache; the kernel sees to it that it asks nobody.
            namespaces: network && !surroundings.offline ? .none : .private(network: false)
        ).start()
    }

    /// Hands a script to a child that waits for one, or to a new one.
    private func ask(_ message: HelperRequest) throws -> ScriptChild {
        while let waiting = idle.popLast() {
            // One that was killed meanwhile, as by a lack of memory, is no reason for the script to fail.
            if waiting.isAlive, (try? waiting.ask(message)) != nil { return waiting }
        }
        let fresh = try ScriptChild(program: program)
        try fresh.ask(message)
        return fresh
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
                if let action = running[index], action.outcome != nil, let scripts = action.scripts {
                    idle.append(scripts)
                    try conclude(index, action, nil)
                } else if ready[2 + 2 * i] {
                    try bury(index)
                }
            }
            stopOverdue()
            try claimFreed()
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
            case .used(let seconds, let memory): action.used = (seconds, memory)
            case .result(let outputs, let provides): action.outcome = .success((outputs, provides))
            case .error(let error): action.outcome = .failure(error)
            }
        }
    }

    /// The child has ended.
    private func bury(_ index: Int) throws {
        guard let action = running[index], let report = try action.child.reap() else { return }
        try readEvents(index)
        try conclude(index, action, report)
    }

    /// An action has ended: its last word and its child's exit status, if that has ended too, make the result.
    private func conclude(_ index: Int, _ action: Running, _ report: ExitReport?) throws {
        running[index] = nil
        // Before the result is made durable, which would write all this to the disk; others may have the action after that.
        try? claims[index]?.empty()
        // Most scripts print nothing.
        if try Files.status(action.log)?.size == 0 { try Files.remove(action.log) }
        let result: Result<ActionResult, ForgeError>
        switch action.outcome {
        case .success(let value) where report?.succeeded ?? true:
            let used = action.used ?? report.map { ($0.userSeconds + $0.systemSeconds, $0.maxMemory) } ?? (0, 0)
            result = .success(
                ActionResult(
                    outputs: value.outputs, provides: value.provides, seconds: seconds() - action.started,
                    cpuSeconds: used.0, maxMemory: used.1))
        case _ where action.isOverdue:
            result = .failure(HelperRunner.overdue(action, action.limit ?? 0))
        case .failure(var error):
            if error.code == .stageFailed { error.details += HelperRunner.tail(of: action.log) }
            result = .failure(error)
        default:
            let how = report.map { "the helper \($0.status)" } ?? "the helper made no result"
            result = .failure(ForgeError(.stageFailed, how, details: HelperRunner.tail(of: action.log)))
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
        }
        running = [:]
        elsewhere = [:]
        for scratch in claims.values { scratch.remove() }
        claims = [:]
    }
}
