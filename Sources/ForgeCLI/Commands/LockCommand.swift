import ForgeBase
import ForgeRecipe

/// `forge lock`
struct LockCommand {
    let session: Session

    func run() throws -> ExitCode {
        let recipe = try session.recipe()
        let service = LockService(session: session)
        let path = LockService.path(of: recipe)
        let lock = try LockFile.load(path) ?? LockFile()
        let wanted = try service.wanted(recipe)
        let packages = Array(session.arguments.operands.dropFirst())
        guard packages.isEmpty || session.arguments.has("update") else {
            throw ForgeError(
                .badInput, "packages are named without --update",
                remedy: "forge lock --update \(recipe.name) \(packages.joined(separator: " "))")
        }
        try check(packages, lock, wanted)
        if session.arguments.has("check") { return try check(wanted, lock, service, path) }

        let update: LockService.Update =
            !session.arguments.has("update") ? .nothing : packages.isEmpty ? .everything : .packages(packages)
        var new = try service.make(wanted, previous: lock, update: update)
        let ids = Set(wanted.map(\.id))
        new.keep { ids.contains($0.id) }
        let changed = try new.save(path)
        report(lock, new, path, changed: changed)
        return .done
    }

    /// Refuses names that neither the lock nor the recipe has: nothing would move.
    private func check(_ names: [String], _ lock: LockFile, _ wanted: [LockService.Wanted]) throws(ForgeError) {
        let known = Set(lock.entries.flatMap(\.names))
        for name in names where !known.contains(name) && !wanted.contains(where: { $0.request.mentions(name) }) {
            throw ForgeError(
                .badInput, "“\(name)” is not in the lock\(Suggestion.hint(for: name, inMany: known))",
                remedy: "name what the lock has, or update everything: forge lock --update RECIPE")
        }
    }

    /// Exit 0 if the lock has the newest of everything, 2 if not.
    private func check(
        _ wanted: [LockService.Wanted], _ lock: LockFile, _ service: LockService, _ path: String
    ) throws -> ExitCode {
        guard !lock.entries.isEmpty else {
            throw ForgeError(
                .badInput, "there is no lock \(session.layout.display(path))", remedy: "make one: forge lock RECIPE")
        }
        let answer = try service.newer(wanted, than: lock)
        let lines = (answer["newer"]?.array ?? []).compactMap(\.string)
        if session.console.json {
            session.console.result(JSON.object([("newer", .array(lines.map(JSON.string)))]).description)
        } else {
            for line in lines { session.console.result(line) }
            session.console.note(
                lines.isEmpty
                    ? "the lock is up to date"
                    : "\(lines.count) could move: forge lock --update")
        }
        return lines.isEmpty ? .done : .badInput
    }

    private func report(_ old: LockFile, _ new: LockFile, _ path: String, changed: Bool) {
        let console = session.console
        var changes: [String] = []
        for entry in new.entries {
            if let before = old.entry(entry.id, parameters: entry.parameters) {
                changes += entry.changes(since: before).map { "\(entry.id): \($0)" }
            } else {
                changes.append("\(entry.id): \(Format.count(entry.count.number, entry.count.noun)) locked")
            }
        }
        if console.json {
            console.result(
                JSON.object([
                    ("lock", .string(path)), ("changed", .bool(changed)), ("changes", .array(changes.map(JSON.string))),
                ]).description)
            return
        }
        for change in changes { console.result(change) }
        console.note(changed ? "wrote \(session.layout.display(path))" : "\(session.layout.display(path)) is unchanged")
    }
}

extension JSON {
    /// Whether a text stands somewhere in the value.
    fileprivate func mentions(_ text: String) -> Bool {
        switch self {
        case .string(let value): value == text
        case .array(let values): values.contains { $0.mentions(text) }
        case .object(let fields): fields.contains { $0.1.mentions(text) }
        default: false
        }
    }
}
