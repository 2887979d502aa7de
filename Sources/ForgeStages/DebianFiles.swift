package import ForgeBase
package import ForgePackages
package import ForgeRecipe
package import ForgeScripts
import ForgeStore

/// The stages `debian-packages` and `debian-source`: the files that a lock pins, as a tree of one flat directory.
///
/// What to take was decided when the lock was made; here nothing is resolved, and no index is read. Bytes come from the
/// store, and only what it lacks from the archives' mirrors.
package struct DebianFiles {
    private let context: StageContext
    private let output: String
    private let lock: DebianLock
    private let date: Int64
    private let mirrors: Mirrors
    private let offline: Bool

    /// - Parameters:
    ///   - output: of the stage; also what people call the files.
    ///   - locked: the lock's entry for this stage.
    ///   - mirrors: where to ask. Never part of a key: every place gives the same bytes.
    ///   - offline: never ask; what the store lacks is an error.
    /// - Throws: `.badInput` if the entry pins something else than files of Debian archives.
    package init(
        _ context: StageContext, output: String, locked: LockEntry, mirrors: Mirrors, offline: Bool = false
    ) throws(ForgeError) {
        guard let lock = locked.debian else {
            throw ForgeError(
                .badInput, "the lock of stage “\(locked.id)” pins no files of Debian archives",
                remedy: "make it anew with `forge lock --update`")
        }
        self.context = context
        self.output = output
        self.lock = lock
        date = locked.date
        self.mirrors = mirrors
        self.offline = offline
    }

    /// Fetches what the store lacks, and makes the tree.
    package func run(options: FetchOptions = FetchOptions()) throws -> StageResult {
        let day = String(HTTPDate.text(date).prefix(10))
        let files = lock.files
        context.note("\(output): \(lock.packages.count + lock.sources.count), locked on \(day)")
        let missing = try files.indices.filter { try !context.store.contains(files[$0].digest) }
        if !missing.isEmpty {
            if offline { throw forbidden(missing.map { files[$0].name }, of: files.count, lockedOn: day) }
            for index in missing { _ = try mirrors.urls(of: files[index].archive) }
            let wanted = lock.wanted(mirrors: mirrors, store: context.store)
            let fetcher = Fetcher(for: context.store, options: options)
            let summary = try fetcher.fetch(missing.map { wanted[$0] }, into: context.store, lockedOn: day) {
                progress in
                context.progress(progress.bytes, progress.totalBytes, "bytes", output)
            }
            context.note(
                "fetched \(summary.fetched) files, \(summary.transferredBytes) bytes, in \(summary.requests) requests")
        }
        let digest = try tree(files).save(in: context.store)
        return StageResult(
            outputs: [ActionResult.Output(name: output, kind: .tree, digest: digest)],
            provides: lock.sources.map(DebianFiles.about))
    }

    /// A source for `packages.json`. Of binary packages `rootfs` says which it has installed.
    private static func about(_ source: LockedSource) -> JSON {
        .object([
            ("type", .string("deb-src")), ("name", .string(source.name)), ("version", .string(source.version)),
            (
                "files",
                .array(
                    source.files.map {
                        .object([("name", .string($0.name)), ("sha256", .string($0.digest.hex))])
                    })
            ),
        ])
    }

    private func forbidden(_ missing: [String], of count: Int, lockedOn day: String) -> ForgeError {
        let listed = 8
        let more = missing.count > listed ? ["and \(missing.count - listed) more"] : []
        let what = lock.sources.isEmpty ? "packages" : "files of sources"
        return ForgeError(
            .network,
            "\(missing.count) of \(count) \(what) are not in the cache, and --offline forbids to fetch them",
            details: ["the lock is of \(day)"] + missing.prefix(listed) + more,
            remedy: "build once without --offline, or name a cache that has them with --cache DIR")
    }

    /// The lock's reader sees to it that names are safe and that no package is there twice; sources may share a file.
    private func tree(_ files: [DebianLock.File]) throws -> Tree {
        var entries: [String: TreeEntry] = [:]
        for file in files {
            let entry = TreeEntry(ByteString(file.fileName), .file(file.digest), mode: 0o644)
            guard entries.updateValue(entry, forKey: file.fileName).map({ $0 == entry }) ?? true else {
                throw ForgeError(
                    .badInput, "two different files of the lock are called \(file.fileName)",
                    remedy: "take one of them in a stage of its own")
            }
        }
        return try Tree([TreeEntry("", .directory, mode: 0o755)] + entries.values)
    }
}
