import ForgeArchive
import ForgeBase
package import ForgeRecipe
import ForgeStore

/// Makes, keeps and moves locks of Debian packages and sources.
package struct DebianLocker {
    package typealias Update = LockUpdate
    package typealias Outcome = LockOutcome

    let reader: SuiteReader
    let mirrors: Mirrors
    /// Folder below which relative keyrings lie.
    let recipeFolder: String

    package init(reader: SuiteReader, mirrors: Mirrors, recipeFolder: String) {
        self.reader = reader
        self.mirrors = mirrors
        self.recipeFolder = recipeFolder
    }

    /// Locks a request.
    ///
    /// Without `update`, what the previous entry holds stays, down to the bytes; a request that is unchanged needs no
    /// network at all. A result with the same packages leaves the entry as it was, with its date.
    /// - Parameters:
    ///   - id: the stage's id in the recipe.
    ///   - parameters: the values of the recipe's parameters that the request depends on.
    package func lock(
        id: String, parameters: [String: String], request: DebianRequest, previous: LockEntry?, update: Update
    ) throws -> Outcome {
        if let previous, update == .none, previous.request == request.json {
            return Outcome(entry: previous, changes: [], notes: [])
        }
        try request.check()
        let before = previous?.debian
        try check(update, request: request, previous: before)
        if !request.sources.isEmpty {
            return try lockSources(
                id: id, parameters: parameters, request: request, previous: previous, update: update)
        }
        let states = try request.suites.map { try read($0, request: request, previous: before) }
        var index = PackageIndex(architecture: request.architecture)
        for state in states { try add(state, to: &index) }

        var attempts = [held(before, update: update)]
        if case .packages(let names) = update, let before {
            // What is built from the same source often fits only in the same version.
            let sources = Set(before.packages.filter { names.contains($0.name) }.map(\.source))
            let siblings = before.packages.filter { sources.contains($0.source) }.map(\.name)
            attempts.append(held(before, update: .packages(names + siblings)))
        }
        let extra = try addGone(attempts[0], previous: before, request: request, to: &index)
        let (solution, notes) = try resolve(request, attempts: attempts, in: index)

        var lock = DebianLock(
            snapshot: "", archives: states.map(\.locked), packages: try packages(solution, in: index))
        let used = Set(solution.versions.compactMap { index.versions[Int($0)].origins.first })
        lock.archives += extra.filter { !$0.origins.isDisjoint(with: used) }.map(\.archive)
        let date = lock.archives.map(\.date).max() ?? 0
        lock.snapshot = request.snapshot ?? HTTPDate.snapshot(date)
        let entry = LockEntry(
            id: id, parameters: parameters, locker: "debian", request: request.json, date: date, body: .debian(lock))
        return outcome(entry, lock, previous: previous, notes: notes)
    }

    /// What a lock with everything moved would change; writes nothing.
    package func check(_ entry: LockEntry, request: DebianRequest) throws -> [LockChange] {
        try lock(id: entry.id, parameters: entry.parameters, request: request, previous: entry, update: .all).changes
    }

    func outcome(_ entry: LockEntry, _ lock: DebianLock, previous: LockEntry?, notes: [String]) -> Outcome {
        guard let previous, let before = previous.debian else {
            return Outcome(entry: entry, changes: DebianLock.empty.changes(to: lock), notes: notes)
        }
        let sameSuites =
            before.archives.map { [$0.archive, $0.suite] + $0.components }
            == lock.archives.map { [$0.archive, $0.suite] + $0.components }
        guard before.packages == lock.packages, before.sources == lock.sources, sameSuites else {
            return Outcome(entry: entry, changes: before.changes(to: lock), notes: notes)
        }
        var kept = entry
        kept.date = previous.date
        kept.body = previous.body
        return Outcome(entry: kept, changes: [], notes: notes)
    }

    // MARK: Archives

    func read(_ suite: DebianRequest.Suite, request: DebianRequest, previous: DebianLock?) throws -> SuiteState {
        let settings = request.archives[suite.archive]
        let keyring = try Keyring(file: settings?.keyring.map(path) ?? Keyring.debian)
        let places = mirrors
        var reader = reader
        var urls: [String]
        if let snapshot = request.snapshot {
            // An old state is what is asked for: judge its age by its own time.
            reader.now = HTTPDate.seconds(snapshot: snapshot) ?? reader.now
            urls = try services(suite, request: request, keyring: keyring, places: places).map {
                FetchURL.snapshot($0, at: snapshot)
            }
        } else {
            urls = try places.urls(of: suite.archive)
        }
        let known = previous?.archives.first { $0.archive == suite.archive && $0.suite == suite.suite }
        return try reader.read(
            suite, architecture: request.indexArchitecture, urls: urls, keyring: keyring,
            notBefore: request.snapshot == nil ? known?.date : nil)
    }

    /// The snapshot services of an archive: those configured, or the one that its Release file names.
    private func services(
        _ suite: DebianRequest.Suite, request: DebianRequest, keyring: Keyring, places: Mirrors
    ) throws -> [String] {
        if let services = places.snapshots[suite.archive], !services.isEmpty { return services }
        if let urls = places.archives[suite.archive], !urls.isEmpty {
            let state = try reader.read(
                suite, architecture: request.indexArchitecture, urls: urls, keyring: keyring, notBefore: nil,
                keepsIndexes: false)
            if let service = state.release.snapshots, service.contains("@SNAPSHOTID@") { return [service] }
        }
        throw ForgeError(
            .badInput, "no snapshot service is known for the archive “\(suite.archive)”",
            remedy: "pass --snapshot \(suite.archive)=URL, with @SNAPSHOTID@ where the time stands")
    }

    private func path(_ keyring: String) -> String { keyring.hasPrefix("/") ? keyring : "\(recipeFolder)/\(keyring)" }

    private func add(_ state: SuiteState, to index: inout PackageIndex) throws {
        for text in state.texts {
            let origin = IndexOrigin(
                archive: state.suite.archive, suite: state.suite.suite, codename: state.release.codename,
                component: text.component, pin: state.suite.pin ?? state.release.defaultPin)
            try index.add(text.bytes, origin: origin, file: text.file)
        }
    }

    // MARK: What a lock holds

    private func check(_ update: Update, request: DebianRequest, previous: DebianLock?) throws(ForgeError) {
        guard case .packages(let names) = update else { return }
        let known = Set(
            (previous.map { $0.packages.map(\.name) + $0.sources.map(\.name) } ?? []) + request.selection.packages)
        for name in names where !known.contains(name) {
            throw ForgeError(
                .badInput, "package “\(name)” is not in the lock\(Suggestion.hint(for: name, in: known))",
                remedy: "name packages that the lock has, or update everything")
        }
    }

    private func held(_ previous: DebianLock?, update: Update) -> [Selection.Held] {
        var free: Set<String> = []
        switch update {
        case .all: return []
        case .packages(let names): free = Set(names)
        case .none: break
        }
        return (previous?.packages ?? []).filter { !free.contains($0.name) }.map {
            .init(name: $0.name, version: $0.version, architecture: $0.architecture, sha256: $0.digest.hex)
        }
    }

    /// Adds the indexes of earlier states that have held packages which the archive has dropped since.
    /// - Returns: Those states, and which origins of the index are theirs.
    private func addGone(
        _ held: [Selection.Held], previous: DebianLock?, request: DebianRequest, to index: inout PackageIndex
    ) throws -> [(archive: LockedArchive, origins: Set<Int32>)] {
        guard let previous else { return [] }
        let gone = try held.filter { try $0.find(in: index) == nil }.map(\.name)
        if gone.isEmpty { return [] }
        var added: [(archive: LockedArchive, origins: Set<Int32>)] = []
        for archive in previous.archives {
            let names = previous.packages.filter {
                gone.contains($0.name) && $0.archive == archive.archive && $0.suite == archive.suite
            }.map(\.name)
            if names.isEmpty { continue }
            for item in archive.indexes {
                let bytes = try old(item, of: archive, for: names)
                let text = try Archive.decompress(bytes, limit: 4 << 30, name: item.path)
                // Never a candidate by itself: only what the lock holds is taken from here.
                let origin = IndexOrigin(
                    archive: archive.archive, suite: archive.suite, codename: archive.codename,
                    component: item.path.split(separator: "/").first.map(String.init) ?? "", pin: -1)
                try index.add(text, origin: origin, file: "\(archive.suite)/\(item.path)")
            }
            let last = Int32(index.origins.count)
            added.append((archive, Set((last - Int32(archive.indexes.count))..<last)))
        }
        return added
    }

    /// An index of an earlier state: from the store, by its digest from a mirror, or from a snapshot service.
    private func old(_ item: LockedArchive.Index, of archive: LockedArchive, for names: [String]) throws -> [UInt8] {
        var urls = (mirrors.archives[archive.archive] ?? []).flatMap { url in
            Array(SuiteBase(url: url, suite: archive.suite).indexURLs(item.path, item.digest, byHash: true).prefix(1))
        }
        for base in archive.snapshotBases(mirrors: mirrors, store: reader.store) {
            urls += SuiteBase(url: base, suite: archive.suite).indexURLs(item.path, item.digest, byHash: true)
        }
        do { return try reader.index(item.path, item.digest, urls: urls, name: item.path) } catch let error
            as ForgeError
        {
            throw ForgeError(
                error.code, "the lock holds packages that the archive no longer has, and their index is gone too",
                details: ["packages: \(names.joined(separator: ", "))", error.message],
                remedy:
                    "name a snapshot service with --snapshot \(archive.archive)=URL, or let them move with --update "
                    + names.joined(separator: " "))
        }
    }

    // MARK: Packages

    private func resolve(
        _ request: DebianRequest, attempts: [[Selection.Held]], in index: PackageIndex
    ) throws(ForgeError) -> (Resolver.Solution, [String]) {
        var first: ForgeError?
        for (number, held) in attempts.enumerated() {
            var selection = request.selection
            selection.held = held
            do throws(ForgeError) {
                let solution = try selection.resolve(in: index)
                let note = "packages of the same source had to move too"
                return (solution, solution.notes + (number > 0 ? [note] : []))
            } catch {
                if first == nil { first = error }
                if held.isEmpty { break }
            }
        }
        guard var error = first else { throw ForgeError(.bug, "nothing was resolved") }
        if attempts.first?.isEmpty == false {
            error.details.append("the other packages are held at the versions of the lock")
            error.remedy = "let the packages named move too (`forge lock --update PACKAGE…`), or all (`--update`)"
        }
        throw error
    }

    private func packages(_ solution: Resolver.Solution, in index: PackageIndex) throws -> [LockedPackage] {
        try solution.versions.map { id in
            let version = index.versions[Int(id)]
            let stanza = try index.stanza(of: version)
            let name = index.name(of: version)
            let text = index.versionText(of: version)
            guard let path = stanza["Filename"], let size = stanza["Size"].flatMap({ Int64($0) }), size >= 0,
                let digest = stanza["SHA256"].flatMap({ Digest(hex: $0.lowercased(), size: size) })
            else {
                throw ForgeError(
                    .verification, "the index gives no file, size or SHA-256 for \(name) \(text)",
                    remedy: "report this to the archive's owner")
            }
            let origin = index.origins[Int(version.origins.first ?? 0)]
            let source = DebianLocker.source(stanza["Source"], name: name, version: text)
            return LockedPackage(
                name: name, version: text, architecture: version.isAllArchitectures ? "all" : index.architecture,
                digest: digest, path: try DebianLocker.checked(path, name: name), archive: origin.archive,
                suite: origin.suite, source: source.name, sourceVersion: source.version,
                section: stanza["Section"] ?? "", isEssential: version.isEssential)
        }
    }

    /// `Source: name`, or `name (version)` where that differs from the package's.
    private static func source(_ field: String?, name: String, version: String) -> (name: String, version: String) {
        guard let field, !field.isEmpty else { return (name, version) }
        guard let open = field.firstIndex(of: "("), let close = field.lastIndex(of: ")"), open < close else {
            return (field, version)
        }
        let source = field[..<open].split(separator: " ").first.map(String.init) ?? name
        return (source, String(field[field.index(after: open)..<close]))
    }

    static func checked(_ path: String, name: String) throws(ForgeError) -> String {
        let relative = path.hasPrefix("./") ? String(path.dropFirst(2)) : path
        let parts = relative.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.allSatisfy({ !$0.isEmpty && $0 != "." && $0 != ".." }) else {
            throw ForgeError(
                .verification, "the index names the file “\(path)” for \(name), which is outside the archive")
        }
        return relative
    }
}

extension DebianLock {
    static let empty = DebianLock(snapshot: "", archives: [], packages: [])
}
