import ForgeBase
import ForgeEngine
import ForgeStore

/// A random graph as plain values. Everything that an action is made of takes part, from few values, so that different
/// actions often turn out equal and edits often change nothing.
struct RandomGraph {
    struct Node {
        var stage: Int64
        var folder: Int64
        var option: Int64
        var epoch: Int64
        var architecture: Int64
        /// Texts of objects: a file of the recipe, a part of a lock.
        var file: Int64?
        var locked: Int64?
        /// Which output of which earlier node.
        var inputs: [(node: Int, output: Int)]
        var buildRoot: (node: Int, output: Int)?
        var resources: Resources
    }

    var nodes: [Node] = []
    /// Index in `plan.actions` of each node: equal nodes are one action.
    private(set) var places: [Int] = []
    private(set) var plan = Plan()

    init(_ random: inout SeededGenerator) {
        // In half of the graphs all want the same of the machine, so that one queue holds many.
        let share = Bool.random(using: &random) ? Resources(cpu: 1) : nil
        for i in 0..<Int.random(in: 1...24, using: &random) {
            let node = Node(
                stage: .random(in: 0...1, using: &random), folder: 0, option: .random(in: 0...2, using: &random),
                epoch: 0, architecture: 0,
                file: Int.random(in: 0...5, using: &random) == 0 ? .random(in: 0...2, using: &random) : nil,
                locked: Int.random(in: 0...5, using: &random) == 0 ? .random(in: 0...2, using: &random) : nil,
                inputs: RandomGraph.inputs(below: i, &random),
                buildRoot: i > 0 && Int.random(in: 0...3, using: &random) == 0
                    ? (.random(in: 0..<i, using: &random), .random(in: 0...1, using: &random)) : nil,
                resources: share ?? RandomGraph.resources(&random))
            nodes.append(node)
        }
        makePlan()
    }

    private static func inputs(below i: Int, _ random: inout SeededGenerator) -> [(node: Int, output: Int)] {
        guard i > 0 else { return [] }
        return (0..<Int.random(in: 0...3, using: &random)).map { _ in
            (Int.random(in: 0..<i, using: &random), Int.random(in: 0...1, using: &random))
        }
    }

    private static func resources(_ random: inout SeededGenerator) -> Resources {
        Resources(
            cpu: Int.random(in: 0...9, using: &random) == 0 ? .max : .random(in: 1...3, using: &random),
            memory: .random(in: 0...60, using: &random), network: .random(in: 0...1, using: &random))
    }

    /// Changes one thing of one node, as a person does between two builds.
    mutating func edit(_ random: inout SeededGenerator) {
        let i = Int.random(in: nodes.indices, using: &random)
        switch Int.random(in: 0..<8, using: &random) {
        case 0: nodes[i].stage += 1
        case 1: nodes[i].folder += .random(in: 0...7, using: &random)
        case 2: nodes[i].epoch += .random(in: 0...7, using: &random)
        case 3: nodes[i].architecture = 1 - nodes[i].architecture
        case 4: nodes[i].file = nodes[i].file.map { $0 + .random(in: 0...7, using: &random) } ?? 1
        case 5: nodes[i].locked = nodes[i].locked == nil ? 2 : nil
        case 6: nodes[i].inputs = RandomGraph.inputs(below: i, &random)
        default: nodes[i].option += .random(in: 0...7, using: &random)
        }
        makePlan()
    }

    /// The objects that a planner would have put into the store.
    var objects: [String] { nodes.flatMap { [$0.folder, $0.file, $0.locked].compactMap { $0 } }.map(String.init) }

    private mutating func makePlan() {
        plan = Plan()
        places = []
        for (i, node) in nodes.enumerated() { places.append(plan.add(action(i, node))) }
    }

    private func action(_ i: Int, _ node: Node) -> PlannedAction {
        func reference(_ source: (node: Int, output: Int)) -> OutputReference {
            OutputReference(action: places[source.node], output: RandomGraph.outputs[source.output])
        }
        var inputs = node.inputs.map { PlannedInput(name: "in", label: "", source: .output(reference($0))) }
        if let file = node.file {
            inputs.append(PlannedInput(name: "file", label: "", source: .object(Digest.of(String(file)), .file)))
        }
        return PlannedAction(
            name: "n\(i)", stage: String(node.stage), program: .script,
            stageDigest: Digest.of(String(node.folder)), options: .object([("option", .int(node.option))]),
            inputs: inputs, buildRoot: node.buildRoot.map(reference),
            locked: node.locked.map { Digest.of(String($0)) },
            outputs: RandomGraph.outputs.map { PlannedOutput(name: $0, kind: .file) }, epoch: node.epoch,
            architecture: String(node.architecture), resources: node.resources)
    }

    static let outputs = ["out", "more"]
}

/// What an action does, in the words that its two outputs are computed from. Many different words give the same output,
/// as comments do with compilers.
struct Work: Hashable {
    var words: [String?]

    var outputs: [String] {
        var sum: UInt64 = 17
        for word in words { sum = sum &* 31 &+ (word.flatMap { UInt64($0) }.map { $0 + 1 } ?? 0) }
        return [String(sum % 7), String(sum / 7 % 5)]
    }

    /// The model: what each node of a graph does, and so what it gives.
    static func all(of graph: RandomGraph) -> [Work] {
        var works: [Work] = []
        for node in graph.nodes {
            var words: [Int64?] = [node.stage, node.folder, node.option, node.epoch, node.architecture, node.locked]
            let inputs = node.inputs.map { works[$0.node].outputs[$0.output] }
            let root = node.buildRoot.map { works[$0.node].outputs[$0.output] }
            words.append(node.file)
            works.append(Work(words: words.map { $0.map { String($0) } } + [root] + inputs))
        }
        return works
    }

    /// The same from what a child process is told.
    init(_ request: ActionRequest, store: any ObjectStore) throws {
        func text(_ digest: Digest?) throws -> String? {
            try digest.map { String(decoding: try store.read($0), as: UTF8.self) }
        }
        let action = request.action
        words = [
            action.stage, try text(action.stageDigest), action.options["option"]?.int.map { String($0) },
            String(action.epoch), action.architecture, try text(action.locked),
            try text(request.inputs.first { $0.name == "file" }?.digest), try text(request.buildRoot),
        ]
        words += try request.inputs.filter { $0.name == "in" }.map { try text($0.digest) }
    }

    private init(words: [String?]) { self.words = words }
}
