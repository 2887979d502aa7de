package import ForgeBase
package import ForgeStore
import ForgeSystem

/// Brings bytes from outside into the store, and no byte that was not asked for: what enters is verified on the way.
package struct Fetcher {
    package var options: FetchOptions
    /// Where downloads under way are kept, `partial/` of the cache: on the store's disk, so that what is complete moves
    /// into the store in one step. Each file is named by the SHA-256 of the whole object and holds a prefix of it.
    package let partialDirectory: String

    package init(partialDirectory: String, options: FetchOptions = FetchOptions()) {
        self.partialDirectory = partialDirectory
        self.options = options
    }

    /// Fetches what the store lacks, and says what could not be had. Does not touch the network if nothing is lacking.
    ///
    /// One object that can't be had does not keep the others from coming in: the next run needs only what is missing.
    /// Throws if this machine fails (disk full) or the fetch is cancelled.
    package func download(
        _ wanted: [WantedObject], into store: any ObjectStore, progress: @escaping (FetchProgress) -> Void = { _ in }
    ) throws -> FetchSummary {
        var jobs: [FetchJob] = []
        var seen: Set<Digest> = []
        var present = 0
        for object in wanted where seen.insert(object.digest).inserted {
            if try store.contains(object.digest) {
                present += 1
            } else {
                jobs.append(
                    FetchJob(
                        name: object.name, kind: .object(object.digest), urls: object.urls,
                        snapshotURLs: object.snapshotURLs))
            }
        }
        guard !jobs.isEmpty else { return FetchSummary(present: present) }
        try Files.makeDirectories(partialDirectory)
        let session = try FetchSession(
            jobs, store: store, directory: partialDirectory, options: options, report: progress)
        do {
            try session.run()
        } catch {
            // What came in before is worth keeping; the first error is the one to tell.
            try? store.flush()
            throw error
        }
        try store.flush()
        var summary = session.summary
        summary.present = present
        return summary
    }

    /// Fetches what the store lacks, or throws one error that names everything that could not be had.
    /// - Parameter lockedOn: the time of the lock that names the objects, as text for people.
    @discardableResult
    package func fetch(
        _ wanted: [WantedObject], into store: any ObjectStore, lockedOn: String? = nil,
        progress: @escaping (FetchProgress) -> Void = { _ in }
    ) throws -> FetchSummary {
        let summary = try download(wanted, into: store, progress: progress)
        if !summary.failures.isEmpty { throw FetchFailure.error(summary.failures, pin: .lock(lockedOn)) }
        return summary
    }

    /// A document whose digest nobody knows yet, such as a Release file; the caller verifies its signature.
    /// - Parameters:
    ///   - urls: the same document at several places, in order of preference.
    ///   - limit: bytes that it may have at most.
    /// - Throws: `ForgeError(.network)` if no place has it and some place did not even say that it has not.
    package func get(
        anyOf urls: [String], limit: Int64, request: FetchRequest
    ) throws -> FetchedDocument {
        let (job, failures) = try ask(urls, limit: limit, request: request)
        if let url = job.foundAt { return .found(job.bytes, url: url) }
        if failures.allSatisfy({ !$0.attempts.isEmpty && $0.attempts.allSatisfy(\.problem.isGone) }) {
            return .notFound
        }
        throw FetchFailure.error(failures, pin: .lock(nil))
    }

    private func ask(
        _ urls: [String], limit: Int64, request: FetchRequest
    ) throws -> (FetchJob, [FetchFailure]) {
        let job = FetchJob(
            name: urls.first.map(FetchURL.redacted) ?? "", kind: .document(limit: limit), urls: urls, request: request)
        let session = try FetchSession(
            [job], store: nil, directory: partialDirectory, options: options, report: { _ in })
        try session.run()
        return (job, session.summary.failures)
    }

    /// What a place says to somebody who shows nothing.
    enum Greeting {
        case document([UInt8])
        case notFound
        /// It wants to be shown something: the answer's `WWW-Authenticate`.
        case unauthorized(challenge: String)
    }

    /// - Throws: `.network` if the place does not answer.
    func greeting(of url: String) throws -> Greeting {
        let (job, failures) = try ask([url], limit: 1 << 20, request: FetchRequest())
        if job.foundAt != nil { return .document(job.bytes) }
        if let challenge = failures.lazy.compactMap(\.challenge).first { return .unauthorized(challenge: challenge) }
        guard failures.allSatisfy(\.isGone) else { throw FetchFailure.error(failures, pin: .lock(nil)) }
        return .notFound
    }

    /// As `get(anyOf:limit:request:)`, with nothing said besides the URL.
    package func get(anyOf urls: [String], limit: Int64) throws -> FetchedDocument {
        try get(anyOf: urls, limit: limit, request: FetchRequest())
    }

    /// Brings one file into the store that a recipe pins, unless it is there.
    /// - Returns: its digest, which says the size too.
    /// - Throws: `.verification` if a place has other bytes, `.network` if none has it.
    package func fetch(
        _ file: PinnedFile, into store: any ObjectStore, progress: @escaping (FetchProgress) -> Void = { _ in }
    ) throws -> Digest {
        let got = try fetch([file], pin: .recipe, into: store, progress: progress)
        guard let digest = got.first else { throw ForgeError(.bug, "\(file.name) has no digest") }
        return digest
    }

    /// Brings files into the store that somebody pins by their SHA-256, those that it lacks.
    /// - Returns: their digests, which say the sizes too, in the order of the files.
    /// - Throws: one error for everything that could not be had: `.verification` if a place has other bytes, otherwise
    ///   `.network`. What could be had is in the store all the same.
    package func fetch(
        _ files: [PinnedFile], pin: FetchPin, into store: any ObjectStore,
        progress: @escaping (FetchProgress) -> Void = { _ in }
    ) throws -> [Digest] {
        let (digests, failures) = try download(files, into: store, progress: progress)
        if !failures.isEmpty { throw FetchFailure.error(failures, pin: pin) }
        return digests
    }

    /// As `fetch(_:pin:into:progress:)`, but says what could not be had.
    /// - Returns: the digests of all files if there are no failures.
    func download(
        _ files: [PinnedFile], into store: any ObjectStore, progress: @escaping (FetchProgress) -> Void
    ) throws -> (digests: [Digest], failures: [FetchFailure]) {
        var jobs: [String: FetchJob] = [:]
        var wanted: [FetchJob] = []
        for file in files where jobs[file.sha256] == nil {
            let digest = file.size.flatMap { Digest(hex: file.sha256, size: $0) }
            let kind = digest.map { FetchJob.Kind.object($0) } ?? .pinned(hex: file.sha256)
            let job = FetchJob(name: file.name, kind: kind, urls: file.urls, request: file.request)
            job.digest = digest
            jobs[file.sha256] = job
            if let digest, try store.contains(digest) { continue }
            wanted.append(job)
        }
        if !wanted.isEmpty {
            try Files.makeDirectories(partialDirectory)
            let session = try FetchSession(
                wanted, store: store, directory: partialDirectory, options: options, report: progress)
            try session.run()
            try store.flush()
            if !session.summary.failures.isEmpty { return ([], session.summary.failures) }
        }
        let digests = try files.map { file in
            guard let digest = jobs[file.sha256]?.digest else { throw ForgeError(.bug, "\(file.name) has no digest") }
            return digest
        }
        return (digests, [])
    }

    /// Writes an answer of unknown digest to a file; the caller verifies it.
    /// - Throws: `.network` if the place does not give it.
    package func download(
        _ url: String, to path: String, request: FetchRequest = FetchRequest(),
        progress: @escaping (FetchProgress) -> Void = { _ in }
    ) throws {
        let job = FetchJob(name: FetchURL.redacted(url), kind: .file(path: path), urls: [url], request: request)
        let session = try FetchSession(
            [job], store: nil, directory: partialDirectory, options: options, report: progress)
        try session.run()
        if !session.summary.failures.isEmpty { throw FetchFailure.error(session.summary.failures, pin: .recipe) }
    }

    /// As `get(anyOf:limit:)`, of one place.
    package func get(_ url: String, limit: Int64) throws -> FetchedDocument { try get(anyOf: [url], limit: limit) }
}
