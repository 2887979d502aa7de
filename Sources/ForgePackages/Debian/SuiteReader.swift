import ForgeArchive
import ForgeBase
import ForgeRecipe
package import ForgeStore

/// Where small documents come from: `Fetcher`, or a test's own.
package protocol DocumentSource {
    /// The bytes of the first URL that has them.
    func get(anyOf urls: [String], limit: Int64) throws -> FetchedDocument
}

extension Fetcher: DocumentSource {}

/// A suite as a mirror has it, verified.
struct SuiteState {
    var suite: DebianRequest.Suite
    var release: ReleaseFile
    var locked: LockedArchive
    /// `Packages` or `Sources` texts, one a component.
    var texts: [(component: String, file: String, bytes: [UInt8])]
}

/// Reads Release files and indexes from mirrors, and believes them only after their signature and digests.
package struct SuiteReader {
    /// Bytes that a Release file may have.
    static let releaseLimit: Int64 = 32 << 20

    var source: any DocumentSource
    /// Keeps indexes by digest, so that an unchanged one is not asked for again.
    var store: any ObjectStore
    var verifier: SignatureVerifier
    /// Seconds since 1970.
    var now: Int64
    var allowsExpired: Bool

    package init(
        source: any DocumentSource, store: any ObjectStore, verifier: SignatureVerifier, now: Int64,
        allowsExpired: Bool = false
    ) {
        self.source = source
        self.store = store
        self.verifier = verifier
        self.now = now
        self.allowsExpired = allowsExpired
    }

    /// Reads a suite from the first mirror that has it whole and current.
    /// - Parameters:
    ///   - architecture: of the packages that are wanted; nil for sources.
    ///   - notBefore: Date of the state that is locked already; an older one is refused.
    ///   - keepsIndexes: whether the package indexes are wanted too.
    func read(
        _ suite: DebianRequest.Suite, architecture: String?, urls: [String], keyring: Keyring, notBefore: Int64?,
        keepsIndexes: Bool = true
    ) throws -> SuiteState {
        var faults: [(url: String, error: ForgeError)] = []
        for url in urls {
            do {
                let base = SuiteBase(url: url, suite: suite.suite)
                var state = try release(suite, architecture: architecture, base: base, keyring: keyring)
                if let notBefore, state.release.date < notBefore, !allowsExpired {
                    throw ForgeError(
                        .verification, "\(base.name) is older than the lock",
                        details: [
                            "its Date is \(HTTPDate.text(state.release.date)), the lock's \(HTTPDate.text(notBefore))",
                            "the mirror is behind, or somebody serves an old state",
                        ], remedy: "use a mirror that is up to date, or accept the old state with --allow-expired")
                }
                if keepsIndexes { try indexes(&state, architecture: architecture, base: base) }
                return state
            } catch let error as ForgeError {
                faults.append((url, error))
            }
        }
        guard var error = faults.first?.error else {
            throw ForgeError(.badInput, "no mirror is known for suite “\(suite.suite)”")
        }
        for fault in faults.dropFirst() {
            error.details.append("\(FetchURL.redacted(fault.url)) too: \(fault.error.message)")
        }
        throw error
    }

    /// Reads and checks InRelease, or Release with Release.gpg.
    private func release(
        _ suite: DebianRequest.Suite, architecture: String?, base: SuiteBase, keyring: Keyring
    ) throws -> SuiteState {
        let signed = try signedRelease(base, keyring: keyring)
        let release = try ReleaseFile(parsing: signed.bytes, name: base.name)
        try release.check(
            .init(
                suite: suite.suite, components: suite.components, architecture: architecture, now: now,
                allowsExpired: allowsExpired), name: base.name)
        let digest = try store.put(text: signed.bytes)
        let locked = LockedArchive(
            archive: suite.archive, suite: suite.suite, codename: release.codename,
            components: base.isFlat ? [] : suite.components, date: release.date, release: digest,
            signedBy: signed.signedBy, indexes: [])
        return SuiteState(suite: suite, release: release, locked: locked, texts: [])
    }

    private func signedRelease(_ base: SuiteBase, keyring: Keyring) throws -> SignedText {
        let limit = SuiteReader.releaseLimit
        if case .found(let bytes, _) = try source.get(anyOf: [base.file("InRelease")], limit: limit) {
            return try verifier.verify(inline: bytes, keyring: keyring, name: base.name)
        }
        let signature = try source.get(anyOf: [base.file("Release.gpg")], limit: 1 << 20)
        let text = try source.get(anyOf: [base.file("Release")], limit: limit)
        switch (text, signature) {
        case (.found(let text, _), .found(let signature, _)):
            return try verifier.verify(text, signature: signature, keyring: keyring, name: base.name)
        case (.found, .notFound):
            throw ForgeError(
                .verification, "\(base.name) is not signed", details: ["neither InRelease nor Release.gpg is there"],
                remedy: "use a mirror that has the signature; forge takes no unsigned archives")
        default:
            throw ForgeError(
                .network, "there is no suite “\(base.suite)” at \(FetchURL.redacted(base.url))",
                details: ["neither InRelease nor Release is there"],
                remedy: "correct the suite in the recipe, or name another mirror with --mirror ARCHIVE=URL")
        }
    }

    /// Reads the package indexes of a suite, each checked against the signed Release file.
    private func indexes(_ state: inout SuiteState, architecture: String?, base: SuiteBase) throws {
        let list = try state.release.indexes(
            components: state.suite.components, architecture: architecture, isFlat: base.isFlat, name: base.name)
        for item in list {
            let bytes = try index(
                item.path, item.digest, urls: base.indexURLs(item.path, item.digest, byHash: state.release.hasByHash),
                name: base.file(item.path))
            let text = try Archive.decompress(
                bytes, limit: item.plainSize ?? 4 << 30, name: FetchURL.redacted(base.file(item.path)))
            state.texts.append((item.component, "\(base.suite)/\(item.path)", text))
            state.locked.indexes.append(.init(path: item.path, digest: item.digest))
        }
    }

    /// The bytes of an index, from the store or from one of some URLs.
    func index(_ path: String, _ digest: Digest, urls: [String], name: String) throws -> [UInt8] {
        if try store.contains(digest), let bytes = try? store.read(digest) { return bytes }
        let name = FetchURL.redacted(name)
        guard case .found(let bytes, let url) = try source.get(anyOf: urls, limit: digest.size) else {
            throw ForgeError(
                .network, "\(name) is missing", details: ["the signed Release file lists it: the mirror is incomplete"],
                remedy: "try again in some minutes, or use another mirror with --mirror ARCHIVE=URL")
        }
        let got = Digest.of(bytes)
        guard got == digest else {
            throw ForgeError(
                .verification, "\(name) is not the file that the signed Release file lists",
                details: [
                    "expected \(digest)", "got \(got) from \(FetchURL.redacted(url))",
                    "the mirror is in the middle of an update, or the file was altered",
                ], remedy: "try again in some minutes, or use another mirror with --mirror ARCHIVE=URL")
        }
        _ = try store.put(bytes)
        return bytes
    }
}

/// The directory of a suite on a mirror.
struct SuiteBase {
    var url: String
    var suite: String

    /// Archives without suites keep everything in one directory.
    var isFlat: Bool { suite.hasSuffix("/") }

    private var directory: String {
        let path = isFlat ? (suite == "/" || suite == "./" ? "" : String(suite.dropLast())) : "dists/\(suite)"
        return path.isEmpty ? url : FetchURL.join(url, path)
    }

    /// What errors call the Release file.
    var name: String { FetchURL.redacted(file("InRelease")) }

    func file(_ path: String) -> String { FetchURL.join(directory, path) }

    /// By its digest first: that name never changes its content in the middle of an update.
    func indexURLs(_ path: String, _ digest: Digest, byHash: Bool) -> [String] {
        guard byHash else { return [file(path)] }
        let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
        return [file("\(folder)by-hash/SHA256/\(digest.hex)"), file(path)]
    }
}
