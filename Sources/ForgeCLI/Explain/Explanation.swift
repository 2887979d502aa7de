import ForgeBase
import ForgeEngine
import ForgeStore

/// Puts the differences between two keys into words, down to the file, the package or the line of the recipe.
struct Explanation {
    let store: Store
    let places: RecipePlaces
    /// Longest list of files or packages that is written out.
    private static let longest = 8

    /// An action's key, and what made its inputs.
    struct Subject {
        var action: String
        var parts: [KeyPart]
        /// Name of a part → `action.output`.
        var sources: [String: String]

        func value(_ part: String) -> String? { parts.first { $0.name == part }?.value }
        var stage: String { value("setting stage") ?? "" }
    }

    /// One cause for each part that differs.
    func causes(_ changes: [KeyChange], of subject: Subject) -> [Cause] { changes.map { cause($0, subject) } }

    private func cause(_ change: KeyChange, _ subject: Subject) -> Cause {
        var cause = Cause(
            kind: Cause.Kind(rawValue: change.kind.rawValue) ?? .setting, name: change.name, text: "",
            before: change.before, after: change.after)
        switch change.kind {
        case .option: option(change, subject, &cause)
        case .tree, .file: input(change, subject, &cause)
        case .lock:
            cause.text = verb("the lock", change)
            cause.place = places.lock
            cause.details = packages(change)
        case .setting:
            cause.text =
                "\(change.name) changed: \(setting(change.name, change.before)) → "
                + setting(change.name, change.after)
            let variable = "variable "
            if change.name == "epoch" { cause.place = places.lock }
            if change.name.hasPrefix(variable) {
                cause.place = places.variable(String(change.name.dropFirst(variable.count)), of: subject.action)
            }
        }
        return cause
    }

    // MARK: Options

    private func option(_ change: KeyChange, _ subject: Subject, _ cause: inout Cause) {
        let name = change.name
        cause.place = places.option(name, of: subject.action, stage: subject.stage)
        guard let before = change.before else {
            cause.text = "option \(name) is new: \(short(change.after))"
            return
        }
        guard let after = change.after else {
            cause.text = "option \(name) is gone (was \(short(before)))"
            cause.place = places.stage(subject.action)
            return
        }
        guard let old = list(before), let new = list(after) else {
            cause.text = "option \(name) changed: \(short(before)) → \(short(after))"
            return
        }
        cause.text = "option \(name) changed"
        let added = new.filter { !old.contains($0) }
        cause.details = old.filter { !new.contains($0) }.map { "- \(short($0))" }
        for item in added {
            let place = places.option(name, of: subject.action, stage: subject.stage, item: item)
            cause.details.append("+ \(short(item))" + (place == cause.place ? "" : place.map { "  (\($0))" } ?? ""))
        }
        if cause.details.isEmpty { cause.details = ["in another order"] }
        cause.details = limited(cause.details)
    }

    /// A list of texts, if a value is one.
    private func list(_ text: String) -> [String]? {
        guard let items = (try? JSON(parsing: text, file: "option"))?.array else { return nil }
        return items.map { $0.string ?? $0.description }
    }

    private func setting(_ name: String, _ text: String?) -> String {
        guard name == "epoch", let seconds = text.flatMap({ Int64($0) }) else { return short(text) }
        return Format.date(seconds)
    }

    // MARK: Inputs

    private func input(_ change: KeyChange, _ subject: Subject, _ cause: inout Cause) {
        let part = "\(change.kind.rawValue) \(change.name)"
        cause.maker = subject.sources[part].flatMap { Cause.Maker($0) }
        var base = ""
        if part == "tree stage folder" {
            cause.name = "stage"
            cause.text = verb("stage \(subject.stage)", change)
            cause.place = places.shownFolder(of: subject.stage).map { Cause.Place(file: $0) }
            base = cause.place.map { $0.file + "/" } ?? ""
        } else {
            cause.text = verb(change.name, change)
            if cause.maker == nil, let path = path(change.name, subject) {
                let option = String(change.name.split(separator: "/").first ?? "")
                cause.place = places.option(option, of: subject.action, stage: subject.stage)
                if change.kind == .file { cause.details = ["~ \(places.shown(path))"] }
                base = places.shown(path) + "/"
            } else if cause.maker == nil, let input = places.input(change.name, of: subject.action) {
                cause.place = input.place
                if change.kind == .file { cause.details = ["~ \(input.base)"] }
                base = input.base + "/"
            }
        }
        if change.kind == .tree { cause.details = files(change, base) }
    }

    /// The path that an option holds; `name` is the option's, or `option//option/0/source` for one that lies deeper.
    private func path(_ name: String, _ subject: Subject) -> String? {
        let parts = name.split(separator: "/", omittingEmptySubsequences: true).map(String.init)
        guard let option = parts.first, let text = subject.value("option \(option)"),
            var value = try? JSON(parsing: text, file: "option")
        else { return nil }
        for step in parts.dropFirst(2) {
            guard let next = value[step] ?? Int(step).flatMap({ value.array?[$0] }) else { return nil }
            value = next
        }
        return value.string
    }

    /// The files that differ between two trees, if both are still in the store.
    private func files(_ change: KeyChange, _ base: String) -> [String] {
        guard let before = change.before.flatMap({ Digest($0) }), let after = change.after.flatMap({ Digest($0) }),
            let old = try? Tree.load(before, from: store), let new = try? Tree.load(after, from: store)
        else { return [] }
        return limited(
            Tree.changes(from: old, to: new).map {
                let text = $0.description
                return text.prefix(2) + base + text.dropFirst(2)
            })
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
        return limited(
            names.map { name in
                switch (old[name], new[name]) {
                case (let before?, let after?): "~ \(name) \(before) → \(after)"
                case (let before?, nil): "- \(name) \(before)"
                case (_, let after): "+ \(name) \(after ?? "")"
                }
            })
    }

    // MARK: Words

    private func limited(_ lines: [String]) -> [String] {
        guard lines.count > Explanation.longest + 1 else { return lines }
        return lines.prefix(Explanation.longest) + ["and \(lines.count - Explanation.longest) more"]
    }

    private func verb(_ what: String, _ change: KeyChange) -> String {
        change.before == nil ? "\(what) is new" : change.after == nil ? "\(what) is gone" : "\(what) changed"
    }

    private func short(_ text: String?) -> String {
        guard let text else { return "nothing" }
        return text.count > 60 ? text.prefix(57) + "…" : text
    }
}
