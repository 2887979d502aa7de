import ForgeBase
import ForgeEngine
import ForgePlanner
import ForgeRecipe
import ForgeStore

/// A plan, and what the last build that ran something did with it: what `forge graph` draws.
struct GraphData {
    /// One action. Times are seconds from the start of the build.
    struct Node {
        var index: Int
        /// What the last build did: `ran`, `hit`, `failed`, `skipped`; `none` if it was never built.
        var state = "none"
        var start = 0.0
        /// In the last build if it ran there, else what it took when it ran.
        var seconds = 0.0
        var cpuSeconds = 0.0
        var maxMemory: Int64 = 0
        var outputBytes: Int64 = 0
        /// Bytes of each output, by name, as far as they are known.
        var sizes: [String: Int64] = [:]
        var isCritical = false
        /// Seconds by which it could have been slower without the build being slower.
        var slack = 0.0

        /// Whether it took time in the last build.
        var worked: Bool { state == "ran" || state == "failed" }
    }

    let recipe: Recipe
    let planned: PlannedRecipe
    private(set) var build: BuildRecord?
    /// The actions that the artifacts need, in the order of the plan.
    private(set) var nodes: [Node]
    /// Wall time of the longest chain of actions that waited for each other.
    private(set) var criticalSeconds = 0.0

    init(recipe: Recipe, planned: PlannedRecipe, store: Store) throws {
        self.recipe = recipe
        self.planned = planned
        nodes = planned.plan.closure(of: planned.plan.artifacts.map(\.source.action)).map { Node(index: $0) }
        let lineage = try store.lineage(
            recipe: recipe.name, cell: Session.cell, parameters: History.parameters(recipe))
        guard let lineage else { return }
        build = try store.builds(lineage: lineage.id, limit: 200).first { $0.ran > 0 || $0.failed > 0 }
        guard let build else { return }
        let state = try store.state(lineage: lineage.id, upTo: build.id)
        let own = Dictionary(try store.actions(ofBuild: build.id).map { ($0.name, $0) }) { first, _ in first }
        for place in nodes.indices {
            let name = planned.plan.actions[nodes[place].index].name
            guard let row = own[name] ?? state[name]?.action else { continue }
            try fill(place, row, isOwn: own[name] != nil, store)
        }
        markCritical()
    }

    private mutating func fill(_ place: Int, _ row: BuildAction, isOwn: Bool, _ store: Store) throws {
        nodes[place].state = isOwn ? row.outcome.rawValue : BuildAction.Outcome.hit.rawValue
        nodes[place].start = isOwn ? row.start : 0
        nodes[place].seconds = row.seconds
        nodes[place].cpuSeconds = row.cpuSeconds
        nodes[place].maxMemory = row.maxMemory
        nodes[place].outputBytes = row.outputBytes
        guard let key = row.key, let result = try store.lookup(key) else { return }
        for output in result.outputs {
            nodes[place].sizes[output.name] = try OutputSize(store: store).bytes(of: output)
        }
    }

    /// The critical path method: the earliest each action could end if nothing waited but for its inputs, the latest it
    /// may end without delaying the whole; where both are the same, the path is critical. What came from the cache took
    /// no time, but is still waited for.
    private mutating func markCritical() {
        let places = Dictionary(nodes.enumerated().map { ($1.index, $0) }) { first, _ in first }
        var dependents = Array(repeating: [Int](), count: nodes.count)
        var earliest = Array(repeating: 0.0, count: nodes.count)
        for place in nodes.indices {
            var begin = 0.0
            for dependency in planned.plan.dependencies[nodes[place].index] {
                guard let before = places[dependency] else { continue }
                dependents[before].append(place)
                begin = max(begin, earliest[before])
            }
            earliest[place] = begin + (nodes[place].worked ? nodes[place].seconds : 0)
        }
        criticalSeconds = earliest.max() ?? 0
        var latest = Array(repeating: criticalSeconds, count: nodes.count)
        for place in nodes.indices.reversed() {
            for after in dependents[place] {
                latest[place] = min(latest[place], latest[after] - (nodes[after].worked ? nodes[after].seconds : 0))
            }
            nodes[place].slack = max(0, latest[place] - earliest[place])
        }
        // One path, although several may be as long: from the end back, along what was ready last.
        var next = nodes.indices.first { earliest[$0] == criticalSeconds && criticalSeconds > 0 }
        while let place = next {
            nodes[place].isCritical = nodes[place].worked
            next = planned.plan.dependencies[nodes[place].index].compactMap { places[$0] }
                .filter { earliest[$0] > 0 }.max { earliest[$0] < earliest[$1] }
        }
    }

    // MARK: JSON

    var json: JSON {
        let places = Dictionary(nodes.enumerated().map { ($1.index, $0) }) { first, _ in first }
        return .object([
            ("recipe", .string(recipe.name)), ("summary", .string(recipe.summary)), ("cell", .string(Session.cell)),
            ("parameters", .object(recipe.values.map { ($0.name, $0.value) })),
            ("forge", .string(Version.text)),
            ("build", build.map { LogCommand.json($0, nil) } ?? .null),
            ("date", build.map { .string(Format.date($0.started) + " UTC") } ?? .null),
            ("critical_seconds", .rounded(criticalSeconds)),
            ("actions", .array(nodes.map { json($0, places) })),
        ])
    }

    private func json(_ node: Node, _ places: [Int: Int]) -> JSON {
        let action = planned.plan.actions[node.index]
        let inputs = action.inputs.map { input -> JSON in
            let from =
                switch input.source {
                case .output(let reference): "\(planned.plan.actions[reference.action].name).\(reference.output)"
                case .object: "files of the project"
                }
            return .object([
                ("name", .string(input.label.isEmpty ? input.name : "\(input.name)/\(input.label)")),
                ("from", .string(from)),
            ])
        }
        let outputs = action.outputs.map { output -> JSON in
            let artifacts = planned.plan.artifacts.filter {
                $0.source.action == node.index && $0.source.output == output.name
            }
            return .object([
                ("name", .string(output.name)), ("kind", .string(output.kind.rawValue)),
                ("bytes", node.sizes[output.name].map(JSON.int) ?? .null),
                ("artifacts", .array(artifacts.map { .string($0.path) })),
            ])
        }
        return .object([
            ("name", .string(action.name)), ("stage", .string(action.stage)), ("state", .string(node.state)),
            ("tool", .bool(planned.tools.contains(node.index))), ("network", .bool(action.network)),
            ("location", action.location.map { .string("\($0.file):\($0.line)") } ?? .null),
            ("needs", .array(planned.plan.dependencies[node.index].compactMap { places[$0].map { .int(Int64($0)) } })),
            ("root", action.buildRoot.flatMap { places[$0.action] }.map { .int(Int64($0)) } ?? .null),
            ("options", action.options), ("inputs", .array(inputs)), ("outputs", .array(outputs)),
            ("start", .rounded(node.start)), ("seconds", .rounded(node.seconds)),
            ("cpu_seconds", .rounded(node.cpuSeconds)), ("max_memory", .int(node.maxMemory)),
            ("output_bytes", .int(node.outputBytes)), ("critical", .bool(node.isCritical)),
            ("slack", .rounded(node.slack)),
        ])
    }
}
