import ForgeBase
import ForgeEngine
import ForgeStore
import ForgeSystem
import Glibc
import Testing

/// The engine against the model of `Work.all(of:)`: random graphs with equal actions, built again and again with edits,
/// lost objects, failures, interrupts and kills in between.
@Suite struct RandomGraphTests {
    /// More for a long run: FORGE_GRAPHS=20000.
    static let graphs = getenv("FORGE_GRAPHS").flatMap { Int(String(cString: $0)) } ?? 500

    struct Count {
        var builds = 0
        var actions = 0
        var interrupted = 0
        var killed = 0
        var waited = 0
    }

    @Test func theEngineAgreesWithTheModel() throws {
        let start = SystemTime().monotonic()
        var count = Count()
        for seed in 0..<UInt64(Self.graphs) {
            let fault = try build(seed, &count)
            guard fault == nil else {
                Issue.record("graph \(seed): \(fault ?? "")")
                return
            }
        }
        let milliseconds = (SystemTime().monotonic() - start) / 1_000_000
        print(
            "random graphs: \(Self.graphs) graphs, \(count.builds) builds (\(count.interrupted) interrupted, "
                + "\(count.killed) killed), \(count.actions) actions run, \(count.waited) waited for another build, "
                + "\(milliseconds) ms")
        #expect(count.interrupted > Self.graphs / 10 && count.killed > Self.graphs / 10)
        #expect(count.waited > Self.graphs / 10)
    }

    /// Builds one graph several times; the first thing that the engine did wrong.
    private func build(_ seed: UInt64, _ count: inout Count) throws -> String? {
        var random = SeededGenerator(state: seed)
        var graph = RandomGraph(&random)
        let cache = CheckedCache()
        for round in 0..<6 {
            let build = CheckedBuild(graph, cache: cache, &random)
            try build.run()
            count.builds += 1
            count.actions += build.started
            count.waited += build.waited
            if build.interrupted { count.interrupted += 1 }
            if build.killed { count.killed += 1 }
            if let fault = build.faults.first { return "build \(round): \(fault)" }
            if Bool.random(using: &random) { graph.edit(&random) }
            // Garbage collection, or a damaged store.
            if Int.random(in: 0..<3, using: &random) == 0 {
                cache.store.remove(Digest.of(String(Int.random(in: 0..<7, using: &random))))
            }
        }
        return nil
    }
}
