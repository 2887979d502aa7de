import ForgeBase
import ForgeEngine
import ForgePlanner
import ForgeRecipe
import ForgeStore
import ForgeSystem

/// What a recipe's build is made of, as far as the cache has it.
struct RecipeClosure {
    let recipe: Recipe
    let closure: BuildClosure

    /// - Throws: `.badInput` if something of the build is not in the cache.
    init(_ recipe: Recipe, session: Session) throws {
        self.recipe = recipe
        // Before a plan, which would make a lock by asking the network.
        let lock = try LockFile.load(LockService.path(of: recipe))
        let wanted = try LockService(session: session).wanted(recipe)
        let entries = wanted.compactMap { item in
            lock?.entries.first { $0.id == item.id && $0.request == item.request }
        }
        guard entries.count == wanted.count else { throw RecipeClosure.unbuilt(recipe, "its lock does not fit") }
        let planned = try session.plan(recipe)
        let store = try session.store()
        let engine = Engine(
            plan: planned.plan, cache: store, runner: NoRunner(), limits: Resources(cpu: 1))
        let needed = planned.plan.closure(of: planned.plan.artifacts.map(\.source.action))
        try engine.run(wanted: needed)
        if let missing = needed.first(where: { engine.states[$0] != .hit }) {
            let name = planned.plan.actions[missing].name
            throw RecipeClosure.unbuilt(recipe, "the result of \(name) is not in the cache")
        }
        var objects: [(digest: Digest, kind: ActionResult.Output.Kind)] = []
        for index in needed {
            let request = try engine.request(for: index)
            objects.append((request.action.stageDigest, .tree))
            objects += request.inputs.map { ($0.digest, $0.kind) }
            if let locked = request.action.locked { objects.append((locked, .file)) }
        }
        // Archives drop packages; who keeps a build wants to be able to build it again.
        objects += try LockService.objects(of: entries, in: store).map { ($0, .file) }
        closure = BuildClosure(
            about: [
                ("recipe", .string(recipe.name)), ("cell", .string(Session.cell)),
                ("architecture", .string(recipe.architecture)),
                ("parameters", .object(recipe.values.map { ($0.name, $0.value) })),
            ],
            actions: needed.compactMap { index in
                engine.keys[index].map { (planned.plan.actions[index].name, $0.digest) }
            },
            objects: objects)
    }

    private static func unbuilt(_ recipe: Recipe, _ why: String) -> ForgeError {
        ForgeError(
            .badInput, "\(recipe.name) is not completely built here: \(why)",
            remedy: "run `forge build \(recipe.name)` with the same --set first")
    }

    /// Runs nothing: what is not in the cache stays undone.
    private final class NoRunner: ActionRunner {
        func start(_ index: Int, _ request: ActionRequest) throws {
            throw ForgeError(.badInput, "the result of \(request.action.name) is not in the cache")
        }
        func next() -> RunnerEvent { .interrupted }
        func cancelAll() {}
    }
}

/// `forge cache pin`, `unpin`, `pins`, `export` and `import`.
extension CacheCommand {
    /// Keeps everything that the last build of a recipe is made of.
    func pin() throws -> ExitCode {
        let recipe = try session.recipe(at: 1)
        let name = session.arguments.value("name") ?? CacheCommand.pinName(recipe, session.arguments.list("set"))
        // Those of locks are named by paths.
        guard !name.hasPrefix("/"), !name.isEmpty else {
            throw ForgeError(
                .badInput, "the name of a pin can't be “\(name)”", remedy: "take a word, such as the version")
        }
        let store = try session.store()
        let use = try store.hold()
        defer { withExtendedLifetime(use) {} }
        let closure = try RecipeClosure(recipe, session: session).closure
        try store.pin(name, closure.objects, actions: closure.actions.map(\.key))
        let summary = try store.pinSummaries().first { $0.name == name }
        if session.console.json {
            session.console.result(summary.map(CacheCommand.json)?.description ?? "null")
        } else if let summary {
            session.console.result("pinned \(CacheCommand.line(summary))")
        }
        return .done
    }

    /// The recipe's name, and the parameters that tell this build from others of it.
    static func pinName(_ recipe: Recipe, _ set: [String]) -> String {
        ([recipe.name] + set.sorted { $0.precedes($1) }).joined(separator: ",")
    }

    func unpin() throws -> ExitCode {
        let name = session.arguments.operand(1) ?? ""
        let store = try session.store()
        guard try store.unpin(name) else {
            let hint = Suggestion.hint(for: name, in: try store.pins())
            throw ForgeError(.badInput, "there is no pin “\(name)”\(hint)", remedy: "see `forge cache pins`")
        }
        session.console.note("“\(name)” is no longer pinned")
        return .done
    }

    func pins() throws -> ExitCode {
        let summaries = try session.store().pinSummaries()
        if session.console.json {
            session.console.result(JSON.array(summaries.map(CacheCommand.json)).pretty(depth: 1))
            return .done
        }
        if summaries.isEmpty { session.console.note("nothing is pinned") }
        for summary in summaries { session.console.result(CacheCommand.line(summary)) }
        return .done
    }

    private static func json(_ summary: PinSummary) -> JSON {
        .object([
            ("name", .string(summary.name)), ("actions", .int(Int64(summary.actions))),
            ("missing_actions", .int(Int64(summary.missingActions))), ("objects", .int(Int64(summary.objects))),
            ("bytes", .int(summary.bytes)),
        ])
    }

    private static func line(_ summary: PinSummary) -> String {
        let lock = summary.name.hasPrefix("/")
        var text = lock ? "the lock \(summary.name)" : summary.name
        text += ": "
        if !lock { text += "\(Format.count(summary.actions, "result")), " }
        text += "\(Format.count(summary.objects, "object")), \(Format.bytes(summary.bytes))"
        if summary.missingActions > 0 {
            text += "; \(Format.count(summary.missingActions, "result")) gone, build and pin it again"
        }
        return text
    }

    func export() throws -> ExitCode {
        let store = try session.store()
        let use = try store.hold()
        defer { withExtendedLifetime(use) {} }
        let closure = try RecipeClosure(session.recipe(at: 1), session: session).closure
        let file = session.arguments.operand(2) ?? ""
        let report = try store.export(closure, to: file)
        return tell(report, "exported", file)
    }

    func takeIn() throws -> ExitCode {
        let file = session.arguments.operand(1) ?? ""
        return tell(try session.store().takeIn(file), "imported", file)
    }

    private func tell(_ report: TransferReport, _ verb: String, _ file: String) -> ExitCode {
        let size = (try? Files.status(file)?.size) ?? 0
        if session.console.json {
            session.console.result(
                JSON.object([
                    ("file", .string(file)), ("file_bytes", .int(size)), ("actions", .int(Int64(report.actions))),
                    ("objects", .int(Int64(report.objects))), ("bytes", .int(report.bytes)),
                    ("known_objects", .int(Int64(report.known))), ("about", report.about),
                ]).description)
            return .done
        }
        let recipe = report.about["recipe"]?.string ?? ""
        let known = report.known > 0 ? " (\(report.known) were here already)" : ""
        session.console.result(
            "\(verb) \(recipe): \(Format.count(report.actions, "result")), \(Format.count(report.objects, "object"))\(known), "
                + "\(Format.bytes(report.bytes)); \(file) has \(Format.bytes(size))")
        return .done
    }
}
