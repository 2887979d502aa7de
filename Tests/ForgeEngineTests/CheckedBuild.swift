import ForgeBase
import ForgeEngine
import ForgeStore

/// What happened beside the engine: no error that it knows, as when the process is killed.
struct Killed: Error {}

/// A store whose results can be lost, which knows what it should hold by the model alone.
final class CheckedCache: ActionCache {
    let store = MemoryStore()
    /// What the cache must hold: the outputs by what was done.
    var known: [Work: [String]] = [:]
    /// What the action that ends now did.
    var ending: Work?
    /// Stops the build before or after so many results more are written.
    var killAt: Int?

    func lookup(_ key: Digest) throws -> ActionResult? { store.lookup(key) }

    /// What another build does beside this one.
    func commitElsewhere(_ work: Work, _ key: Digest, _ result: ActionResult) {
        store.commit(key, result)
        known[work] = work.outputs
    }

    func commit(_ key: Digest, _ result: ActionResult) throws {
        if let left = killAt {
            killAt = left - 1
            if left == 0 { throw Killed() }
        }
        store.commit(key, result)
        if let ending { known[ending] = ending.outputs }
        if killAt == -1 { throw Killed() }
    }

    func holds(_ work: Work) -> Bool {
        known[work].map { $0.allSatisfy { store.contains(Digest.of($0)) } } ?? false
    }
}

extension CheckedCache: @unchecked Sendable {}

/// One build of a random graph: runs actions without processes, injects failures, interrupts and kills, and checks every
/// step of the engine against the model.
final class CheckedBuild: ActionRunner, EngineObserver {
    let graph: RandomGraph
    let cache: CheckedCache
    let limits: Resources
    let keepGoing: Bool
    let forced: Set<Int>
    let wanted: [Int]
    /// What each action of the plan does.
    private let works: [Work]
    /// The first action that does the same as each.
    private let kinds: [Int]
    private let priority: [Double]
    private var random: SeededGenerator

    /// Rounds of `next` until ctrl-C, or until the process is killed.
    private var interruptAt: Int?
    private var killAt: Int?
    /// Questions after which the user has asked to stop.
    private var stopAt: Int?
    /// One of so many actions is claimed by another build when this one wants it.
    private let busy: Int?
    /// Kinds of work that fail in this build, and that can't be started.
    private let failing: Set<Int>
    private let brokenStart: Set<Int>

    private var states: [ActionState]
    private var expectsHit: Set<Int> = []
    /// Those that were queued while no equal one was: they run for all.
    private var leaders: Set<Int> = []
    /// The most urgent action when it last did not fit, and how many others have started since.
    private var passedOver = (index: -1, times: 0)
    private var running: [(index: Int, request: ActionRequest)] = []
    /// What another build has claimed, and what this one has.
    private var elsewhere: [(index: Int, request: ActionRequest)] = []
    private var claimed: Set<Int> = []
    private(set) var started = 0
    private(set) var waited = 0
    private(set) var interrupted = false
    private(set) var killed = false
    private var failed: Set<Int> = []
    private var startFailed = false
    private var wasCancelled = false
    /// What the engine did wrong; empty if nothing.
    private(set) var faults: [String] = []

    init(_ graph: RandomGraph, cache: CheckedCache, _ random: inout SeededGenerator) {
        self.graph = graph
        self.cache = cache
        let plan = graph.plan
        var works = [Work?](repeating: nil, count: plan.actions.count)
        for (node, work) in Work.all(of: graph).enumerated() where works[graph.places[node]] == nil {
            works[graph.places[node]] = work
        }
        self.works = works.compactMap { $0 }
        var first: [Work: Int] = [:]
        for (i, work) in self.works.enumerated() where first[work] == nil { first[work] = i }
        kinds = self.works.map { first[$0] ?? -1 }
        func chance(_ n: Int) -> Bool { Int.random(in: 0..<n, using: &random) == 0 }
        limits = Resources(
            cpu: .random(in: 1...4, using: &random), memory: .random(in: 50...100, using: &random), network: 1)
        keepGoing = chance(2)
        forced = chance(6) ? [Int.random(in: plan.actions.indices, using: &random)] : []
        wanted = chance(3) ? plan.actions.indices.filter { _ in chance(4) } : Array(plan.actions.indices)
        interruptAt = chance(5) ? .random(in: 0...20, using: &random) : nil
        killAt = chance(5) ? .random(in: 0...20, using: &random) : nil
        stopAt = chance(8) ? .random(in: 0...40, using: &random) : nil
        busy = chance(3) ? .random(in: 1...4, using: &random) : nil
        cache.killAt = chance(8) ? .random(in: 0...10, using: &random) : nil
        failing = chance(2) ? Set(kinds.filter { _ in chance(8) }) : []
        brokenStart = chance(8) ? Set(kinds.filter { _ in chance(8) }) : []
        let durations = plan.actions.map { _ in Double.random(in: 0...10, using: &random) }
        priority = CheckedBuild.priorities(plan, durations)
        self.durations = durations
        states = plan.actions.map { _ in .unwanted }
        self.random = SeededGenerator(state: random.next())
        for text in graph.objects { _ = cache.store.put(Array(text.utf8)) }
    }

    private let durations: [Double]

    private static func priorities(_ plan: Plan, _ durations: [Double]) -> [Double] {
        var longest = durations
        for i in plan.actions.indices.reversed() {
            for dependency in plan.actions[i].dependencies {
                longest[dependency] = max(longest[dependency], durations[dependency] + longest[i])
            }
        }
        return longest
    }

    private func check(_ holds: Bool, _ message: @autoclosure () -> String) {
        if !holds, faults.count < 5 { faults.append(message()) }
    }

    private var stopping: Bool { interrupted || (!failed.isEmpty && !keepGoing) }

    // MARK: Running

    func run() throws {
        let engine = Engine(
            plan: graph.plan, cache: cache, runner: self, observer: self, limits: limits,
            keepGoing: keepGoing, forced: forced, durations: { { self.durations[$0] } })
        for i in graph.plan.closure(of: wanted) { states[i] = .want }
        do {
            try engine.run(wanted: wanted)
        } catch is Killed {
            killed = true
            check(wasCancelled, "the build ended with children left alone")
            return
        }
        check(running.isEmpty, "the build ended while something ran")
        check(elsewhere.isEmpty || stopping, "the build ended while another had what it wants")
        check(claimed.isEmpty || stopping, "the build ended and keeps \(claimed) from others")
        try finalCheck(engine)
    }

    private func clamped(_ i: Int) -> Resources {
        let need = graph.plan.actions[i].resources
        return Resources(
            cpu: min(need.cpu, limits.cpu), memory: min(need.memory, limits.memory),
            network: min(need.network, limits.network))
    }

    private func fits(_ i: Int) -> Bool {
        var all = clamped(i)
        for other in running {
            let more = clamped(other.index)
            all = Resources(
                cpu: all.cpu + more.cpu, memory: all.memory + more.memory, network: all.network + more.network)
        }
        return running.isEmpty
            || (all.cpu <= limits.cpu && all.memory <= limits.memory && all.network <= limits.network)
    }

    /// What waits for resources.
    private func queued() -> [Int] {
        states.indices.filter { i in
            states[i] == .queued && leaders.contains(i) && !elsewhere.contains { $0.index == i }
        }
    }

    /// What waits for nothing but resources.
    private func startable() -> [Int] { queued().filter(fits) }

    /// The longest path that begins with an action or with one that waits for it because it does the same.
    private func urgency(_ i: Int) -> Double {
        states.indices.filter { kinds[$0] == kinds[i] && states[$0] == .queued }.reduce(priority[i]) {
            max($0, priority[$1])
        }
    }

    /// Of what waits for resources, the one on the longest path.
    private func mostUrgent() -> Int? { queued().max { urgency($0) < urgency($1) } }

    func claim(_ index: Int, _ request: ActionRequest) throws -> Bool {
        let name = request.action.name
        check(!stopping, "\(name) is claimed though the build stops")
        check(fits(index), "\(name) is claimed beyond the limits")
        let better = startable().filter { urgency($0) > urgency(index) && $0 != index }
        check(better.isEmpty || startFailed, "\(name) is claimed before \(better), which are on longer paths")
        if let urgent = mostUrgent(), urgency(urgent) > urgency(index) {
            passedOver = urgent == passedOver.index ? (urgent, passedOver.times + 1) : (urgent, 1)
            check(passedOver.times <= limits.cpu || startFailed, "\(name) starts while \(urgent) waits for too long")
        }
        if !claimed.contains(index), let busy, Int.random(in: 0..<busy, using: &random) == 0 {
            elsewhere.append((index, request))
            waited += 1
            return false
        }
        claimed.insert(index)
        return true
    }

    func release(_ index: Int) { claimed.remove(index) }

    func isInterrupted() -> Bool {
        stopAt = stopAt.map { $0 - 1 }
        guard stopAt == -1 else { return false }
        interrupted = true
        return true
    }

    /// Another build is done with an action, well or not.
    private func free(_ other: (index: Int, request: ActionRequest)) -> RunnerEvent {
        let work = works[other.index]
        if Bool.random(using: &random) {
            cache.commitElsewhere(work, other.request.key.digest, result(of: work))
        }
        claimed.insert(other.index)
        return .free(other.index)
    }

    func start(_ index: Int, _ request: ActionRequest) throws {
        let name = request.action.name
        check(!stopping, "\(name) starts though the build stops")
        check(fits(index), "\(name) starts beyond the limits")
        check(claimed.contains(index), "\(name) starts without a claim")
        let isForced = states.indices.contains { kinds[$0] == kinds[index] && forced.contains($0) }
        check(isForced || !cache.holds(works[index]), "\(name) starts though the cache has it")
        check(!running.contains { kinds[$0.index] == kinds[index] }, "\(name) runs twice at once")
        let hasRun = states.indices.contains { states[$0] == .ran && kinds[$0] == kinds[index] }
        check(forced.contains(index) || !hasRun, "\(name) runs after an equal action")
        for dependency in request.action.dependencies {
            check(states[dependency].isDone, "\(name) starts before n\(dependency), which it needs")
        }
        check(try Work(request, store: cache.store) == works[index], "\(name) is told something wrong")
        if brokenStart.contains(kinds[index]) {
            failed.insert(index)
            startFailed = true
            throw ForgeError(.io, "\(name) can't be started")
        }
        running.append((index, request))
        started += 1
    }

    func next() throws -> RunnerEvent {
        check(!running.isEmpty || !elsewhere.isEmpty, "waits though nothing runs")
        if !stopping, !startFailed {
            // Everything may wait with what is most urgent, once that was passed over so many times.
            let urgent = mostUrgent()
            if urgent != passedOver.index { passedOver = (urgent ?? -1, 0) }
            check(startable().isEmpty || passedOver.times == limits.cpu, "\(startable()) could run")
        }
        startFailed = false
        guard faults.isEmpty, killAt != 0 else { throw Killed() }
        killAt = killAt.map { $0 - 1 }
        if interruptAt == 0 {
            interruptAt = nil
            interrupted = true
            return .interrupted
        }
        interruptAt = interruptAt.map { $0 - 1 }
        if running.isEmpty || !elsewhere.isEmpty && Bool.random(using: &random) {
            return free(elsewhere.remove(at: Int.random(in: elsewhere.indices, using: &random)))
        }
        let at = Int.random(in: running.indices, using: &random)
        switch Int.random(in: 0..<10, using: &random) {
        case 0: return .tick
        case 1: return .progress(running[at].index, ActionProgress(done: 1))
        default: return try finish(running.remove(at: at))
        }
    }

    private func finish(_ ended: (index: Int, request: ActionRequest)) throws -> RunnerEvent {
        let work = works[ended.index]
        if failing.contains(kinds[ended.index]) {
            failed.insert(ended.index)
            return .finished(ended.index, .failure(ForgeError(.stageFailed, "\(ended.request.action.name) fails")))
        }
        cache.ending = work
        return .finished(ended.index, .success(result(of: work)))
    }

    private func result(of work: Work) -> ActionResult {
        ActionResult(
            outputs: zip(RandomGraph.outputs, work.outputs).map { name, text in
                ActionResult.Output(name: name, kind: .file, digest: cache.store.put(Array(text.utf8)))
            })
    }

    func cancelAll() {
        wasCancelled = true
        running = []
        elsewhere = []
        claimed = []
    }

    // MARK: Watching

    private func rank(_ state: ActionState) -> Int {
        let order: [ActionState] = [.unwanted, .want, .ready, .queued, .running]
        return order.firstIndex(of: state) ?? order.count
    }

    func changed(_ index: Int, to state: ActionState, engine: Engine) {
        let name = graph.plan.actions[index].name
        check(rank(state) > rank(states[index]), "\(name) goes from \(states[index]) to \(state)")
        check(states[index] != .unwanted, "\(name), which nobody wants, goes to \(state)")
        switch state {
        case .ready:
            check(!interrupted, "\(name) is looked up though the build stops")
            if !forced.contains(index), cache.holds(works[index]) { expectsHit.insert(index) }
        case .queued:
            check(!expectsHit.contains(index), "\(name) is in the cache and not taken from it")
            let waits = states.indices.contains {
                kinds[$0] == kinds[index] && [.queued, .running].contains(states[$0])
            }
            if !waits { leaders.insert(index) }
        case .hit:
            let same = states.indices.contains { states[$0] == .ran && kinds[$0] == kinds[index] }
            // Since it was looked up, another build may have made it, or this one an object that its result lacked.
            let isThere = !forced.contains(index) && cache.holds(works[index])
            check(expectsHit.contains(index) || same || isThere, "\(name) is taken from a cache that lacks it")
        default: break
        }
        states[index] = state
    }

    func progress(_ index: Int, _ progress: ActionProgress, engine: Engine) {}
    func tick(engine: Engine) {}

    /// What holds of every build that was not killed.
    private func finalCheck(_ engine: Engine) throws {
        let needed = Set(graph.plan.closure(of: wanted))
        for (i, action) in graph.plan.actions.enumerated() {
            let state = engine.states[i]
            check(state == states[i] || !needed.contains(i), "\(action.name) is \(state), but said \(states[i])")
            guard needed.contains(i) else {
                check(state == .unwanted, "\(action.name) is \(state), but nobody wants it")
                continue
            }
            check(rank(state) == 5, "\(action.name) ends as \(state)")
            if !action.dependencies.allSatisfy({ engine.states[$0].isDone }) {
                check(state == .skipped, "\(action.name) is \(state), but lacks an input")
            } else if !stopping {
                let fails = failing.contains(kinds[i]) || brokenStart.contains(kinds[i])
                if state == .failed { check(fails, "\(action.name) failed for no reason") }
                if state == .ran { check(!fails, "\(action.name) ran, but fails") }
                check(state != .skipped, "\(action.name) is skipped for no reason")
            }
            check((engine.errors[i] != nil) == (state == .failed), "\(action.name) is \(state), error \(engine.errors)")
        }
        // By node, not by action: that two nodes are one action is the plan's claim.
        for (node, work) in Work.all(of: graph).enumerated() {
            guard let result = engine.results[graph.places[node]] else { continue }
            let texts = try result.outputs.map { String(decoding: try cache.store.read($0.digest), as: UTF8.self) }
            check(texts == work.outputs, "n\(node) gives \(texts), not \(work.outputs)")
        }
    }
}
