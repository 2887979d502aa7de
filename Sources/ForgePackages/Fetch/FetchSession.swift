import ForgeBase
import ForgeStore

/// What is known of a server, over all files that are asked of it.
struct FetchHost {
    /// Transfers under way.
    var active = 0
    /// Failures in a row that are the server's or the line's, not a file's.
    var failures = 0
    /// Counts those failures over all time. Transfers that were started before the last one and then fail for the same
    /// reason are one failure, not several.
    var generation = 0
    var notBefore: ContinuousClock.Instant?
    /// Why the host is asked no more.
    var dead: FetchProblem?
}

/// A file to get, and what became of asking for it.
final class FetchJob {
    enum Kind {
        case object(Digest)
        /// An object whose size nobody has said.
        case pinned(hex: String)
        case document(limit: Int64)
        /// An answer that is too large for memory.
        case file(path: String)
    }

    struct Candidate {
        let url: String
        let host: String
        let isSnapshot: Bool
        var failures = 0
        var notBefore: ContinuousClock.Instant?
        var problem: FetchProblem?
        /// Another try can't help.
        var isBad = false
    }

    let name: String
    let kind: Kind
    let request: FetchRequest
    var candidates: [Candidate]
    /// Wait until then, because another process is at the same file.
    var notBefore: ContinuousClock.Instant?
    /// The most bytes that were ever here; growth beyond it is progress, after which failures count anew.
    var mostBytes: Int64 = 0
    /// Bytes of this job that the progress counts.
    var credited: Int64 = 0
    /// Joined bytes of several transfers were wrong, and it can't be said whose: from now on whole files only.
    var noResume = false
    /// Of a document.
    var bytes: [UInt8] = []
    var foundAt: String?
    /// Of a pinned object that is in the store.
    var digest: Digest?

    init(
        name: String, kind: Kind, urls: [String], snapshotURLs: [String] = [], request: FetchRequest = FetchRequest()
    ) {
        self.name = name
        self.kind = kind
        self.request = request
        candidates =
            urls.map { Candidate(url: $0, host: FetchURL.host(of: $0), isSnapshot: false) }
            + snapshotURLs.map { Candidate(url: $0, host: FetchURL.host(of: $0), isSnapshot: true) }
    }
}

extension FetchJob {
    /// What the bytes must be; nil for answers whose digest nobody knows.
    var expected: ExpectedBytes? {
        switch kind {
        case .object(let digest): ExpectedBytes(digest)
        case .pinned(let hex): ExpectedBytes(hex: hex, size: nil)
        case .document, .file: nil
        }
    }

    /// Whether the progress counts the bytes.
    var counts: Bool { if case .document = kind { false } else { true } }
}

/// One call of the fetcher: jobs, hosts, transfers under way. Lives and dies on one thread.
final class FetchSession {
    typealias Instant = ContinuousClock.Instant

    private struct Running {
        let job: FetchJob
        let candidate: Int
        let generation: Int
    }

    private let options: FetchOptions
    /// Nil for documents.
    private let store: (any ObjectStore)?
    private let directory: String
    private let multi: CurlMulti
    private var hosts: [String: FetchHost] = [:]
    private var pending: [FetchJob]
    private var running: [ObjectIdentifier: Running] = [:]
    private(set) var summary = FetchSummary()
    private var failed: [(FetchJob, FetchFailure)] = []
    private var progress: FetchProgress
    private let report: (FetchProgress) -> Void
    private var reported: Instant?
    private let clock = ContinuousClock()

    /// - Parameters:
    ///   - store: where objects go; nil if the jobs are documents only.
    ///   - directory: of partial files.
    init(
        _ jobs: [FetchJob], store: (any ObjectStore)?, directory: String, options: FetchOptions,
        report: @escaping (FetchProgress) -> Void
    ) throws(ForgeError) {
        self.options = options
        self.store = store
        self.directory = directory
        self.report = report
        pending = jobs
        multi = try CurlMulti(connections: options.connections)
        var total: Int64 = 0
        for case .object(let digest) in jobs.map(\.kind) { total += digest.size }
        progress = FetchProgress(bytes: 0, totalBytes: total, files: 0, totalFiles: jobs.count)
    }

    /// Runs until every job has succeeded or failed.
    func run() throws {
        let order = pending.map(ObjectIdentifier.init)
        report(progress)
        var wake: Instant? = clock.now
        while !pending.isEmpty || !running.isEmpty {
            if options.isCancelled() {
                throw ForgeError(
                    .interrupted, "the download was interrupted",
                    remedy: "run the same command again: it goes on where this one stopped")
            }
            if let due = wake, due <= clock.now { wake = try startWhatCanStart() }
            let limit = Duration.milliseconds(200)
            let pause = wake.map { min(limit, max(.zero, clock.now.duration(to: $0))) } ?? limit
            for (transfer, outcome) in multi.run(milliseconds: pause.wholeMilliseconds) {
                try finish(transfer, outcome)
                wake = clock.now
            }
            reportSometimes()
        }
        report(progress)
        let byOrder = Dictionary(uniqueKeysWithValues: order.enumerated().map { ($1, $0) })
        summary.failures =
            failed.sorted { byOrder[ObjectIdentifier($0.0), default: 0] < byOrder[ObjectIdentifier($1.0), default: 0] }
            .map(\.1)
    }

    private func reportSometimes() {
        let now = clock.now
        if let reported, reported.duration(to: now) < .milliseconds(100) { return }
        reported = now
        report(progress)
    }

    // MARK: Starting

    private enum Choice {
        case start(Int)
        case wait(Instant?)  // nil: until a transfer ends
        case giveUp
    }

    /// Starts jobs in their order as far as connections allow; gives back when to look again, if time alone decides it.
    private func startWhatCanStart() throws -> Instant? {
        var wake: Instant?
        var rest: [FetchJob] = []
        for job in pending {
            guard running.count < options.connections else {
                rest.append(job)
                continue
            }
            switch choose(job) {
            case .start(let candidate):
                if try !start(job, candidate) { rest.append(job) }
                if let due = job.notBefore { wake = min(wake ?? due, due) }
            case .wait(let due):
                if let due { wake = min(wake ?? due, due) }
                rest.append(job)
            case .giveUp: giveUp(job)
            }
        }
        pending = rest
        return wake
    }

    /// The URL to ask next: of those with hope the one with the fewest failures, in the order given.
    private func choose(_ job: FetchJob) -> Choice {
        let now = clock.now
        if let due = job.notBefore, due > now { return .wait(due) }
        job.notBefore = nil
        var hopeful = job.candidates.indices.filter { !job.candidates[$0].isSnapshot && hasHope(job.candidates[$0]) }
        if hopeful.isEmpty, job.candidates.contains(where: { !$0.isSnapshot && $0.problem?.isGone == true }) {
            hopeful = job.candidates.indices.filter { job.candidates[$0].isSnapshot && hasHope(job.candidates[$0]) }
        }
        var best: (index: Int, due: Instant, failures: Int)?
        for index in hopeful {
            let candidate = job.candidates[index]
            let host = hosts[candidate.host, default: FetchHost()]
            let due = max(candidate.notBefore ?? now, host.notBefore ?? now, now)
            let failures = candidate.failures + host.failures
            if let best, (best.due, best.failures) <= (due, failures) { continue }
            best = (index, due, failures)
        }
        guard let best else { return .giveUp }
        if best.due > now { return .wait(best.due) }
        let candidate = job.candidates[best.index]
        let limit = candidate.isSnapshot ? options.connectionsPerSnapshotHost : options.connectionsPerHost
        return hosts[candidate.host, default: FetchHost()].active < limit ? .start(best.index) : .wait(nil)
    }

    private func hasHope(_ candidate: FetchJob.Candidate) -> Bool {
        !candidate.isBad && candidate.failures < options.attempts && hosts[candidate.host]?.dead == nil
    }

    /// Begins a transfer. False if the job must wait, because another process is at the same file.
    private func start(_ job: FetchJob, _ index: Int) throws -> Bool {
        let body: any FetchBody
        switch job.kind {
        case .document(let limit): body = MemoryBody(limit: limit)
        case .file(let path): body = try FileBody(path)
        case .object, .pinned:
            guard let expected = job.expected, let partial = try PartialFile.tryOpen(expected, in: directory) else {
                job.notBefore = clock.now.advanced(by: .milliseconds(100))
                return false
            }
            // Another process may have brought it in since the fetch began, and the file is there once more, empty.
            if case .object(let digest) = job.kind, try store?.contains(digest) == true {
                try partial.remove()
                complete(job)
                return true
            }
            if job.noResume { try partial.restart() }
            credit(job, partial.count)
            if partial.isComplete, try adopt(partial, for: job) { return true }
            body = partial
        }
        let candidate = job.candidates[index]
        let transfer = try CurlTransfer(url: candidate.url, into: body, options: options, request: job.request)
        credit(job, body.count)
        if job.counts {
            transfer.onChange = { [unowned self, unowned job] change in credit(job, job.credited + change) }
        }
        running[ObjectIdentifier(transfer)] = Running(
            job: job, candidate: index, generation: hosts[candidate.host, default: FetchHost()].generation)
        hosts[candidate.host, default: FetchHost()].active += 1
        summary.requests += 1
        multi.add(transfer)
        return true
    }

    private func credit(_ job: FetchJob, _ bytes: Int64) {
        guard job.counts else { return }
        progress.bytes += bytes - job.credited
        job.credited = bytes
    }

    // MARK: Ending

    private func finish(_ transfer: CurlTransfer, _ outcome: CurlTransfer.Outcome) throws {
        guard let run = running.removeValue(forKey: ObjectIdentifier(transfer)) else { return }
        let job = run.job
        let host = job.candidates[run.candidate].host
        hosts[host, default: FetchHost()].active -= 1
        summary.transferredBytes += transfer.received
        switch outcome {
        case .fatal(let error): throw error
        case .problem(let problem):
            // Bytes of a file of another size; what other places gave before stays.
            if case .wrongSize = problem, transfer.received > 0 { try transfer.body.restart() }
            fail(run, problem, reached: transfer.body.count)
            credit(job, transfer.body.count)
            pending.insert(job, at: 0)
        case .complete:
            hosts[host]?.failures = 0
            hosts[host]?.notBefore = nil
            switch transfer.body {
            case let partial as PartialFile:
                if try !adopt(partial, for: job, from: run) { pending.insert(job, at: 0) }
            case let memory as MemoryBody:
                job.bytes = memory.bytes
                job.foundAt = transfer.url
                complete(job)
            default:
                job.foundAt = transfer.url
                complete(job)
            }
        }
    }

    /// Moves a complete file into the store if its digest holds; otherwise empties it and gives back false.
    private func adopt(_ partial: PartialFile, for job: FetchJob, from run: Running? = nil) throws -> Bool {
        guard let got = partial.finish() else { return false }
        if partial.expected.matches(got) {
            // The lock on the file is held until it has its place: nobody else can write to what the store has.
            try store?.adopt(file: partial.path, as: got)
            job.digest = got
            summary.fetched += 1
            complete(job)
            return true
        }
        let isJoined = partial.inherited > 0
        try partial.restart()
        credit(job, 0)
        if isJoined {
            job.noResume = true
        } else if let run {
            job.candidates[run.candidate].problem = .wrongDigest(got: got.hex, expected: partial.expected.hex)
            job.candidates[run.candidate].isBad = true
        }
        return false
    }

    /// Counts a problem against the file at that place, or against the whole host.
    private func fail(_ run: Running, _ problem: FetchProblem, reached: Int64) {
        let job = run.job
        var candidate = job.candidates[run.candidate]
        candidate.problem = problem
        // Sixty-four KiB more than ever before: the line is bad but moves, so the file gets all its tries again.
        let moved = reached >= job.mostBytes + 1 << 16
        job.mostBytes = max(job.mostBytes, reached)
        switch problem.blame {
        case .fileForGood: candidate.isBad = true
        case .hostForGood: hosts[candidate.host]?.dead = problem
        case .host, .transfer:
            candidate.failures = moved ? 0 : candidate.failures + 1
            candidate.notBefore = clock.now.advanced(by: delay(after: max(1, candidate.failures), problem))
        }
        job.candidates[run.candidate] = candidate
        guard case .host = problem.blame, var host = hosts[candidate.host], host.generation == run.generation
        else { return }
        host.failures += 1
        host.generation += 1
        host.notBefore = clock.now.advanced(by: delay(after: host.failures, problem))
        if host.failures >= options.attempts { host.dead = problem }
        hosts[candidate.host] = host
    }

    private func delay(after failures: Int, _ problem: FetchProblem) -> Duration {
        var wait = options.retryDelay * (1 << min(failures - 1, 16))
        if case .status(_, let asked) = problem, asked > 0 { wait = max(wait, .seconds(asked)) }
        return min(wait, options.maximumDelay)
    }

    private func complete(_ job: FetchJob) {
        if case .object(let digest) = job.kind { credit(job, digest.size) }
        progress.files += 1
    }

    private func giveUp(_ job: FetchJob) {
        let attempts = job.candidates.compactMap { candidate in
            (candidate.problem ?? hosts[candidate.host]?.dead).map { problem in
                FetchFailure.Attempt(
                    url: FetchURL.redacted(candidate.url), problem: problem, isSnapshot: candidate.isSnapshot)
            }
        }
        let hex = job.expected?.hex
        // A snapshot that was never asked has nothing to say, even if its host is known to be down.
        let mirrorsGone = attempts.contains { !$0.isSnapshot && $0.problem.isGone }
        failed.append(
            (
                job,
                FetchFailure(
                    name: job.name, hex: hex, attempts: attempts.filter { !$0.isSnapshot || mirrorsGone })
            ))
    }
}

extension Duration {
    /// Rounded up, so that a wait is never a busy one.
    var wholeMilliseconds: Int32 {
        let (seconds, attoseconds) = components
        return Int32(clamping: seconds * 1000 + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
    }
}
