import ForgeBase
import ForgeEngine
import ForgePlanner
import ForgeRecipe
import ForgeStore

/// Says of every action why it would run, ran or did not: what the next build would do, and what a build did compared with
/// an earlier one.
struct Explainer {
    let session: Session
    let recipe: Recipe
    let store: Store

    private func explanation(_ build: BuildRecord? = nil) -> Explanation {
        let text = build?.details["recipe"]?.string.flatMap { Digest($0) }.flatMap { try? store.read($0) }
        return Explanation(
            store: store,
            places: RecipePlaces(recipe: recipe, layout: session.layout, catalog: session.catalog, text: text))
    }

    // MARK: The next build

    /// What the next build would do, found without running anything: an action whose inputs are not known, because
    /// something before it has to run, may run too.
    func next() throws -> [ActionReport] {
        let planned = try session.plan(recipe)
        let engine = Engine(
            plan: planned.plan, cache: store, runner: Scout(),
            limits: Resources(cpu: .max, memory: .max, network: .max))
        try engine.run(wanted: planned.plan.artifacts.map(\.source.action))
        let lineage = try store.lineage(
            recipe: recipe.name, cell: Session.cell, parameters: History.parameters(recipe))
        let explanation = explanation()
        return try planned.plan.actions.indices.filter { engine.states[$0] != .unwanted }.map { index in
            try next(index, engine, lineage, explanation)
        }
    }

    private func next(
        _ index: Int, _ engine: Engine, _ lineage: Lineage?, _ explanation: Explanation
    ) throws -> ActionReport {
        let action = engine.plan.actions[index]
        let sources = KeySources.list(of: action, in: engine.plan)
        let earlier = try earlier(action.name, lineage: lineage?.id, upTo: .max)
        var report = ActionReport(action: action.name, state: .mayRun, text: "", comparedWith: earlier?.build)
        // Parts whose input is not made yet can't be compared.
        let open = sources.filter { source in
            Cause.Maker(source.source).map { maker in
                !engine.plan.dependencies[index].contains {
                    engine.plan.actions[$0].name == maker.action && engine.states[$0].isDone
                }
            } ?? false
        }
        let key =
            engine.keys[index]
            ?? ActionKey(
                of: action, inputs: known(action, engine),
                buildRoot: action.buildRoot.flatMap { try? engine.output($0).digest })
        let subject = Explanation.Subject(
            action: action.name, parts: key.parts,
            sources: Dictionary(sources.map { ($0.part, $0.source) }) { first, _ in first })
        let waiting = Set(open.map(\.part))
        let changes = try changes(from: earlier, to: key.parts).map { $0.filter { !waiting.contains($0.part) } }
        report.causes =
            changes.map { explanation.causes($0, of: subject) } ?? [
                Cause(kind: .new, text: "it never ran here before")
            ]
        if engine.states[index] == .hit {
            report.state = .hit
            report.text = "in the cache" + (changes?.isEmpty == true ? ", as in build #\(earlier?.build ?? 0)" : "")
            if changes == nil { report.causes = [] }
        } else if engine.keys[index] != nil {
            report.state = .willRun
            report.text = "will run"
            if report.causes.isEmpty, let earlier { report.causes = [unchanged(earlier.action, earlier.build)] }
        } else {
            let sure = !(changes ?? []).isEmpty
            report.state = sure ? .willRun : .mayRun
            report.text = sure ? "will run" : changes == nil ? "runs, for the first time" : "runs if an input changes"
            report.causes += open.map { part, source in
                let name = part.split(separator: " ", maxSplits: 1).last.map(String.init) ?? part
                return Cause(
                    kind: .waits, name: name, text: "\(name) is not made yet", maker: Cause.Maker(source))
            }
        }
        return report
    }

    /// The inputs of an action that are known, although others are not.
    private func known(_ action: PlannedAction, _ engine: Engine) -> [ResolvedInput] {
        action.inputs.compactMap { input in
            switch input.source {
            case .object(let digest, let kind):
                return ResolvedInput(name: input.name, label: input.label, kind: kind, digest: digest)
            case .output(let reference):
                guard let output = try? engine.output(reference) else { return nil }
                return ResolvedInput(name: input.name, label: input.label, kind: output.kind, digest: output.digest)
            }
        }
    }

    // MARK: Builds that are over

    /// What a build had for every action, compared with what another had.
    /// - Parameter base: nil: the state before the build.
    func past(_ build: BuildRecord, since base: BuildRecord?) throws -> [ActionReport] {
        let before = try store.state(
            lineage: base?.lineage ?? build.lineage, upTo: base?.id ?? build.id - 1)
        let after = try store.state(lineage: build.lineage, upTo: build.id)
        // Rows without a key are not in the state, but are what there is to say of the build.
        let own = Dictionary(try store.actions(ofBuild: build.id).map { ($0.name, $0) }) { first, _ in first }
        let explanation = explanation(build)
        var reports: [(position: Int, report: ActionReport)] = []
        for (name, row) in after {
            let action = own[name] ?? row.action
            let isOwn = own[name] != nil
            let earlier = try before[name] ?? earlier(name, lineage: nil, upTo: (base?.id ?? build.id) - 1)
            let report = try past(
                action, in: isOwn ? build.id : row.build, build, since: base, earlier, explanation)
            reports.append((action.position, report))
        }
        for (name, row) in before where after[name] == nil {
            reports.append(
                (row.action.position, ActionReport(action: name, state: .gone, text: "is no longer in the plan")))
        }
        return reports.sorted { ($0.position, $0.report.action) < ($1.position, $1.report.action) }.map(\.report)
    }

    private func past(
        _ action: BuildAction, in id: Int64, _ build: BuildRecord, since base: BuildRecord?,
        _ earlier: RecordedAction?, _ explanation: Explanation
    ) throws -> ActionReport {
        var report = ActionReport(
            action: action.name, state: .hit, text: "", comparedWith: base?.id ?? earlier?.build)
        let isOwn = id == build.id
        switch action.outcome {
        case .ran where isOwn: (report.state, report.text) = (.ran, "ran, \(Format.seconds(action.seconds))")
        case .failed where isOwn: (report.state, report.text) = (.failed, "failed")
        case .skipped where isOwn: (report.state, report.text) = (.skipped, "was skipped")
        case .ran where base.map({ id > $0.id }) == true: (report.state, report.text) = (.ran, "ran in build #\(id)")
        default: report.text = "was in the cache"
        }
        guard let key = action.key, let parts = try store.keyParts(of: key) else { return report }
        if let earlier, earlier.action.key == key {
            if report.state == .hit {
                report.text += ", as in build #\(earlier.build)"
            } else if isOwn, report.state == .ran || report.state == .failed {
                report.causes = [unchanged(earlier.action, earlier.build)]
            }
            return report
        }
        let sources = (action.sources.object ?? []).compactMap { field in field.1.string.map { (field.0, $0) } }
        let subject = Explanation.Subject(
            action: action.name, parts: parts, sources: Dictionary(sources) { first, _ in first })
        report.causes =
            try changes(from: earlier, to: parts).map { explanation.causes($0, of: subject) } ?? [
                Cause(kind: .new, text: "it never ran here before")
            ]
        return report
    }

    // MARK: Comparing

    /// What an action is compared with: its newest row in the lineage, or else in any: parameters that were never built
    /// are compared with those that were.
    private func earlier(_ name: String, lineage: Int64?, upTo build: Int64) throws -> RecordedAction? {
        if let lineage, let row = try store.newest(name, lineage: lineage, upTo: build) { return row }
        return try store.newest(name, lineage: nil, upTo: build)
    }

    /// nil: there is nothing to compare with.
    private func changes(from earlier: RecordedAction?, to parts: [KeyPart]) throws -> [KeyChange]? {
        guard let key = earlier?.action.key, let old = try store.keyParts(of: key) else { return nil }
        return KeyChange.between(old, parts)
    }

    /// Why an action with the key of the time before has to run.
    private func unchanged(_ before: BuildAction, _ build: Int64) -> Cause {
        switch before.outcome {
        case .failed: Cause(kind: .unfinished, text: "it failed in build #\(build)")
        case .skipped: Cause(kind: .unfinished, text: "build #\(build) was stopped before it was done")
        default:
            Cause(kind: .lost, text: "nothing changed since build #\(build), but its result is no longer in the cache")
        }
    }

    /// Runs nothing: every action that would run stays undone.
    private final class Scout: ActionRunner {
        func start(_ index: Int, _ request: ActionRequest) throws {}
        func next() throws -> RunnerEvent { .interrupted }
        func cancelAll() {}
    }
}

extension KeyChange {
    /// The name of the part that differs.
    var part: String { "\(kind.rawValue) \(name)" }
}
