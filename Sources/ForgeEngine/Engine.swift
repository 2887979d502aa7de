package import ForgeBase
package import ForgeStore

/// Where an action stands. Moves only downwards in this list.
package enum ActionState: Sendable, Equatable {
    /// Not needed by what was asked for.
    case unwanted
    /// Needed; something that it depends on is not done.
    case want
    /// Everything that it depends on is done; the cache has not been asked.
    case ready
    /// The cache does not have it; waits for resources, or for an equal action that runs.
    case queued
    case running
    /// Found in the cache; nothing ran.
    case hit
    /// Ran and made its outputs.
    case ran
    case failed
    /// Not tried, because something that it depends on failed or the build stopped.
    case skipped

    package var isDone: Bool { self == .hit || self == .ran }
}

/// What an action says while it runs.
package struct ActionProgress: Sendable, Equatable {
    /// The part of the work that goes on, for example `configure`.
    package var phase: String?
    package var done: Int64
    package var total: Int64
    /// `bytes` or `items`.
    package var unit: String

    package init(phase: String? = nil, done: Int64 = 0, total: Int64 = 0, unit: String = "items") {
        self.phase = phase
        self.done = done
        self.total = total
        self.unit = unit
    }
}

/// An action with everything that its child process needs to know.
package struct ActionRequest: Sendable {
    package var action: PlannedAction
    package var key: ActionKey
    package var inputs: [ResolvedInput]
    package var buildRoot: Digest?
    /// Cores that it may use.
    package var jobs: Int
}

/// What a runner tells the engine.
package enum RunnerEvent: Sendable {
    case progress(Int, ActionProgress)
    case finished(Int, Result<ActionResult, ForgeError>)
    /// Another build is done with an action that it had claimed; it is this one's now.
    case free(Int)
    /// The user asked to stop.
    case interrupted
    /// Time to draw.
    case tick
}

/// The seam to processes. Tests replace it.
package protocol ActionRunner: AnyObject {
    /// Takes an action for this build alone; false while another build has it, then an event tells when it has not.
    func claim(_ index: Int, _ request: ActionRequest) throws -> Bool
    /// Lets other builds have an action that was claimed; what it has made is in the cache.
    func release(_ index: Int)
    /// Starts an action that is claimed. `index` names it in events.
    func start(_ index: Int, _ request: ActionRequest) throws
    /// Waits for the next event.
    func next() throws -> RunnerEvent
    /// Stops everything that runs and waits until it is gone.
    func cancelAll()
    /// Whether the user asked to stop: where nothing runs, nobody waits for events.
    func isInterrupted() -> Bool
}

/// Of a runner that is alone and can't be stopped.
extension ActionRunner {
    package func claim(_ index: Int, _ request: ActionRequest) throws -> Bool { true }
    package func release(_ index: Int) {}
    package func isInterrupted() -> Bool { false }
}

/// Who wants to know how the build goes.
package protocol EngineObserver: AnyObject {
    func changed(_ index: Int, to state: ActionState, engine: Engine)
    func progress(_ index: Int, _ progress: ActionProgress, engine: Engine)
    func tick(engine: Engine)
}

/// Walks a plan: runs what is not in the cache, in dependency order, critical path first, within resources.
///
/// One loop owns all state as plain values; the only place that waits is `ActionRunner.next`.
package final class Engine {
    package let plan: Plan
    private let cache: any ActionCache
    private let runner: any ActionRunner
    private weak var observer: (any EngineObserver)?
    private let limits: Resources
    private let keepGoing: Bool

    package private(set) var states: [ActionState]
    package private(set) var results: [ActionResult?]
    package private(set) var keys: [ActionKey?]
    package private(set) var errors: [Int: ForgeError] = [:]
    package private(set) var interrupted = false
    /// Actions that ran because a forced list named them.
    private let forced: Set<Int>

    private var waiting: [Int]
    private var dependents: [[Int]]
    private var ready: [Int] = []
    private var queue = ReadyQueue()
    private var running: Set<Int> = []
    /// Those that another build runs.
    private var elsewhere: Set<Int> = []
    /// The one of several equal actions that is queued or runs for all of them.
    private var leaders: [Digest: Int] = [:]
    private var attached: [Int: [Int]] = [:]
    private var requests: [Int: ActionRequest] = [:]
    private var used = Resources(cpu: 0)
    private let durations: () -> (Int) -> Double?
    /// Of each action, the seconds from its start to the end of the longest path that begins with it.
    private lazy var priority = urgency(durations())

    /// - Parameters:
    ///   - limits: what the machine has.
    ///   - keepGoing: go on with what does not depend on a failed action.
    ///   - durations: gives the seconds that an action took before, by index, if known; asked for when something has to run.
    package init(
        plan: Plan, cache: any ActionCache, runner: any ActionRunner,
        observer: (any EngineObserver)? = nil, limits: Resources, keepGoing: Bool = false, forced: Set<Int> = [],
        durations: @escaping () -> (Int) -> Double? = { { _ in nil } }
    ) {
        self.plan = plan
        self.cache = cache
        self.runner = runner
        self.observer = observer
        self.limits = limits
        self.keepGoing = keepGoing
        self.forced = forced
        let count = plan.actions.count
        states = Array(repeating: .unwanted, count: count)
        results = Array(repeating: nil, count: count)
        keys = Array(repeating: nil, count: count)
        waiting = Array(repeating: 0, count: count)
        dependents = Array(repeating: [], count: count)
        self.durations = durations
        for i in plan.actions.indices {
            for dependency in plan.dependencies[i] { dependents[dependency].append(i) }
        }
    }

    private func urgency(_ duration: (Int) -> Double?) -> [Double] {
        var longest = Array(repeating: 0.0, count: plan.actions.count)
        for i in plan.actions.indices.reversed() {
            longest[i] = (duration(i) ?? 1) + (dependents[i].map { longest[$0] }.max() ?? 0)
        }
        return longest
    }

    /// Brings the wanted actions, and all they need, up to date.
    package func run(wanted: some Sequence<Int>) throws {
        let needed = plan.closure(of: wanted)
        for i in needed { states[i] = .want }
        for i in needed {
            waiting[i] = plan.dependencies[i].count
            if waiting[i] == 0 { ready.append(i) }
        }
        do {
            while true {
                try settle()
                try startQueued()
                if running.isEmpty, elsewhere.isEmpty || stopping { break }
                try handle(runner.next())
            }
        } catch {
            // What can't go on (a full disk) leaves nothing running behind.
            runner.cancelAll()
            throw error
        }
        for i in needed where !states[i].isDone && states[i] != .failed { move(i, to: .skipped) }
    }

    /// Whether no new action may start.
    private var stopping: Bool { interrupted || (!errors.isEmpty && !keepGoing) }

    private func move(_ i: Int, to state: ActionState) {
        guard states[i] != state else { return }
        states[i] = state
        observer?.changed(i, to: state, engine: self)
    }

    /// Asks the cache for everything that is ready, and for what becomes ready by that.
    private func settle() throws {
        guard !ready.isEmpty else { return }
        try cache.reading { try lookUpReady() }
    }

    private func lookUpReady() throws {
        while let i = ready.popLast() {
            if runner.isInterrupted() { return interrupt() }
            move(i, to: .ready)
            let request = try resolve(i)
            keys[i] = request.key
            if let result = try cached(i, request.key) {
                finish(i, as: .hit, result)
            } else if let same = leaders[request.key.digest] {
                attached[same, default: []].append(i)
                // What waits for this one waits for the other.
                if states[same] == .queued, !elsewhere.contains(same) { enqueue(same) }
                move(i, to: .queued)
            } else {
                leaders[request.key.digest] = i
                requests[i] = request
                enqueue(i)
                move(i, to: .queued)
            }
        }
    }

    /// What the cache has of an action. A result without an output that the stage declares is none.
    private func cached(_ i: Int, _ key: ActionKey) throws -> ActionResult? {
        if !forced.isEmpty, ([i] + (attached[i] ?? [])).contains(where: forced.contains) { return nil }
        guard let result = try cache.lookup(key.digest), plan.actions[i].accepts(result) else { return nil }
        return result
    }

    /// Lets an action wait for resources, as urgent as the most urgent of those that are equal to it.
    private func enqueue(_ i: Int) {
        guard let request = requests[i] else { return }
        let urgency = (attached[i] ?? []).reduce(priority[i]) { max($0, priority[$1]) }
        queue.push(i, need: clamped(request.action.resources), priority: urgency)
    }

    /// What the child process of an action would be told; its dependencies must be done.
    package func request(for i: Int) throws -> ActionRequest { try resolve(i) }

    private func resolve(_ i: Int) throws -> ActionRequest {
        let action = plan.actions[i]
        let inputs = try action.inputs.map { input in
            switch input.source {
            case .object(let digest, let kind):
                return ResolvedInput(name: input.name, label: input.label, kind: kind, digest: digest)
            case .output(let reference):
                let output = try output(reference)
                return ResolvedInput(name: input.name, label: input.label, kind: output.kind, digest: output.digest)
            }
        }
        let buildRoot = try action.buildRoot.map { try output($0).digest }
        return ActionRequest(
            action: action, key: ActionKey(of: action, inputs: inputs, buildRoot: buildRoot), inputs: inputs,
            buildRoot: buildRoot, jobs: min(action.resources.cpu, limits.cpu))
    }

    /// What an action that is done has made.
    package func output(_ reference: OutputReference) throws(ForgeError) -> ActionResult.Output {
        guard let output = results[reference.action]?.outputs.first(where: { $0.name == reference.output }) else {
            throw ForgeError(.bug, "\(plan.actions[reference.action].name) has no output “\(reference.output)”")
        }
        return output
    }

    private func startQueued() throws {
        // Asked each time: an action that can't be started has failed.
        while !stopping, let i = queue.pop(passingOver: limits.cpu, fits: { running.isEmpty || fits($0) }) {
            guard let request = requests[i] else { continue }
            do {
                guard try runner.claim(i, request) else {
                    elsewhere.insert(i)
                    continue
                }
                // Until it was claimed, another build may have made it.
                if try takeFromCache(i) { continue }
                used = sum(used, clamped(request.action.resources), sign: 1)
                running.insert(i)
                move(i, to: .running)
                try runner.start(i, request)
            } catch let error as ForgeError {
                conclude(i, .failure(error))
            }
        }
    }

    /// Concludes an action that is claimed and in the cache by now, and looks at what that makes ready.
    private func takeFromCache(_ i: Int) throws -> Bool {
        guard let key = keys[i], let result = try cached(i, key) else { return false }
        conclude(i, .success(result), as: .hit)
        try settle()
        return true
    }

    private func clamped(_ need: Resources) -> Resources {
        Resources(
            cpu: min(need.cpu, limits.cpu), memory: min(need.memory, limits.memory),
            disk: min(need.disk, limits.disk), network: min(need.network, limits.network))
    }

    private func fits(_ need: Resources) -> Bool {
        used.cpu + need.cpu <= limits.cpu && used.memory + need.memory <= limits.memory
            && used.disk + need.disk <= limits.disk && used.network + need.network <= limits.network
    }

    private func sum(_ a: Resources, _ b: Resources, sign: Int) -> Resources {
        Resources(
            cpu: a.cpu + sign * b.cpu, memory: a.memory + Int64(sign) * b.memory, disk: a.disk + sign * b.disk,
            network: a.network + sign * b.network)
    }

    private func handle(_ event: RunnerEvent) throws {
        switch event {
        case .progress(let i, let progress): observer?.progress(i, progress, engine: self)
        case .tick: observer?.tick(engine: self)
        case .interrupted: interrupt()
        case .free(let i):
            guard elsewhere.remove(i) != nil, try !takeFromCache(i) else { return }
            enqueue(i)
        case .finished(let i, let result):
            if case .success(let value) = result, let key = keys[i] { try cache.commit(key.digest, value) }
            conclude(i, result)
        }
    }

    private func interrupt() {
        interrupted = true
        runner.cancelAll()
        for i in running.sorted() { move(i, to: .skipped) }
        running = []
        elsewhere = []
        ready = []
        queue.removeAll()
    }

    /// An action has ended: gives its resources back and tells those that wait for it.
    /// - Parameter state: what it is if it succeeded.
    private func conclude(_ i: Int, _ result: Result<ActionResult, ForgeError>, as state: ActionState = .ran) {
        guard let request = requests.removeValue(forKey: i) else { return }
        if running.remove(i) != nil { used = sum(used, clamped(request.action.resources), sign: -1) }
        runner.release(i)
        leaders[request.key.digest] = nil
        let same = attached.removeValue(forKey: i) ?? []
        switch result {
        case .success(let value):
            finish(i, as: state, value)
            for other in same { finish(other, as: .hit, value) }
        case .failure(let error):
            for other in [i] + same {
                errors[other] = error
                move(other, to: .failed)
            }
        }
    }

    private func finish(_ i: Int, as state: ActionState, _ result: ActionResult) {
        results[i] = result
        move(i, to: state)
        for dependent in dependents[i] where states[dependent] == .want {
            waiting[dependent] -= 1
            if waiting[dependent] == 0 { ready.append(dependent) }
        }
    }
}
