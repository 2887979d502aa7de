import ForgeBase
import ForgeEngine
import ForgeSystem

/// Shows how a build goes: a live view on a terminal, plain lines elsewhere.
final class ProgressView: EngineObserver {
    private let console: Console
    private let now: () -> Double
    private let width: () -> Int
    private let start: Double
    private var started: [Int: Double] = [:]
    private var progress: [Int: ActionProgress] = [:]
    private var lastDrawn = -1.0
    /// Of the actions that the build needs; counted once, because a large graph changes state very often.
    private var wanted: Int?
    private var done = 0
    private var hits = 0

    /// - Parameter now: seconds of a clock that only goes forward.
    init(console: Console, now: @escaping () -> Double, width: @escaping () -> Int) {
        self.console = console
        self.now = now
        self.width = width
        start = now()
    }

    func changed(_ index: Int, to state: ActionState, engine: Engine) {
        if state.isDone { done += 1 }
        switch state {
        case .ready, .queued: return
        case .hit:
            hits += 1
            started[index] = nil
            return draw(engine, atMostEvery: 0.1)
        default: break
        }
        let name = engine.plan.actions[index].name
        switch state {
        case .running:
            started[index] = now()
            progress[index] = nil
            if !console.live { console.note("start \(name)") }
        case .ran:
            let seconds = Format.seconds(now() - (started[index] ?? now()))
            console.note(
                console.live
                    ? "\(console.styled("✓", .green)) \(name)  \(console.styled(seconds, .dim))"
                    : "done  \(name) (\(seconds))")
        case .failed where started[index] != nil:
            console.note(console.live ? "\(console.styled("✗", .red)) \(name)" : "FAIL  \(name)")
        default: break
        }
        if state != .running {
            started[index] = state == .ran || state == .failed || state == .skipped ? nil : started[index]
        }
        draw(engine)
    }

    func progress(_ index: Int, _ progress: ActionProgress, engine: Engine) {
        if !console.live, let phase = progress.phase, phase != self.progress[index]?.phase {
            console.note("      \(engine.plan.actions[index].name): \(phase)")
        }
        // It does not run, but another build runs it.
        if started[index] == nil { started[index] = now() }
        var merged = progress
        if merged.phase == nil { merged.phase = self.progress[index]?.phase }
        self.progress[index] = merged
        draw(engine, atMostEvery: 0.1)
    }

    func tick(engine: Engine) { draw(engine, atMostEvery: 0.1) }

    private func draw(_ engine: Engine, atMostEvery interval: Double = 0) {
        guard console.live, now() - lastDrawn >= interval else { return }
        lastDrawn = now()
        let wanted = self.wanted ?? engine.states.count { $0 != .unwanted }
        self.wanted = wanted
        let time = Format.seconds(now() - start)
        var lines = ["\(console.styled("[\(done)/\(wanted)]", .bold)) \(hits) from the cache · \(time)"]
        for (index, since) in started.sorted(by: { $0.key < $1.key }) {
            lines.append(line(engine.plan.actions[index].name, progress[index], seconds: now() - since))
        }
        console.drawLive(lines.map { String($0.prefix(max(20, width() - 1))) })
    }

    private func line(_ name: String, _ progress: ActionProgress?, seconds: Double) -> String {
        var text = "  \(name)"
        if let phase = progress?.phase { text += " · \(phase)" }
        if let progress, progress.total > 0 {
            let share = Double(progress.done) / Double(progress.total)
            let cells = 12
            let full = min(cells, Int(share * Double(cells)))
            text += " ▕" + String(repeating: "█", count: full) + String(repeating: " ", count: cells - full) + "▏"
            text +=
                progress.unit == "bytes"
                ? " \(Format.bytes(progress.done)) of \(Format.bytes(progress.total))"
                : " \(progress.done)/\(progress.total)"
        }
        return text + "  \(Format.seconds(seconds))"
    }
}
