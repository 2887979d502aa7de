import ForgeBase
import ForgeEngine
import ForgeStore
import Testing

/// The engine against a model of ten lines, on random graphs with edits, failures and interrupts between builds.
@Suite struct RandomGraphTests {
    struct Graph {
        var values: [Int64]
        var needs: [[Int]]

        init(_ generator: inout SeededGenerator) {
            let count = Int.random(in: 1...30, using: &generator)
            values = (0..<count).map { _ in Int64.random(in: 0...3, using: &generator) }
            needs = (0..<count).map { i in
                (0..<i).filter { _ in Int.random(in: 0...3, using: &generator) == 0 }
            }
        }

        var plan: Plan {
            var plan = Plan()
            for i in values.indices { _ = plan.add(testAction("n\(i)", value: values[i], needs: needs[i])) }
            return plan
        }
    }

    /// What a build must give: an action that is not blocked by a failure has its output; it runs only if no earlier
    /// build made the output of this option and these inputs.
    struct Model {
        var known: Set<String> = []

        mutating func build(_ graph: Graph, failing: Set<Int>) -> (outputs: [String?], ran: Set<Int>) {
            var outputs: [String?] = []
            var ran: Set<Int> = []
            for i in graph.values.indices {
                let inputs = graph.needs[i].map { outputs[$0] }
                guard !inputs.contains(nil) else { outputs.append(nil); continue }
                let key = "\(i) \(graph.values[i]) \(graph.needs[i]) \(inputs)"
                let hit = known.contains(key)
                if !hit { ran.insert(i) }
                guard hit || !failing.contains(i) else { outputs.append(nil); continue }
                known.insert(key)
                outputs.append(FakeRunner.output(option: graph.values[i], inputs: inputs.compactMap { $0 }))
            }
            return (outputs, ran)
        }
    }

    @Test(arguments: 0..<300 as Range<UInt64>) func theEngineAgreesWithTheModel(seed: UInt64) throws {
        var generator = SeededGenerator(state: seed)
        var graph = Graph(&generator)
        var model = Model()
        let store = MemoryStore()
        for round in 0..<5 {
            let failing = Set(graph.values.indices.filter { _ in Int.random(in: 0...9, using: &generator) == 0 })
            let runner = FakeRunner(store: store, seed: generator.next())
            runner.failing = Set(failing.map { "n\($0)" })
            let engine = Engine(
                plan: graph.plan, cache: store, objects: store, runner: runner,
                limits: Resources(cpu: Int.random(in: 1...4, using: &generator)), keepGoing: true)
            try engine.run(wanted: graph.values.indices)
            let expected = model.build(graph, failing: failing)
            for i in graph.values.indices {
                let output = try engine.results[i].map {
                    String(decoding: try store.read($0.outputs[0].digest), as: UTF8.self)
                }
                #expect(output == expected.outputs[i], "seed \(seed), round \(round), n\(i)")
            }
            #expect(Set(runner.ran) == Set(expected.ran.map { "n\($0)" }), "seed \(seed), round \(round)")
            #expect(runner.ran.count == Set(runner.ran).count, "nothing runs twice in a build")
            let edited = Int.random(in: graph.values.indices, using: &generator)
            graph.values[edited] += Int64.random(in: 0...7, using: &generator)
        }
    }
}
