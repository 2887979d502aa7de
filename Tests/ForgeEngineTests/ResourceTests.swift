import ForgeBase
import ForgeEngine
import ForgeStore
import Testing

/// Actions run side by side as far as the weights of each resource fit.
@Suite struct ResourceTests {
    /// How many of six equal actions ran at once.
    func most(_ need: Resources, limits: Resources) throws -> Int {
        var plan = Plan()
        for i in 0..<6 {
            var action = testAction("a\(i)", value: Int64(i))
            action.resources = need
            _ = plan.add(action)
        }
        let store = MemoryStore()
        let runner = FakeRunner(store: store)
        let engine = Engine(plan: plan, cache: store, runner: runner, limits: limits)
        try engine.run(wanted: Array(plan.actions.indices))
        #expect(engine.states.allSatisfy { $0 == .ran })
        // Each takes one core, of which there are enough.
        return runner.mostCores
    }

    @Test func eachResourceLimitsWhatRunsAtOnce() throws {
        let limits = Resources(cpu: 100, memory: 5, disk: 5, network: 5)
        #expect(try most(Resources(cpu: 1), limits: limits) == 6)
        for need in [Resources(cpu: 1, memory: 2), Resources(cpu: 1, disk: 2), Resources(cpu: 1, network: 2)] {
            #expect(try most(need, limits: limits) == 2, "\(need)")
        }
    }

    @Test func whatNeedsMoreThanThereIsRunsAlone() throws {
        let limits = Resources(cpu: 100, memory: 5, disk: 5, network: 5)
        for need in [Resources(cpu: 1, memory: 9), Resources(cpu: 1, disk: 9), Resources(cpu: 1, network: 9)] {
            #expect(try most(need, limits: limits) == 1, "\(need)")
        }
    }
}
