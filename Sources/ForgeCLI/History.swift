import ForgeBase
import ForgeEngine
import ForgePlanner
import ForgeRecipe
import ForgeStore
import ForgeSystem

/// Remembers builds, so that the next one can be explained.
struct History {
    let store: Store

    /// The parameters of a recipe as builds are filed under them.
    static func parameters(_ recipe: Recipe) -> String {
        JSON.object(recipe.values.map { ($0.name, $0.value) }).canonical.description
    }

    /// Records what a build did. A build that had the keys of the one before and ran nothing leaves nothing to explain:
    /// it costs one look at a row, and no write.
    /// - Parameter earlier: what was read while the build ran.
    func record(
        _ outcome: Build.Outcome, after earlier: EarlierBuilds, recipe: Recipe, times: ActionTimes, at wall: Int64
    ) throws {
        let engine = outcome.engine
        let parameters = History.parameters(recipe)
        let lineage = try earlier.lineageNow()
        var state = KeyState()
        var worked = false
        for index in engine.states.indices {
            if let key = engine.keys[index] { state.add(key.digest) }
            if engine.states[index] == .ran || engine.states[index] == .failed { worked = true }
        }
        if !worked, lineage?.state == state { return }

        var record = BuildRecord(
            recipe: recipe.name, cell: Session.cell, parameters: parameters, started: wall - Int64(outcome.seconds),
            seconds: outcome.seconds,
            outcome: outcome.error == nil ? "done" : outcome.error?.code == .interrupted ? "interrupted" : "failed",
            details: try details(recipe))
        var rows = Rows(store: store, engine: engine, lineage: lineage, earlier: earlier, state: state)
        for index in engine.states.indices where engine.states[index] != .unwanted {
            try rows.add(index, times: times.times[index], to: &record)
        }
        try rows.addGone()
        try store.recordBuild(record, actions: rows.actions, parts: rows.parts, state: rows.state)
    }

    /// The recipe's text, so that a later comparison can name the lines of then.
    private func details(_ recipe: Recipe) throws -> JSON {
        guard let text = try Files.readIfPresent(recipe.directory + "/recipe.yaml") else { return .object([]) }
        return .object([
            ("file", .string(recipe.file)), ("recipe", .string(try store.put(text: text).description)),
        ])
    }
}

/// What the builds before, with the same parameters, left of each action: its newest row. Read at once when it is first
/// asked for, because a query for each of many actions takes longer; a build with nothing to do never asks.
final class EarlierBuilds {
    private let store: Store
    private let recipe: Recipe
    private var read: (lineage: Lineage?, actions: [String: RecordedAction])?

    init(of recipe: Recipe, in store: Store) {
        self.store = store
        self.recipe = recipe
    }

    /// The lineage of the builds. What was read of it is forgotten if another build has added to it since.
    func lineageNow() throws -> Lineage? {
        let lineage = try store.lineage(
            recipe: recipe.name, cell: Session.cell, parameters: History.parameters(recipe))
        if let read, read.lineage != lineage { self.read = nil }
        return lineage
    }

    /// The newest row of each action by its name, without sources.
    func actions() throws -> [String: RecordedAction] {
        if let read { return read.actions }
        let lineage = try lineageNow()
        let actions = try lineage.map { try store.state(lineage: $0.id, upTo: .max, sources: false) } ?? [:]
        read = (lineage, actions)
        return actions
    }
}

/// The rows of one build: of what ran, failed or was skipped, and of the hits whose key is another than the time before.
private struct Rows {
    let store: Store
    let engine: Engine
    let lineage: Lineage?
    let earlier: EarlierBuilds
    /// Of this build; keys that were not found out are taken from the build before.
    var state: KeyState
    /// Of this build as the engine left it.
    private let found: KeyState
    private(set) var actions: [BuildAction] = []
    private(set) var parts: [Digest: [KeyPart]] = [:]
    private var names: Set<String> = []
    private var isNew = false

    init(store: Store, engine: Engine, lineage: Lineage?, earlier: EarlierBuilds, state: KeyState) {
        self.store = store
        self.engine = engine
        self.lineage = lineage
        self.earlier = earlier
        self.state = state
        found = state
    }

    mutating func add(_ index: Int, times: (start: Double, end: Double)?, to record: inout BuildRecord) throws {
        let key = engine.keys[index]
        switch engine.states[index] {
        case .hit:
            record.hits += 1
            let bytes = try outputBytes(index)
            record.savedSeconds += engine.results[index]?.seconds ?? 0
            record.savedBytes += bytes
            if let key, try isChanged(index, key.digest) {
                actions.append(action(index, .hit, key, start: 0, seconds: nil, bytes: bytes))
            }
        case .ran:
            record.ran += 1
            let bytes = try outputBytes(index)
            record.madeBytes += bytes
            record.cpuSeconds += engine.results[index]?.cpuSeconds ?? 0
            _ = try isChanged(index, nil)
            actions.append(action(index, .ran, key, start: times?.start ?? 0, seconds: nil, bytes: bytes))
        case .failed:
            record.failed += 1
            _ = try isChanged(index, nil)
            let seconds = times.map { $0.end - $0.start } ?? 0
            actions.append(action(index, .failed, key, start: times?.start ?? 0, seconds: seconds, bytes: 0))
        default:
            record.skipped += 1
            if key == nil, let known = try earlier.actions()[name(index)]?.action.key { state.add(known) }
            actions.append(action(index, .skipped, key, start: times?.start ?? 0, seconds: 0, bytes: 0))
        }
        if let key { parts[key.digest] = actions.last?.key == key.digest ? key.parts : parts[key.digest] }
    }

    private func name(_ index: Int) -> String { engine.plan.actions[index].name }

    /// Whether the key is not the one that the build before had. Notes names that no build had.
    private mutating func isChanged(_ index: Int, _ key: Digest?) throws -> Bool {
        guard let lineage, let old = lineage.state else { return true }
        if let key, !found.mayDiffer(key, from: old) { return false }
        guard let newest = try earlier.actions()[name(index)]?.action else {
            isNew = true
            return true
        }
        return newest.key != key
    }

    private func action(
        _ index: Int, _ outcome: BuildAction.Outcome, _ key: ActionKey?, start: Double, seconds: Double?, bytes: Int64
    ) -> BuildAction {
        let result = engine.results[index]
        return BuildAction(
            name: name(index), position: index, key: key?.digest, outcome: outcome, start: start,
            seconds: seconds ?? result?.seconds ?? 0, cpuSeconds: result?.cpuSeconds ?? 0,
            maxMemory: result?.maxMemory ?? 0, outputBytes: bytes,
            sources: KeySources.json(of: engine.plan.actions[index], in: engine.plan))
    }

    /// Bytes of what an action made. Of trees, the sum of their files, which is remembered: to read a tree of a root file
    /// system takes longer than all the rest.
    private func outputBytes(_ index: Int) throws -> Int64 {
        var sum: Int64 = 0
        for output in engine.results[index]?.outputs ?? [] {
            sum += try OutputSize(store: store).bytes(of: output)
        }
        return sum
    }

    /// Rows for names that the plan no longer has. Looked for only where names can have gone: that takes reading them all.
    mutating func addGone() throws {
        guard let lineage, lineage.state != nil else { return }
        let wanted = engine.states.indices.filter { engine.states[$0] != .unwanted }
        let before = try store.builds(lineage: lineage.id, limit: 1).first
        let count = before.map { $0.ran + $0.hits + $0.failed + $0.skipped }
        guard isNew || count != wanted.count else { return }
        let names = Set(wanted.map(name))
        for gone in try store.names(lineage: lineage.id).subtracting(names).sorted(by: { $0.precedes($1) }) {
            actions.append(BuildAction(name: gone, position: engine.states.count, key: nil, outcome: .gone))
        }
    }
}

/// What made the inputs that an action's key names.
enum KeySources {
    static let buildRoot = "tree build root"

    /// `{"tree layers/00-base-layer": "debian-node/base-layer.image"}`.
    static func json(of action: PlannedAction, in plan: Plan) -> JSON {
        .object(list(of: action, in: plan).map { ($0.part, .string($0.source)) })
    }

    static func list(of action: PlannedAction, in plan: Plan) -> [(part: String, source: String)] {
        func text(_ reference: ForgeEngine.OutputReference) -> String {
            "\(plan.actions[reference.action].name).\(reference.output)"
        }
        var list: [(String, String)] = []
        for input in action.inputs {
            guard case .output(let reference) = input.source else { continue }
            let kind = plan.actions[reference.action].outputs.first { $0.name == reference.output }?.kind ?? .file
            list.append((ActionKey.part(of: input.name, input.label, kind), text(reference)))
        }
        if let root = action.buildRoot { list.append((buildRoot, text(root))) }
        return list
    }
}

/// Bytes of what an output holds.
struct OutputSize {
    let store: Store
    private static let memo = "size of tree 1"

    func bytes(of output: ActionResult.Output) throws -> Int64 {
        guard output.kind == .tree else { return output.digest.size }
        let key = output.digest.hash
        if let known = try store.memo(OutputSize.memo, key), let size = Int64(String(decoding: known, as: UTF8.self)) {
            return size
        }
        // Of a tree that is damaged nothing is known; that is no reason to fail a build that is done.
        guard let tree = try? Tree.load(output.digest, from: store) else { return 0 }
        store.setMemo(OutputSize.memo, key, Array(String(tree.size).utf8))
        return tree.size
    }
}
