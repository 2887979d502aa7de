package import ForgeBase
package import ForgePackages
package import ForgeRecipe
package import ForgeScripts
import ForgeStore

/// The stage `debian-packages`: the `.deb` files that a lock pins, as a tree of one flat directory.
///
/// What to take was decided when the lock was made; here nothing is resolved, and no index is read. Bytes come from the
/// store, and only what it lacks from the archives' mirrors.
package struct DebianPackages {
    private let context: StageContext
    private let lock: DebianLock
    private let date: Int64
    private let mirrors: Mirrors
    private let offline: Bool

    /// - Parameters:
    ///   - locked: the lock's entry for this stage.
    ///   - mirrors: where to ask. Never part of a key: every place gives the same bytes.
    ///   - offline: never ask; what the store lacks is an error.
    /// - Throws: `.badInput` if the entry pins something else than Debian packages.
    package init(_ context: StageContext, locked: LockEntry, mirrors: Mirrors, offline: Bool = false) throws(ForgeError)
    {
        guard let lock = locked.debian else {
            throw ForgeError(
                .badInput, "the lock of stage “\(locked.id)” pins no Debian packages",
                remedy: "make it anew with `forge lock --update`")
        }
        self.context = context
        self.lock = lock
        date = locked.date
        self.mirrors = mirrors
        self.offline = offline
    }

    /// Fetches what the store lacks, and makes the tree.
    package func run(options: FetchOptions = FetchOptions()) throws -> StageResult {
        let day = String(HTTPDate.text(date).prefix(10))
        context.note("\(lock.packages.count) packages, locked on \(day)")
        let missing = try lock.packages.indices.filter { try !context.store.contains(lock.packages[$0].digest) }
        if !missing.isEmpty {
            if offline { throw forbidden(missing.map { lock.packages[$0] }, lockedOn: day) }
            for index in missing { _ = try mirrors.urls(of: lock.packages[index].archive) }
            let wanted = lock.wanted(mirrors: mirrors, store: context.store)
            let fetcher = Fetcher(partialDirectory: context.store.directory + "/partial", options: options)
            let summary = try fetcher.fetch(missing.map { wanted[$0] }, into: context.store, lockedOn: day) {
                progress in
                context.progress(progress.bytes, progress.totalBytes, "bytes", "packages")
            }
            context.note(
                "fetched \(summary.fetched) of them, \(summary.transferredBytes) bytes, in \(summary.requests) requests"
            )
        }
        let digest = try tree().save(in: context.store)
        return StageResult(outputs: [ActionResult.Output(name: "packages", kind: .tree, digest: digest)])
    }

    private func forbidden(_ missing: [LockedPackage], lockedOn day: String) -> ForgeError {
        let listed = 8
        let names = missing.prefix(listed).map { "\($0.name) \($0.version) (\($0.architecture))" }
        let more = missing.count > listed ? ["and \(missing.count - listed) more"] : []
        return ForgeError(
            .network,
            "\(missing.count) of \(lock.packages.count) packages are not in the cache, and --offline forbids to fetch them",
            details: ["the lock is of \(day)"] + names + more,
            remedy: "build once without --offline, or name a cache that has them with --cache DIR")
    }

    /// One file for each package, whatever archive it comes from. The lock's reader sees to it that names, versions and
    /// architectures are safe in file names, and that no package is there twice.
    private func tree() throws -> Tree {
        let files = lock.packages.map { package in
            TreeEntry(ByteString(DebianPackages.fileName(package)), .file(package.digest), mode: 0o644)
        }
        return try Tree([TreeEntry("", .directory, mode: 0o755)] + files)
    }

    /// The name that apt gives the file: `<name>_<version>_<architecture>.deb`, `:` escaped.
    static func fileName(_ package: LockedPackage) -> String {
        "\(package.name)_\(package.version.replacing(":", with: "%3a"))_\(package.architecture).deb"
    }
}
