package import ForgeBase
package import ForgePackages
package import ForgeRecipe
import ForgeStore
import Glibc

/// The stage `debian-packages`: the `.deb` files that a lock pins, as a tree of one flat directory.
///
/// What to take was decided when the lock was made; here nothing is resolved, and no index is read. Bytes come from the
/// store, and only what it lacks from the archives' mirrors.
package struct DebianPackages {
    /// Where to ask. Never part of a key: every place gives the same bytes.
    package struct Places: Sendable {
        /// Archive id → base URLs, those of the command line and environment. They replace those of the recipe.
        package var mirrors: [(String, [String])]
        /// Archive id → base URLs of snapshot services, likewise.
        package var snapshots: [(String, [String])]

        package init(mirrors: [(String, [String])], snapshots: [(String, [String])]) {
            self.mirrors = mirrors
            self.snapshots = snapshots
        }
    }

    private let context: StageContext
    private let lock: DebianLock
    private let date: Int64
    private let mirrors: [String: [String]]
    private let snapshots: [String: [String]]

    /// - Parameter locked: the lock's entry for this stage.
    /// - Throws: `.badInput` if it pins something else than Debian packages.
    package init(_ context: StageContext, locked: LockEntry, places: Places) throws(ForgeError) {
        guard let lock = locked.debian else {
            throw ForgeError(
                .badInput, "the lock of stage “\(locked.id)” pins no Debian packages",
                remedy: "make it anew with `forge lock --update`")
        }
        self.context = context
        self.lock = lock
        date = locked.date
        var recipe: [String: [String]] = [:]
        var recipeSnapshots: [String: [String]] = [:]
        for repository in context.options["repositories"]?.array ?? [] {
            guard let archive = repository["archive"]?.string else { continue }
            recipe[archive, default: []] += DebianPackages.new(repository["uri"], in: recipe[archive])
            recipeSnapshots[archive, default: []] += DebianPackages.new(
                repository["snapshot"], in: recipeSnapshots[archive])
        }
        mirrors = recipe.merging(places.mirrors.filter { !$0.1.isEmpty }) { $1 }
        snapshots = recipeSnapshots.merging(places.snapshots.filter { !$0.1.isEmpty }) { $1 }
    }

    /// The URLs of an option that are not in a list yet: several repositories of an archive name the same ones.
    private static func new(_ option: JSON?, in list: [String]?) -> [String] {
        (option?.array ?? []).compactMap(\.string).filter { list?.contains($0) != true }
    }

    /// Fetches what the store lacks, and makes the tree.
    package func run(options: FetchOptions = FetchOptions()) throws -> StageResult {
        let wanted = try missing()
        if !wanted.isEmpty {
            let fetcher = Fetcher(partialDirectory: context.store.directory + "/partial", options: options)
            let summary = try fetcher.fetch(wanted, into: context.store, lockedOn: day) { progress in
                context.progress(progress.bytes, progress.totalBytes, "bytes", "packages")
            }
            context.note(
                "fetched \(summary.fetched) packages, \(summary.transferredBytes) bytes, in \(summary.requests) requests"
            )
        }
        context.note("\(lock.packages.count) packages, locked on \(day)")
        let digest = try tree().save(in: context.store)
        return StageResult(outputs: [ActionResult.Output(name: "packages", kind: .tree, digest: digest)])
    }

    /// The packages that the store lacks, with the places to ask.
    private func missing() throws -> [WantedObject] {
        try lock.packages.filter { try !context.store.contains($0.digest) }.map { package in
            let bases = mirrors[package.archive] ?? []
            guard !bases.isEmpty else { throw unknownArchive(package) }
            let old = (snapshots[package.archive] ?? []).map { DebianPackages.snapshot($0, at: lock.snapshot) }
            return WantedObject(
                name: "\(package.name) \(package.version) (\(package.architecture))", digest: package.digest,
                urls: bases.map { FetchURL.join($0, package.path) },
                snapshotURLs: old.map { FetchURL.join($0, package.path) })
        }
    }

    private func unknownArchive(_ package: LockedPackage) -> ForgeError {
        let archive = package.archive
        let variable = archive.uppercased().map { $0.isLetter || $0.isNumber ? String($0) : "_" }.joined()
        return ForgeError(
            .badInput, "no mirror of the archive “\(archive)” is known",
            details: ["\(package.name) \(package.version) is in the lock and not in the cache"],
            remedy:
                "give one with --mirror \(archive)=URL or FORGE_MIRROR_\(variable), or as `uri` of the repository in "
                + "the recipe")
    }

    /// The base URL of an archive's old state. Like apt, `@SNAPSHOTID@` says where the time goes; without it, it is the
    /// next part of the path.
    private static func snapshot(_ base: String, at time: String) -> String {
        let mark = "@SNAPSHOTID@"
        let parts = base.split(separator: mark, omittingEmptySubsequences: false)
        return parts.count > 1 ? parts.joined(separator: time) : FetchURL.join(base, time)
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
        let version = package.version.split(separator: ":", omittingEmptySubsequences: false).joined(separator: "%3a")
        return "\(package.name)_\(version)_\(package.architecture).deb"
    }

    /// The lock's date as people write it, in UTC: `2026-11-20`.
    private var day: String {
        var time = time_t(date)
        var parts = tm()
        gmtime_r(&time, &parts)
        func two(_ number: Int32) -> String { (number < 10 ? "0" : "") + String(number) }
        return "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))"
    }
}
