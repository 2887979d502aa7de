import ForgeBase
import ForgeEngine
import ForgeRecipe
import ForgeStore

/// `forge explain`
struct ExplainCommand {
    let session: Session

    func run() throws -> ExitCode {
        let recipe = try session.recipe()
        let store = try session.store()
        let explainer = Explainer(session: session, recipe: recipe, store: store)
        var words = Array(session.arguments.operands.dropFirst())
        let range = words.first.flatMap(BuildRange.init)
        if range != nil { words.removeFirst() }
        guard words.count < 2 else {
            throw ForgeError(
                .badInput, "“\(words[0])” is no range of builds",
                remedy: "write two numbers of `forge log \(recipe.name)`, for example 3..5")
        }
        let reports: [ActionReport]
        if let range {
            let (base, build) = try range.builds(of: recipe, in: store)
            reports = try explainer.past(build, since: base)
        } else if session.arguments.has("last") {
            guard let build = try store.builds(recipe: recipe.name, limit: 1).first else {
                throw ForgeError(.badInput, "\(recipe.name) was never built here", remedy: "forge build \(recipe.name)")
            }
            reports = try explainer.past(build, since: nil)
        } else {
            reports = try explainer.next()
        }
        show(reports, chosen: try words.first.map { try choose($0, reports, recipe) })
        return .done
    }

    private func choose(_ wanted: String, _ reports: [ActionReport], _ recipe: Recipe) throws -> ActionReport {
        let names = ["\(recipe.name)/\(wanted)", wanted]
        if let found = reports.first(where: { names.contains($0.action) }) { return found }
        let known = reports.map {
            $0.action.hasPrefix(recipe.name + "/") ? String($0.action.dropFirst(recipe.name.count + 1)) : $0.action
        }
        throw ForgeError(
            .badInput, "\(recipe.name) has no stage “\(wanted)”\(Suggestion.hint(for: wanted, in: known))",
            remedy: "stages: \(known.joined(separator: ", "))")
    }

    private func show(_ reports: [ActionReport], chosen: ActionReport?) {
        let chain = CauseChain(reports)
        if session.console.json {
            let list = chosen.map { chain.upstream(of: $0) } ?? reports
            session.console.result(JSON.array(list.map(\.json)).pretty(depth: 3))
            return
        }
        for report in chosen.map({ [$0] }) ?? reports {
            session.console.result("\(report.action): \(report.text)")
            for line in chosen == nil ? chain.short(report) : chain.whole(report) {
                session.console.result("    \(line)")
            }
        }
    }
}

/// `A..B`: two numbers of `forge log`; `..B` compares with the build before B.
struct BuildRange {
    var first: Int64?
    var last: Int64

    init?(_ text: String) {
        guard let dots = text.firstRange(of: "..") else { return nil }
        let (before, after) = (text[..<dots.lowerBound], text[dots.upperBound...])
        guard let last = Int64(after), before.isEmpty || Int64(before) != nil else { return nil }
        first = Int64(before)
        self.last = last
    }

    func builds(of recipe: Recipe, in store: Store) throws -> (BuildRecord?, BuildRecord) {
        func build(_ id: Int64) throws -> BuildRecord {
            if let build = try store.build(id), build.recipe == recipe.name { return build }
            let known = try store.builds(recipe: recipe.name, limit: 8).map { "#\($0.id)" }
            throw ForgeError(
                .badInput, "\(recipe.name) has no build #\(id)",
                remedy: known.isEmpty ? "forge build \(recipe.name)" : "newest first: \(known.joined(separator: ", "))")
        }
        return (try first.map(build), try build(last))
    }
}

/// From an action to what is behind it, as lines.
struct CauseChain {
    private let byName: [String: ActionReport]
    /// Hops that are written of one chain.
    private static let longest = 12

    init(_ reports: [ActionReport]) {
        byName = Dictionary(reports.map { ($0.action, $0) }) { first, _ in first }
    }

    /// Every cause of an action, each followed along its first cause down to where it begins.
    func short(_ report: ActionReport) -> [String] {
        report.causes.flatMap { cause -> [String] in
            var lines = CauseChain.lines(cause)
            var next = cause.maker
            var seen: Set<String> = [report.action]
            while let maker = next, let actor = byName[maker.action], seen.insert(maker.action).inserted,
                seen.count < CauseChain.longest
            {
                lines.append("  ← " + actor.asCause(output: maker.output))
                guard let first = actor.causes.first else { break }
                if first.maker == nil {
                    lines += CauseChain.lines(first).enumerated().map { ($0 == 0 ? "  ← " : "    ") + $1 }
                }
                let others = actor.causes.count - 1
                if others > 0 { lines.append("    and \(Format.count(others, "other cause"))") }
                next = first.maker
            }
            return lines
        }
    }

    /// Every cause, each with every cause behind it; an action is told once.
    func whole(_ report: ActionReport) -> [String] {
        var told: Set<String> = []
        return whole(report, &told)
    }

    private func whole(_ report: ActionReport, _ told: inout Set<String>) -> [String] {
        told.insert(report.action)
        var lines: [String] = []
        for cause in report.causes {
            lines += CauseChain.lines(cause)
            guard let maker = cause.maker, let actor = byName[maker.action] else { continue }
            lines.append("  ← " + actor.asCause(output: maker.output))
            if told.contains(actor.action) { continue }
            lines += whole(actor, &told).map { "      " + $0 }
        }
        return lines
    }

    /// An action and the actions that are behind it.
    func upstream(of report: ActionReport) -> [ActionReport] {
        var found = [report]
        var names: Set<String> = [report.action]
        var i = 0
        while i < found.count {
            for maker in found[i].causes.compactMap(\.maker) {
                if let actor = byName[maker.action], names.insert(maker.action).inserted { found.append(actor) }
            }
            i += 1
        }
        return found
    }

    private static func lines(_ cause: Cause) -> [String] {
        [cause.text + (cause.place.map { "  (\($0))" } ?? "")] + cause.details.map { "  \($0)" }
    }
}
