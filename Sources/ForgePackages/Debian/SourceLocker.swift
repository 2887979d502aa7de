import ForgeBase
import ForgeRecipe

extension DebianLocker {
    /// Locks source packages: of each the highest version that the suites have, or the one that is asked for.
    func lockSources(
        id: String, parameters: [String: String], request: DebianRequest, previous: LockEntry?, update: Update
    ) throws -> Outcome {
        let wanted = request.sources.map(SourceName.init)
        let before = previous?.debian
        let states = try request.suites.map { try read($0, request: request, previous: before) }
        var index = SourceIndex(wanted: Set(wanted.map(\.name)))
        for state in states {
            for text in state.texts { try index.add(text.bytes, of: state.suite, file: text.file) }
        }
        var lock = DebianLock(snapshot: "", archives: states.map(\.locked), packages: [])
        let held = heldSources(before, request: request, update: update)
        var faults: [String] = []
        for name in wanted {
            if lock.sources.contains(where: { $0.name == name.name }) {
                faults.append("\(name.name): named twice")
            } else if let source = held.first(where: { name.fits($0) }) ?? name.newest(in: index) {
                lock.sources.append(source)
            } else {
                faults.append(name.reason(in: index))
            }
        }
        guard faults.isEmpty else {
            throw ForgeError(
                .badInput,
                faults.count == 1 ? "no such source package" : "\(faults.count) source packages can't be found",
                details: faults,
                remedy: "correct the names in the recipe's list of sources, or add the suite or component that has them"
            )
        }
        lock.sources.sort { $0.name.precedes($1.name) }
        // What is held and no longer listed is vouched for by the state that listed it.
        for source in lock.sources where !index.found.contains(source) {
            lock.archives += (before?.archives ?? []).filter {
                $0.archive == source.archive && $0.suite == source.suite && !lock.archives.contains($0)
            }
        }
        let date = lock.archives.map(\.date).max() ?? 0
        lock.snapshot = request.snapshot ?? HTTPDate.snapshot(date)
        let entry = LockEntry(
            id: id, parameters: parameters, locker: "debian", request: request.json, date: date, body: .debian(lock))
        return outcome(entry, lock, previous: previous, notes: [])
    }

    /// What stays as it is locked.
    private func heldSources(_ previous: DebianLock?, request: DebianRequest, update: Update) -> [LockedSource] {
        (previous?.sources ?? []).filter { source in
            !update.frees(source.name)
                && request.suites.contains { $0.archive == source.archive && $0.suite == source.suite }
        }
    }
}

/// One item of a list of sources: `name` or `name=version`, in which `*` stands for any text.
private struct SourceName {
    var name: String
    var version: String?

    init(_ text: String) {
        let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
        name = parts.first ?? ""
        version = parts.count > 1 ? parts[1] : nil
    }

    func fits(_ source: LockedSource) -> Bool {
        source.name == name && version.map { Glob.matches($0, source.version) } ?? true
    }

    func newest(in index: SourceIndex) -> LockedSource? {
        // Of equal versions the first, so that the order of the suites decides.
        index.found.reduce(nil) { best, source in
            guard fits(source) else { return best }
            return best.map { DebianVersion.compare($0.version, source.version) >= 0 } == true ? best : source
        }
    }

    /// Why there is none.
    func reason(in index: SourceIndex) -> String {
        let known = index.found.filter { $0.name == name }.map(\.version)
        if let version, !known.isEmpty {
            return "\(name): no version \(version); there is \(known.joined(separator: ", "))"
        }
        return "\(name): unknown\(Suggestion.hint(for: name, inMany: index.names))"
    }
}
