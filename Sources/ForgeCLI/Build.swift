import ForgeBase
import ForgeEngine
import ForgePlanner
import ForgeRecipe
import ForgeStore
import ForgeSystem

/// A build: plan, run, publish, remember.
struct Build {
    let session: Session
    let recipe: Recipe

    struct Outcome {
        var engine: Engine
        var planned: PlannedRecipe
        var seconds: Double
        var artifacts: [PublishedArtifact]
        var error: ForgeError?

        func count(_ state: ActionState) -> Int { engine.states.count { $0 == state } }

        /// What `forge build --json` ends with.
        func json(_ recipe: Recipe) -> JSON {
            .object([
                ("recipe", .string(recipe.name)),
                ("cell", .string(Session.cell)),
                ("ran", .int(Int64(count(.ran)))),
                ("hit", .int(Int64(count(.hit)))),
                ("failed", .int(Int64(count(.failed)))),
                ("skipped", .int(Int64(count(.skipped)))),
                ("seconds", .double((seconds * 1000).rounded() / 1000)),
                ("artifacts", .array(artifacts.map(\.json))),
                ("error", error?.json ?? .null),
            ])
        }
    }

    /// Runs the build.
    /// - Parameter only: stages to bring up to date instead of everything the artifacts need.
    /// - Throws: what stops it before anything runs; a failed stage is in the outcome.
    func run(publishing: Bool = true) throws -> Outcome {
        let start = session.seconds
        let store = try session.store()
        // Until everything is published, nothing that this build has seen in the cache may be collected.
        let use = try store.hold()
        defer { withExtendedLifetime(use) {} }
        try Scratch.sweep(cache: store.directory, helper: try session.helper())
        let planned = try session.plan(recipe)
        let runner = HelperRunner(
            helper: try session.helper(), store: store, surroundings: try session.surroundings(),
            signals: try Signals(), time: session.time)
        let view = ProgressView(
            console: session.console, now: { session.seconds }, width: { Terminal(fd: 2).columns })
        let engine = Engine(
            plan: planned.plan, cache: store, objects: store, runner: runner, observer: view,
            limits: try limits(), keepGoing: session.arguments.has("keep-going"))
        try engine.run(wanted: planned.plan.artifacts.map(\.source.action))
        session.console.clearLive()
        // Helpers that were stopped could not remove their own directories.
        if engine.interrupted { try? Scratch.sweep(cache: store.directory, helper: try session.helper()) }

        var outcome = Outcome(
            engine: engine, planned: planned, seconds: 0, artifacts: [], error: failure(engine))
        if outcome.error == nil, publishing {
            outcome.artifacts = try Publisher(store: store, directory: session.outputDirectory(recipe))
                .publish(planned, engine: engine, recipe: recipe)
        }
        if engine.states.contains(.ran) { try LockService(session: session).pin(recipe) }
        outcome.seconds = session.seconds - start
        try History(store: store).record(outcome, recipe: recipe, at: session.time.wall())
        return outcome
    }

    private func limits() throws -> Resources {
        let cores = try session.arguments.number("jobs", least: 1) ?? Host.coreCount
        return Resources(cpu: cores, memory: Host.memory == 0 ? .max : Host.memory * 9 / 10, network: 1)
    }

    /// What the user is told of actions that failed.
    private func failure(_ engine: Engine) -> ForgeError? {
        if engine.interrupted {
            return ForgeError(
                .interrupted, "stopped; nothing is half-done", remedy: "the next build goes on from here")
        }
        guard let (index, first) = engine.errors.min(by: { $0.key < $1.key }) else { return nil }
        var error = first
        let action = engine.plan.actions[index]
        error.message = "\(action.name): \(first.message)"
        if error.location == nil { error.location = action.location }
        let others = engine.errors.count - 1
        if others > 0 { error.details.append("and \(Format.count(others, "other action")) failed") }
        if error.remedy == nil, error.code == .stageFailed {
            let stage =
                action.name.hasPrefix(recipe.name + "/")
                ? String(action.name.dropFirst(recipe.name.count + 1)) : action.name
            error.remedy =
                action.program == .script
                ? "look around in its sandbox: forge shell \(recipe.name) \(stage)"
                : "read its whole log: forge log \(recipe.name) \(stage)"
        }
        return error
    }
}
