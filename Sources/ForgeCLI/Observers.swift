import ForgeEngine

/// Tells several observers of a build, in order, and keeps them alive: the engine does not.
final class Observers: EngineObserver {
    private let all: [any EngineObserver]

    init(_ all: [any EngineObserver]) { self.all = all }

    func changed(_ index: Int, to state: ActionState, engine: Engine) {
        for observer in all { observer.changed(index, to: state, engine: engine) }
    }

    func progress(_ index: Int, _ progress: ActionProgress, engine: Engine) {
        for observer in all { observer.progress(index, progress, engine: engine) }
    }

    func tick(engine: Engine) { for observer in all { observer.tick(engine: engine) } }
}

/// When each action ran, in seconds from the start of the build; for history.
final class ActionTimes: EngineObserver {
    private let now: () -> Double
    private(set) var times: [Int: (start: Double, end: Double)] = [:]

    /// - Parameter now: seconds since the start of the build.
    init(now: @escaping () -> Double) { self.now = now }

    func changed(_ index: Int, to state: ActionState, engine: Engine) {
        switch state {
        case .running:
            let start = now()
            times[index] = (start, start)
        case .ran, .failed, .skipped:
            // Of an action that failed because an equal one did, nothing ran.
            if let started = times[index] { times[index] = (started.start, now()) }
        default: break
        }
    }

    func progress(_ index: Int, _ progress: ActionProgress, engine: Engine) {}
    func tick(engine: Engine) {}
}
