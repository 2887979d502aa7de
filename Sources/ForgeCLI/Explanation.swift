import ForgeBase
import ForgeEngine
import ForgeStore

/// Puts the differences between two keys into words, down to the file, the package or the option.
struct Explanation {
    let store: Store
    /// Longest list of files or packages that is written out.
    private static let longest = 8

    /// One line for each cause, each with what is below it.
    func lines(_ changes: [KeyChange]) -> [String] { changes.flatMap(line) }

    private func line(_ change: KeyChange) -> [String] {
        switch change.kind {
        case .option:
            guard let before = change.before else { return ["option \(change.name) is new: \(short(change.after))"] }
            guard let after = change.after else { return ["option \(change.name) is gone (was \(short(before)))"] }
            if let lists = items(before, after) { return ["option \(change.name) changed"] + lists.map { "  " + $0 } }
            return ["option \(change.name) changed: \(short(before)) → \(short(after))"]
        case .tree:
            return [verb("\(change.name)", change)] + files(change).map { "  " + $0 }
        case .file: return [verb("input \(change.name)", change)]
        case .lock: return ["the lock changed"] + packages(change).map { "  " + $0 }
        case .setting:
            return ["\(change.name) changed: \(short(change.before)) → \(short(change.after))"]
        }
    }

    /// What two lists of texts do not share.
    private func items(_ before: String, _ after: String) -> [String]? {
        func list(_ text: String) -> [String]? {
            guard let items = (try? JSON(parsing: text, file: "option"))?.array else { return nil }
            return items.map { $0.string ?? $0.description }
        }
        guard let old = list(before), let new = list(after) else { return nil }
        return old.filter { !new.contains($0) }.map { "- \(short($0))" }
            + new.filter { !old.contains($0) }.map { "+ \(short($0))" }
    }

    private func verb(_ what: String, _ change: KeyChange) -> String {
        change.before == nil ? "\(what) is new" : change.after == nil ? "\(what) is gone" : "\(what) changed"
    }

    private func short(_ text: String?) -> String {
        guard let text else { return "nothing" }
        return text.count > 60 ? text.prefix(57) + "…" : text
    }

    /// The files that differ between two trees, if both are still in the store.
    private func files(_ change: KeyChange) -> [String] {
        guard let before = change.before.flatMap({ Digest($0) }), let after = change.after.flatMap({ Digest($0) }),
            let old = try? Tree.load(before, from: store), let new = try? Tree.load(after, from: store)
        else { return [] }
        let changes = Tree.changes(from: old, to: new)
        var lines = changes.prefix(Explanation.longest).map(\.description)
        if changes.count > lines.count { lines.append("and \(changes.count - lines.count) more") }
        return lines
    }

    /// The packages that differ between two parts of locks.
    private func packages(_ change: KeyChange) -> [String] {
        func versions(_ text: String?) -> [String: String] {
            guard let digest = text.flatMap({ Digest($0) }), let bytes = try? store.read(digest),
                let json = try? JSON(parsing: bytes, file: "lock")
            else { return [:] }
            var versions: [String: String] = [:]
            for package in json["packages"]?.array ?? [] {
                if let name = package["name"]?.string, let version = package["version"]?.string {
                    versions[name] = version
                }
            }
            return versions
        }
        let (old, new) = (versions(change.before), versions(change.after))
        let names = Set(old.keys).union(new.keys).filter { old[$0] != new[$0] }.sorted { $0.precedes($1) }
        var lines = names.prefix(Explanation.longest).map { "\($0): \(old[$0] ?? "nothing") → \(new[$0] ?? "nothing")" }
        if names.count > lines.count { lines.append("and \(names.count - lines.count) more") }
        return lines
    }
}
