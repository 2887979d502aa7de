import ForgeBase
import ForgeEngine
import ForgePlanner
import ForgeRecipe
import ForgeStore
import ForgeSystem
import Glibc

/// `forge plan`
struct PlanCommand {
    let session: Session

    func run() throws -> ExitCode {
        let recipe = try session.recipe()
        let planned = try session.plan(recipe)
        guard !session.console.json else {
            session.console.result(PlanCommand.json(planned, recipe).pretty())
            return .done
        }
        for action in planned.plan.actions {
            session.console.result("\(action.name)  (\(action.stage))")
            for input in action.inputs {
                let label = input.label.isEmpty ? input.name : "\(input.name)/\(input.label)"
                session.console.result("    \(label) ← \(PlanCommand.source(input.source, planned.plan))")
            }
        }
        for artifact in planned.plan.artifacts {
            let maker = planned.plan.actions[artifact.source.action].name
            session.console.result("\(artifact.path) ← \(maker).\(artifact.source.output)")
        }
        return .done
    }

    static func source(_ source: PlannedInput.Source, _ plan: Plan) -> String {
        switch source {
        case .output(let reference): "\(plan.actions[reference.action].name).\(reference.output)"
        case .object(let digest, let kind): "\(kind.rawValue) \(digest)"
        }
    }

    /// The whole plan: what goldens compare and scripts read.
    static func json(_ planned: PlannedRecipe, _ recipe: Recipe) -> JSON {
        let actions = planned.plan.actions.map { action in
            JSON.object([
                ("name", .string(action.name)), ("stage", .string(action.stage)), ("run", .string(action.program.text)),
                ("stage_digest", .string(action.stageDigest.description)), ("options", action.options),
                (
                    "inputs",
                    .array(
                        action.inputs.map {
                            .object([
                                ("name", .string($0.name)), ("label", .string($0.label)),
                                ("source", .string(source($0.source, planned.plan))),
                            ])
                        })
                ),
                (
                    "build_root",
                    action.buildRoot.map { .string("\(planned.plan.actions[$0.action].name).\($0.output)") } ?? .null
                ),
                ("locked", action.locked.map { .string($0.description) } ?? .null),
                ("outputs", .array(action.outputs.map { .string($0.name) })),
                ("network", .bool(action.network)), ("epoch", .int(action.epoch)),
            ])
        }
        let artifacts = planned.plan.artifacts.map { artifact in
            JSON.object([
                ("path", .string(artifact.path)),
                ("source", .string("\(planned.plan.actions[artifact.source.action].name).\(artifact.source.output)")),
            ])
        }
        return .object([
            ("recipe", .string(recipe.name)), ("cell", .string(Session.cell)),
            ("actions", .array(actions)), ("artifacts", .array(artifacts)),
        ])
    }
}

/// `forge graph`
struct GraphCommand {
    let session: Session

    func run() throws -> ExitCode {
        let planned = try session.plan(try session.recipe())
        let dot = GraphCommand.dot(planned)
        guard session.arguments.value("format") == "svg" else {
            session.console.raw(dot)
            return .done
        }
        guard let program = Host.findProgram("dot") else {
            throw ForgeError(
                .unsupportedHost, "SVG needs Graphviz, which is not installed",
                remedy: "apt install graphviz, or take --format dot")
        }
        let svg = try Command(program, ["-Tsvg"], input: .bytes(Array(dot.utf8)), errors: .null).outputOrThrow()
        session.console.raw(String(decoding: svg, as: UTF8.self))
        return .done
    }

    /// The plan in Graphviz's language.
    static func dot(_ planned: PlannedRecipe) -> String {
        func quoted(_ text: String) -> String {
            "\"" + text.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\\\"") + "\""
        }
        var text =
            "digraph forge {\n  rankdir=LR;\n  node [shape=box, style=\"rounded,filled\", fontname=\"sans-serif\"];\n"
        for (i, action) in planned.plan.actions.enumerated() {
            let fill = planned.tools.contains(i) ? "#eeeeee" : action.network ? "#fff3d6" : "#e3f0ff"
            text += "  a\(i) [label=\(quoted("\(action.name)\\n\(action.stage)")), fillcolor=\"\(fill)\"];\n"
        }
        for (i, action) in planned.plan.actions.enumerated() {
            for dependency in action.dependencies {
                let style = action.buildRoot?.action == dependency ? " [style=dotted]" : ""
                text += "  a\(dependency) -> a\(i)\(style);\n"
            }
        }
        for (i, artifact) in planned.plan.artifacts.enumerated() {
            text += "  o\(i) [label=\(quoted(artifact.path)), shape=note, fillcolor=\"#e2f5e2\"];\n"
            text += "  a\(artifact.source.action) -> o\(i);\n"
        }
        return text + "}\n"
    }
}

/// `forge explain`
struct ExplainCommand {
    let session: Session

    func run() throws -> ExitCode {
        let recipe = try session.recipe()
        let report = try session.arguments.has("last") ? last(recipe) : next(recipe)
        let wanted = session.arguments.operand(1)
        let chosen = report.filter {
            wanted == nil || $0.action == "\(recipe.name)/\(wanted ?? "")" || $0.action == wanted
        }
        if let wanted, chosen.isEmpty {
            let names = report.map {
                $0.action.hasPrefix(recipe.name + "/") ? String($0.action.dropFirst(recipe.name.count + 1)) : $0.action
            }
            throw ForgeError(
                .badInput, "\(recipe.name) has no stage “\(wanted)”\(Suggestion.hint(for: wanted, in: names))",
                remedy: "stages: \(names.joined(separator: ", "))")
        }
        if session.console.json {
            session.console.result(
                JSON.array(
                    chosen.map {
                        .object([
                            ("action", .string($0.action)), ("state", .string($0.state)),
                            ("causes", .array($0.causes.map(JSON.string))),
                        ])
                    }
                ).pretty(depth: 2))
        } else {
            for item in chosen {
                session.console.result("\(item.action): \(item.state)")
                for cause in item.causes { session.console.result("    \(cause)") }
            }
        }
        return .done
    }

    private struct Item {
        var action: String
        var state: String
        var causes: [String] = []
    }

    /// What the next build would do, found without running anything: an action whose inputs are not known, because
    /// something before it has to run, may run too.
    private func next(_ recipe: Recipe) throws -> [Item] {
        let store = try session.store()
        let planned = try session.plan(recipe)
        let scout = Scout()
        let engine = Engine(
            plan: planned.plan, cache: store, objects: store, runner: scout,
            limits: Resources(cpu: .max, memory: .max, network: .max))
        try engine.run(wanted: planned.plan.artifacts.map(\.source.action))
        return try planned.plan.actions.indices.filter { engine.states[$0] != .unwanted }.map { index in
            let action = planned.plan.actions[index]
            if engine.states[index] == .hit { return Item(action: action.name, state: "in the cache") }
            guard let key = engine.keys[index] else {
                let before = action.dependencies.filter { !engine.states[$0].isDone }.map {
                    planned.plan.actions[$0].name
                }
                return Item(
                    action: action.name, state: "runs if an input changes",
                    causes: ["after \(before.joined(separator: ", "))"])
            }
            return Item(action: action.name, state: "will run", causes: try causes(action.name, key.parts, store))
        }
    }

    private func last(_ recipe: Recipe) throws -> [Item] {
        let store = try session.store()
        guard let build = try store.builds(recipe: recipe.name, limit: 1).first else {
            throw ForgeError(.badInput, "\(recipe.name) was never built here", remedy: "forge build \(recipe.name)")
        }
        return try store.actions(ofBuild: build.id).map { action in
            guard action.outcome == .ran || action.outcome == .failed, let key = action.key,
                let parts = try store.keyParts(of: key)
            else {
                return Item(
                    action: action.name, state: action.outcome == .hit ? "was in the cache" : action.outcome.rawValue)
            }
            return Item(
                action: action.name, state: action.outcome.rawValue,
                causes: try causes(action.name, parts, store, before: build.id))
        }
    }

    private func causes(_ name: String, _ parts: [KeyPart], _ store: Store, before: Int64 = .max) throws -> [String] {
        guard let earlier = try store.keyParts(action: name, before: before) else {
            return ["it never ran here before"]
        }
        let changes = KeyChange.between(earlier.parts, parts)
        if changes.isEmpty { return ["its result is no longer in the cache"] }
        return Explanation(store: store).lines(changes)
    }

    /// Runs nothing: every action that would run stays undone.
    private final class Scout: ActionRunner {
        private var started: [Int] = []
        func start(_ index: Int, _ request: ActionRequest) throws { started.append(index) }
        func next() throws -> RunnerEvent { .interrupted }
        func cancelAll() {}
    }
}
