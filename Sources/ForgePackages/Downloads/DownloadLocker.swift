package import ForgeBase
package import ForgeRecipe

/// Makes, keeps and moves locks of single files: their digests come from the recipe, or from published checksums.
package struct DownloadLocker: Locker {
    /// Bytes that a list of checksums may have.
    static let listLimit: Int64 = 16 << 20

    let source: any DocumentSource
    /// Places to ask before a host, by its name.
    let mirrors: [(String, [String])]

    package init(source: any DocumentSource, mirrors: [(String, [String])]) {
        self.source = source
        self.mirrors = mirrors
    }

    /// Locks the files of a stage's options. Without `update` a file whose address and pin are as they were keeps its
    /// digest, and nobody is asked.
    /// - Parameter request: what the lock is found by.
    package func lock(
        id: String, parameters: [String: String], options: JSON, request: JSON, previous: LockEntry?, update: LockUpdate
    ) throws -> LockOutcome {
        let files = try DownloadFile.list(options)
        let held = try previous.map { try self.held($0, update: update) } ?? []
        var lists: [String: ChecksumList] = [:]
        var locked: [LockedDownload] = []
        for file in files {
            if let known = held.first(where: { $0.identity == file.identity }) {
                locked.append(known.download)
                continue
            }
            let sha256: String
            switch file.pin {
            case .sha256(let hex): sha256 = hex
            case .checksums(let url):
                let list = try lists[url] ?? self.list(url, of: file)
                lists[url] = list
                sha256 = try list.sha256(of: file.urls[0], place: url)
            }
            locked.append(LockedDownload(name: file.name, file: LockedBytes(sha256: sha256)))
        }
        let entry = LockEntry(
            id: id, parameters: parameters, locker: "downloads", request: request, date: 0, body: .downloads(locked))
        return LockOutcome(entry: entry, changes: entry.changes(since: previous))
    }

    /// What an earlier entry says of the files that may not move.
    private func held(
        _ previous: LockEntry, update: LockUpdate
    ) throws -> [(identity: JSON, download: LockedDownload)] {
        let asked = try DownloadFile.list(previous.request)
        return (previous.downloads ?? []).compactMap { download in
            guard !update.frees(download.name), let file = asked.first(where: { $0.name == download.name }) else {
                return nil
            }
            return (file.identity, download)
        }
    }

    private func list(_ url: String, of file: DownloadFile) throws -> ChecksumList {
        let places = FetchURL.places(of: url, mirrors: mirrors)
        switch try source.get(anyOf: places, limit: DownloadLocker.listLimit) {
        case .found(let bytes, _): return ChecksumList(bytes)
        case .notFound:
            throw ForgeError(
                .network, "the checksums of “\(file.name)” are not there",
                details: places.map(FetchURL.redacted),
                remedy: "correct `checksums`, or pin the file by itself: sha256: … (`forge hash URL` prints it)")
        }
    }
}
