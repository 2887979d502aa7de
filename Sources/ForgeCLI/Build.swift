import ForgeBase
import ForgeEngine
import ForgePlanner
import ForgeRecipe
import ForgeStore
import ForgeSystem

/// A build: plan, run, publish, remember.
struct Build {
    let session: Session
    /// What the caller has read already, if it has.
    var known: Recipe?
    /// Stages of the recipe that are made beside those of the artifacts.
    var beside: [String] = []

    struct Outcome {
        var recipe: Recipe
        var engine: Engine
        var planned: PlannedRecipe
        var seconds: Double
        var artifacts: [PublishedArtifact]
        var error: ForgeError?

        func count(_ state: ActionState) -> Int { engine.states.count { $0 == state } }

        var report: BuildReport {
            BuildReport(
                recipe: recipe.name, ran: count(.ran), hit: count(.hit), failed: count(.failed),
                skipped: count(.skipped), seconds: seconds, artifacts: artifacts, error: error)
        }
    }

    /// Runs the build.
    /// - Throws: what stops it before anything runs; a failed stage is in the outcome.
    func run() throws -> Outcome {
        let signals = try Signals()
        let outcome = try Healing(session: session).run { try attempt(signals) }
        if outcome.count(.ran) > 0 {
            CacheLimits(session: session).apply(
                afterTools: outcome.engine.plan.actions.indices.contains {
                    outcome.engine.states[$0] == .ran && outcome.engine.plan.actions[$0].toolCache != nil
                })
        }
        return outcome
    }

    /// - Throws: also if an artifact's object turns out to be damaged.
    private func attempt(_ signals: Signals) throws -> Outcome {
        let start = session.seconds
        let since = { [session] in session.seconds - start }
        let trace = session.arguments.value("trace").map { _ in TraceRecorder(now: since) }
        let store = try session.store()
        // Until everything is published, nothing that this build has seen in the cache may be collected.
        let use = try store.hold()
        defer { withExtendedLifetime(use) {} }
        try Scratch.sweep(cache: store.directory, helper: try session.helper())
        let ((recipe, planned), witnesses) = try TraceRecorder.span("plan", in: trace) { try plan(store) }
        let runner = HelperRunner(
            helper: try session.helper(), store: store, surroundings: try session.surroundings(),
            signals: signals, time: session.time)
        let view = ProgressView(
            console: session.console, now: { session.seconds }, width: { Terminal(fd: 2).columns })
        let times = ActionTimes(now: since)
        let observers = Observers([view, times] + (trace.map { [$0] } ?? []))
        let earlier = EarlierBuilds(of: recipe, in: store)
        let engine = Engine(
            plan: planned.plan, cache: store, runner: runner, observer: observers,
            limits: try limits(), keepGoing: session.arguments.has("keep-going"),
            // A history that can't be read only costs the order.
            durations: {
                let known = (try? earlier.actions()) ?? [:]
                return { known[planned.plan.actions[$0].name]?.action.seconds }
            })
        // The engine does not keep its observer alive.
        try withExtendedLifetime(observers) {
            try engine.run(
                wanted: planned.plan.artifacts.map(\.source.action) + beside.compactMap { planned.actions[$0] })
        }
        session.console.clearLive()
        // Helpers that were stopped could not remove their own directories.
        if engine.interrupted { try? Scratch.sweep(cache: store.directory, helper: try session.helper()) }

        var outcome = Outcome(
            recipe: recipe, engine: engine, planned: planned, seconds: 0, artifacts: [],
            error: failure(engine, recipe))
        if outcome.error == nil {
            let publisher = Publisher(store: store, directory: session.outputDirectory(recipe))
            outcome.artifacts = try TraceRecorder.span("publish", in: trace) {
                try publisher.publish(planned, engine: engine, recipe: recipe)
            }
            if known == nil, let witnesses, let published = try publisher.witnesses(outcome.artifacts) {
                try UpToDate(session: session).remember(outcome, witnesses + published)
            }
        }
        if engine.states.contains(.ran) { try LockService(session: session).pin(recipe, engine) }
        outcome.seconds = session.seconds - start
        try TraceRecorder.span("record", in: trace) {
            try History(store: store).record(
                outcome, after: earlier, recipe: recipe, times: times, at: session.time.wall())
        }
        if let trace { try save(trace, outcome) }
        return outcome
    }

    /// Reads the recipe and plans it, noting what of the file system that is made from.
    private func plan(_ store: Store) throws -> ((Recipe, PlannedRecipe), FileWitnesses?) {
        func noted() throws -> ((Recipe, PlannedRecipe), FileWitnesses?) {
            try FileJournal.recording(ignoring: [store.directory]) {
                let recipe = try known ?? session.recipe()
                return (recipe, try session.plan(recipe))
            }
        }
        session.hasWrittenLock = false
        let first = try noted()
        guard session.hasWrittenLock, known == nil else { return first }
        // What was noted is from before the lock. Wait until the clock that stamps files has ticked.
        SystemTime.sleep(milliseconds: 25)
        return try noted()
    }

    /// Writes the file of `--trace`.
    private func save(_ trace: TraceRecorder, _ outcome: Outcome) throws {
        trace.finish()
        guard let file = session.arguments.value("trace") else { return }
        let title = "\(outcome.recipe.name) \(History.parameters(outcome.recipe))"
        let content = TraceFile(recorder: trace, engine: outcome.engine, title: title).json
        try Files.write(file, content.description + "\n")
        session.console.note("trace: \(file) (open it at https://ui.perfetto.dev)")
    }

    private func limits() throws -> Resources {
        let cores = try session.arguments.number("jobs", least: 1) ?? Host.coreCount
        return Resources(
            cpu: cores, memory: Host.memory == 0 ? .max : Host.memory * 9 / 10, disk: 4, network: 8)
    }

    /// What the user is told of actions that failed.
    private func failure(_ engine: Engine, _ recipe: Recipe) -> ForgeError? {
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
        if let advice = try? undeclared(index, error, engine, recipe) {
            error.details += advice.details
            error.remedy = advice.remedy
        }
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

    /// What a failed script missed because nothing declares it, if its log shows that.
    private func undeclared(
        _ index: Int, _ error: ForgeError, _ engine: Engine, _ recipe: Recipe
    ) throws -> Undeclared.Advice? {
        let action = engine.plan.actions[index]
        guard action.program == .script, error.code == .stageFailed, error.remedy == nil, let key = engine.keys[index],
            action.name.hasPrefix(recipe.name + "/"),
            let stage = recipe.stage(String(action.name.dropFirst(recipe.name.count + 1)))
        else { return nil }
        let log = try Files.read(HelperRunner.log(of: key.digest, cache: try session.store().directory))
        let catalog = session.catalog
        return Undeclared(
            recipe: recipe, stage: stage, root: session.layout.root, shown: catalog.display,
            buildRoot: stage.definition.buildRoot.flatMap { catalog.buildRootFile($0, for: recipe) }
        ).advice(log: String(decoding: log.suffix(1 << 16), as: UTF8.self))
    }
}
