import ForgeBase
import ForgeEngine
import ForgeSystem

/// Notes when everything of a build happened, for `--trace`. Costs nothing in a build without.
final class TraceRecorder: EngineObserver {
    /// Something that took time, in seconds from the start of the build.
    struct Span {
        var name: String
        var start: Double
        var end: Double
        var facts: [(String, JSON)] = []
    }

    /// An action that ran, or began to.
    struct Action {
        var index: Int
        var start: Double
        var end: Double
        var phases: [Span] = []
    }

    /// The machine at one moment.
    struct Sample {
        var time: Double
        var load: MachineLoad
    }

    private let now: () -> Double
    private let disks = MachineLoad.disks
    /// What forge itself did, one after the other.
    private(set) var spans: [Span] = []
    private(set) var actions: [Action] = []
    private(set) var samples: [Sample] = []
    private var open: [Int: Int] = [:]
    private var lookups: (span: Span, asked: Int, hits: Int)?
    /// Seconds between samples, a little less than a quarter: the engine's ticks come ten times a second.
    private static let interval = 0.24

    /// - Parameter now: seconds since the start of the build.
    init(now: @escaping () -> Double) {
        self.now = now
        sample()
    }

    /// Runs a part of forge's own work, as a slice if there is a trace.
    static func span<R>(_ name: String, in trace: TraceRecorder?, _ body: () throws -> R) rethrows -> R {
        guard let trace else { return try body() }
        let start = trace.now()
        defer { trace.spans.append(Span(name: name, start: start, end: trace.now())) }
        return try body()
    }

    func changed(_ index: Int, to state: ActionState, engine: Engine) {
        switch state {
        case .ready, .hit, .queued: lookUp(state)
        case .running:
            endLookups()
            open[index] = actions.count
            actions.append(Action(index: index, start: now(), end: now()))
        case .ran, .failed, .skipped: close(index)
        default: break
        }
        sampleNowAndThen()
    }

    func progress(_ index: Int, _ progress: ActionProgress, engine: Engine) {
        endLookups()
        sampleNowAndThen()
        guard let place = open[index], let phase = progress.phase, actions[place].phases.last?.name != phase else {
            return
        }
        let time = now()
        if let last = actions[place].phases.indices.last { actions[place].phases[last].end = time }
        actions[place].phases.append(Span(name: phase, start: time, end: time))
    }

    func tick(engine: Engine) {
        endLookups()
        sampleNowAndThen()
    }

    private func close(_ index: Int) {
        guard let place = open.removeValue(forKey: index) else { return }
        let time = now()
        actions[place].end = time
        if let last = actions[place].phases.indices.last { actions[place].phases[last].end = time }
    }

    /// Look-ups come in bursts: at the start, and after each action that has ended. A burst is a slice.
    private func lookUp(_ state: ActionState) {
        var burst = lookups ?? (Span(name: "look up", start: now(), end: now()), 0, 0)
        if state == .ready { burst.asked += 1 }
        if state == .hit { burst.hits += 1 }
        burst.span.end = now()
        lookups = burst
    }

    private func endLookups() {
        guard var burst = lookups else { return }
        lookups = nil
        guard burst.asked > 0 else { return }
        burst.span.facts = [("asked", .int(Int64(burst.asked))), ("hits", .int(Int64(burst.hits)))]
        spans.append(burst.span)
    }

    private func sampleNowAndThen() {
        if now() - (samples.last?.time ?? -1) >= TraceRecorder.interval { sample() }
    }

    private func sample() {
        samples.append(Sample(time: now(), load: MachineLoad(disks: disks)))
    }

    /// The build is over.
    func finish() {
        endLookups()
        for index in open.keys.sorted() { close(index) }
        sample()
    }
}
