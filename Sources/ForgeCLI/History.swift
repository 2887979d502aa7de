import ForgeBase
import ForgeEngine
import ForgePlanner
import ForgeRecipe
import ForgeStore

/// Remembers builds, so that the next one can be explained.
struct History {
    let store: Store

    func record(_ outcome: Build.Outcome, recipe: Recipe, at wall: Int64) throws {
        let engine = outcome.engine
        // A build in which nothing ran leaves nothing to explain: the no-op stays free of writes.
        guard engine.states.contains(where: { $0 == .ran || $0 == .failed }) else { return }
        var actions: [BuildAction] = []
        var parts: [Digest: [KeyPart]] = [:]
        for (index, action) in engine.plan.actions.enumerated() where engine.states[index] != .unwanted {
            let key = engine.keys[index]
            if let key { parts[key.digest] = key.parts }
            let state: BuildAction.Outcome
            switch engine.states[index] {
            case .hit: state = .hit
            case .ran: state = .ran
            case .failed: state = .failed
            default: state = .skipped
            }
            actions.append(
                BuildAction(
                    name: action.name, key: key?.digest, outcome: state,
                    seconds: state == .ran ? engine.results[index]?.seconds ?? 0 : 0))
        }
        let record = BuildRecord(
            recipe: recipe.name, cell: Session.cell, started: wall - Int64(outcome.seconds), seconds: outcome.seconds,
            outcome: outcome.error == nil ? "done" : outcome.error?.code == .interrupted ? "interrupted" : "failed")
        try store.recordBuild(record, actions: actions, parts: parts)
    }
}
