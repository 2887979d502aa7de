import ForgeBase
import ForgeEngine
import ForgeStore
import Testing

/// An action of a test graph.
func testAction(_ name: String, value: Int64, needs: [Int] = [], cpu: Int = 1) -> PlannedAction {
    PlannedAction(
        name: name, stage: "sum", program: .script, stageDigest: Digest.of("sum"),
        options: .object([("value", .int(value)), ("name", .string(name))]),
        inputs: needs.map {
            PlannedInput(name: "in", label: "\($0)", source: .output(OutputReference(action: $0, output: "out")))
        },
        outputs: [PlannedOutput(name: "out", kind: .file)], resources: Resources(cpu: cpu))
}

@Suite struct EngineTests {
    let store = MemoryStore()

    @discardableResult
    func build(_ plan: Plan, _ runner: FakeRunner, wanted: [Int]? = nil, keepGoing: Bool = false, cores: Int = 2) throws
        -> Engine
    {
        let engine = Engine(
            plan: plan, cache: store, runner: runner,
            limits: Resources(cpu: cores, memory: 100, network: 2),
            keepGoing: keepGoing)
        try engine.run(wanted: wanted ?? Array(plan.actions.indices))
        return engine
    }

    /// a → b → d, a → c → d
    func diamond(a: Int64 = 1, b: Int64 = 2) -> Plan {
        var plan = Plan()
        _ = plan.add(testAction("a", value: a))
        _ = plan.add(testAction("b", value: b, needs: [0]))
        _ = plan.add(testAction("c", value: 3, needs: [0]))
        _ = plan.add(testAction("d", value: 4, needs: [1, 2]))
        return plan
    }

    @Test func runsEverythingOnceInOrder() throws {
        let runner = FakeRunner(store: store)
        let engine = try build(diamond(), runner)
        #expect(runner.ran.sorted() == ["a", "b", "c", "d"])
        #expect(runner.ran.first == "a" && runner.ran.last == "d")
        #expect(engine.states.allSatisfy { $0 == .ran })
    }

    @Test func aSecondBuildRunsNothing() throws {
        try build(diamond(), FakeRunner(store: store))
        let runner = FakeRunner(store: store)
        let engine = try build(diamond(), runner)
        #expect(runner.ran.isEmpty)
        #expect(engine.states.allSatisfy { $0 == .hit })
    }

    @Test func aChangeThatGivesTheSameBytesStopsTheRebuild() throws {
        try build(diamond(a: 1), FakeRunner(store: store))
        let runner = FakeRunner(store: store)
        try build(diamond(a: 8), runner)
        #expect(runner.ran == ["a"], "8 and 1 are the same modulo 7")
    }

    @Test func onlyWhatIsWantedRuns() throws {
        let runner = FakeRunner(store: store)
        let engine = try build(diamond(), runner, wanted: [1])
        #expect(runner.ran == ["a", "b"])
        #expect(engine.states[2] == .unwanted)
    }

    @Test func equalActionsOfTwoCellsAreOne() throws {
        var plan = Plan()
        let first = plan.add(testAction("x", value: 1))
        var other = testAction("x", value: 1)
        other.name = "another cell/x"
        #expect(plan.add(other) == first)
        #expect(plan.actions.count == 1)
    }

    @Test func actionsThatTurnOutEqualRunOnce() throws {
        var plan = Plan()
        _ = plan.add(testAction("a", value: 1))
        _ = plan.add(testAction("b", value: 8))
        for i in 0..<2 {
            var action = testAction("c", value: 3, needs: [i])
            action.inputs[0].label = ""
            action.name = "c\(i)"
            _ = plan.add(action)
        }
        let runner = FakeRunner(store: store)
        try build(plan, runner, cores: 8)
        #expect(runner.ran.count { $0.hasPrefix("c") } == 1, "a and b give the same bytes, so both c are one action")
    }

    @Test func afterAFailureNothingNewStartsUnlessAskedTo() throws {
        for keepGoing in [false, true] {
            let store = MemoryStore()
            var plan = Plan()
            _ = plan.add(testAction("bad", value: 1))
            _ = plan.add(testAction("after", value: 2, needs: [0]))
            for i in 0..<4 { _ = plan.add(testAction("other\(i)", value: Int64(i))) }
            let runner = FakeRunner(store: store)
            runner.failing = ["bad"]
            let engine = Engine(
                plan: plan, cache: store, runner: runner, limits: Resources(cpu: 1),
                keepGoing: keepGoing)
            try engine.run(wanted: plan.actions.indices)
            #expect(engine.states[0] == .failed)
            #expect(engine.states[1] == .skipped)
            #expect(engine.states[2...].allSatisfy { $0 == (keepGoing ? .ran : .skipped) })
            #expect(engine.errors[0]?.code == .stageFailed)
        }
    }

    @Test func coresAreNeverGivenTwice() throws {
        var plan = Plan()
        for i in 0..<20 { _ = plan.add(testAction("a\(i)", value: Int64(i), cpu: 1 + i % 3)) }
        let runner = FakeRunner(store: store)
        try build(plan, runner, cores: 4)
        #expect(runner.ran.count == 20)
        #expect(runner.mostCores <= 4)
    }

    @Test func anActionThatWantsAllCoresStillRuns() throws {
        var plan = Plan()
        _ = plan.add(testAction("kernel", value: 1, cpu: .max))
        let runner = FakeRunner(store: store)
        try build(plan, runner)
        #expect(runner.ran == ["kernel"])
    }

    /// They may take different amounts, and the first may have to wait for its share.
    @Test func equalActionsRunOnceWhateverTheyTake() throws {
        var plan = Plan()
        _ = plan.add(testAction("a", value: 1))
        _ = plan.add(testAction("b", value: 8))
        for i in 0..<2 {
            var action = testAction("c", value: 3, needs: [i], cpu: i == 0 ? 2 : 1)
            action.inputs[0].label = ""
            action.name = "c\(i)"
            _ = plan.add(action)
        }
        _ = plan.add(testAction("after", value: 4, needs: [2]))
        _ = plan.add(testAction("other", value: 5))
        for seed in 0..<20 {
            let store = MemoryStore()
            let runner = FakeRunner(store: store, seed: UInt64(seed))
            let engine = Engine(
                plan: plan, cache: store, runner: runner,
                limits: Resources(cpu: 2, memory: 100, network: 2))
            try engine.run(wanted: plan.actions.indices)
            #expect(runner.ran.count { $0.hasPrefix("c") } == 1, "\(runner.ran)")
        }
    }

    @Test func afterAFailedStartNothingStarts() throws {
        var plan = Plan()
        for i in 0..<4 { _ = plan.add(testAction("a\(i)", value: Int64(i))) }
        let runner = FakeRunner(store: store)
        runner.broken = ["a0"]
        let engine = try build(plan, runner, cores: 4)
        #expect(runner.ran.isEmpty)
        #expect(engine.states == [.failed, .skipped, .skipped, .skipped])
    }

    @Test func nothingOutlivesABuildThatEndsByAnError() throws {
        let cache = FullCache()
        let runner = FakeRunner(store: store)
        let plan = diamond()
        let engine = Engine(
            plan: plan, cache: cache, runner: runner, limits: Resources(cpu: 2, memory: 100))
        #expect(throws: ForgeError.self) { try engine.run(wanted: plan.actions.indices) }
        #expect(runner.wasCancelled)
    }

    @Test func anInterruptedBuildGoesOnNextTime() throws {
        let runner = FakeRunner(store: store)
        runner.interruptAfter = 2
        let engine = try build(diamond(), runner, cores: 1)
        #expect(engine.interrupted)
        let second = FakeRunner(store: store)
        try build(diamond(), second)
        #expect(second.ran.count == 2, "two were done before")
    }

    @Test func aResultWithoutAnOutputOfTheStageIsNone() throws {
        var plan = Plan()
        _ = plan.add(testAction("a", value: 1))
        _ = plan.add(testAction("b", value: 2, needs: [0]))
        let key = ActionKey(of: plan.actions[0], inputs: [], buildRoot: nil)
        for outputs in [[], [ActionResult.Output(name: "out", kind: .tree, digest: store.put(Array("1".utf8)))]] {
            store.commit(key.digest, ActionResult(outputs: outputs))
            let runner = FakeRunner(store: store)
            let engine = try build(plan, runner)
            #expect(runner.ran.first == "a")
            #expect(engine.states[1].isDone)
        }
    }

    @Test func theUserCanStopWhatOnlyAsksTheCache() throws {
        var plan = Plan()
        for i in 0..<100 { _ = plan.add(testAction("a\(i)", value: Int64(i), needs: i > 0 ? [i - 1] : [])) }
        try build(plan, FakeRunner(store: store))
        let runner = FakeRunner(store: store)
        runner.interruptAfterLookups = 10
        let engine = try build(plan, runner)
        #expect(engine.interrupted)
        #expect(engine.states.count { $0 == .hit } == 10)
        #expect(engine.states.count { $0 == .skipped } == 90)
    }

    /// What waits for the equal one waits for the one that runs.
    @Test func anEqualActionOnALongerPathMakesTheOneThatRunsUrgent() throws {
        var plan = Plan()
        _ = plan.add(testAction("a", value: 1))
        _ = plan.add(testAction("b", value: 8))
        for i in 0..<2 {
            var action = testAction("c", value: 3, needs: [i])
            action.inputs[0].label = ""
            action.name = "c\(i)"
            _ = plan.add(action)
        }
        _ = plan.add(testAction("other", value: 4, needs: [0]))
        _ = plan.add(testAction("after other", value: 4, needs: [4]))
        _ = plan.add(testAction("after", value: 5, needs: [3]))
        _ = plan.add(testAction("last", value: 5, needs: [6]))
        // In the order of the ends of a and b the shorter of the two c is asked for first or last.
        for seed in 0..<8 {
            let store = MemoryStore()
            let runner = FakeRunner(store: store, seed: UInt64(seed))
            let engine = Engine(
                plan: plan, cache: store, runner: runner, limits: Resources(cpu: 1),
                durations: { { [1, 1.5, 1, 1, 1, 1.2, 5, 5][$0] } })
            try engine.run(wanted: plan.actions.indices)
            let (c, other) = (
                runner.ran.firstIndex { $0.hasPrefix("c") } ?? -1, runner.ran.firstIndex(of: "other") ?? -1
            )
            #expect(c < other, "\(runner.ran)")
        }
    }

    @Test func theLongestPathGoesFirst() throws {
        var plan = Plan()
        _ = plan.add(testAction("short", value: 1))
        _ = plan.add(testAction("long", value: 2))
        _ = plan.add(testAction("longer", value: 3, needs: [1]))
        let runner = FakeRunner(store: store)
        try build(plan, runner, cores: 1)
        #expect(runner.ran.first == "long")
    }

    @Test func theKeyAndItsExplanationAgree() {
        let before = ActionKey(of: testAction("a", value: 1), inputs: [], buildRoot: nil)
        let same = ActionKey(of: testAction("a", value: 1), inputs: [], buildRoot: nil)
        let after = ActionKey(of: testAction("a", value: 2), inputs: [], buildRoot: nil)
        #expect(before == same)
        #expect(before.digest != after.digest)
        #expect(
            KeyChange.between(before.parts, after.parts)
                == [KeyChange(kind: .option, name: "value", before: "1", after: "2")])
        #expect(KeyChange.between(before.parts, same.parts).isEmpty)
    }

    /// Of inputs with a few names and labels, no two shapes have one key.
    @Test func inputsOfAnotherShapeGiveAnotherKey() {
        var known: [Digest: [ResolvedInput]] = [:]
        let content = Digest.of("content")
        let single = ["a", "b"].flatMap { name in
            ["", "a", "b", "0-a"].flatMap { label in
                [ActionResult.Output.Kind.file, .tree].map {
                    ResolvedInput(name: name, label: label, kind: $0, digest: content)
                }
            }
        }
        let shapes = single.map { [$0] } + single.flatMap { first in single.map { [first, $0] } }
        for shape in shapes {
            let key = ActionKey(of: testAction("x", value: 1), inputs: shape, buildRoot: nil)
            let other = known.updateValue(shape, forKey: key.digest)
            #expect(other == nil, "\(shape) and \(other ?? []) have one key")
        }
    }
}

/// A cache on a full disk.
private final class FullCache: ActionCache {
    func lookup(_ key: Digest) throws -> ActionResult? { nil }
    func commit(_ key: Digest, _ result: ActionResult) throws { throw ForgeError(.io, "no space left on device") }
}
