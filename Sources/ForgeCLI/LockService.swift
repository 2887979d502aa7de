import ForgeBase
import ForgeEngine
import ForgePlanner
import ForgeRecipe
import ForgeStore
import ForgeSystem

/// The lock of a recipe: read, checked against what the recipe asks, made by the helper where it is missing.
struct LockService {
    let session: Session

    /// Something of a recipe that a lock pins.
    struct Wanted {
        var id: String
        var stage: StageInstance
        var parameters: [String: String]
        var request: JSON
    }

    /// What `forge lock` does with packages that are locked already.
    enum Update {
        case nothing
        case everything
        case packages([String])

        var json: JSON {
            switch self {
            case .nothing: .string("nothing")
            case .everything: .string("everything")
            case .packages(let names): .array(names.map(JSON.string))
            }
        }
    }

    static func path(of recipe: Recipe) -> String { recipe.directory + "/forge.lock" }

    /// Everything of the recipe and its build roots that needs an entry.
    func wanted(_ recipe: Recipe) throws -> [Wanted] {
        let values = Dictionary(recipe.values.map { ($0.name, $0.value.string ?? $0.value.description) }) { first, _ in
            first
        }
        return try Planner.lockedStages(of: recipe, catalog: session.catalog).map { id, stage in
            Wanted(
                id: id, stage: stage, parameters: id.hasPrefix("build-root:") ? [:] : values,
                request: try request(stage))
        }
    }

    /// The options that determine what is locked: not where it is fetched from, but what is in the files that they name
    /// (keyrings). A lock by other keys is another lock.
    static func request(_ stage: StageInstance, digest: (String) throws -> Digest) rethrows -> JSON {
        let options = Planner.withoutPlaces(stage.options)
        guard case .object(let fields) = options, !stage.paths.isEmpty else { return options.canonical }
        let digests = try Dictionary(
            stage.paths.map { ($0.relative, try digest($0.absolute).hex) }, uniquingKeysWith: { first, _ in first })
        let list = digests.map { ($0.key, JSON.string($0.value)) }
        return JSON.object(fields + [(LockService.files, .object(list))]).canonical
    }

    private func request(_ stage: StageInstance) throws -> JSON {
        let store = try session.store()
        let sources = SourceTree(store: store, memo: store, shown: session.layout.display)
        return try LockService.request(stage) { path in
            try Files.isDirectory(path) ? sources.directory(path) : store.digest(ofFile: path)
        }
    }

    /// The field of a request with the digests of files.
    private static let files = "file-digests"

    /// The lock for a build: made now if there is none, completed if the parameters are new, refused if it does not fit.
    /// - Returns: what the planner asks for.
    func current(_ recipe: Recipe) throws -> (String, StageInstance) throws -> LockedPart? {
        let path = LockService.path(of: recipe)
        let wanted = try wanted(recipe)
        let store = try session.store()
        let bytes = try Files.readIfPresent(path)
        let questions = recipe.questionsOfVersions
        if questions.isEmpty { try recipe.checkCompatibility { _, _ in nil } }
        if let bytes, let index = try LockIndex(of: bytes, in: store),
            wanted.allSatisfy({ index.part($0.id, $0.request) != nil }),
            try index.isKnownToFit(questions, of: wanted, in: store)
        {
            return { id, stage in index.part(id, try request(stage)) }
        }
        let lock =
            try bytes.map { bytes throws(ForgeError) in try LockFile(parsing: bytes, file: session.layout.display(path))
            }
            ?? LockFile()
        let missing = wanted.filter { find($0, in: lock) == nil }
        var complete = lock
        if !missing.isEmpty {
            try refuse(missing, lock, recipe, path)
            session.console.note(
                "locking \(missing.map(\.id).joined(separator: ", ")) (\(session.layout.display(path)) "
                    + (lock.entries.isEmpty ? "does not exist)" : "has no entry for these parameters)"))
            complete = try make(missing, previous: lock, update: .nothing)
            try complete.save(path)
            session.hasWrittenLock = true
        }
        try checkCompatibility(recipe, wanted, complete)
        let index = try LockIndex(complete, in: store)
        index.rememberThatItFits(questions, of: wanted, in: store)
        return { id, stage in index.part(id, try request(stage)) }
    }

    /// Refuses versions that don't work together before anything is built of them.
    private func checkCompatibility(_ recipe: Recipe, _ wanted: [Wanted], _ lock: LockFile) throws {
        let entries = Dictionary(
            wanted.compactMap { item in find(item, in: lock).map { (item.id, $0) } }, uniquingKeysWith: { $1 })
        try recipe.checkCompatibility { entries[$0]?.version(of: $1) }
    }

    private func find(_ wanted: Wanted, in lock: LockFile) -> LockEntry? {
        lock.entries.first { $0.id == wanted.id && $0.request == wanted.request }
    }

    /// Refuses to complete a lock where that would quietly pin something else, or where `--locked` forbids it.
    private func refuse(_ missing: [Wanted], _ lock: LockFile, _ recipe: Recipe, _ path: String) throws {
        let shown = session.layout.display(path)
        let command =
            "forge lock \(recipe.name)"
            + session.arguments.list("set").map { " --set \($0)" }.joined()
        if session.arguments.has("locked") {
            throw ForgeError(
                .badInput,
                lock.entries.isEmpty
                    ? "there is no lock \(shown), and --locked forbids to make one"
                    : "\(shown) does not cover \(missing.map(\.id).joined(separator: ", ")), and --locked forbids to change it",
                remedy: "run `\(command)` and commit the lock")
        }
        for item in missing {
            guard let old = lock.entry(item.id, parameters: item.parameters) else { continue }
            let files = LockService.changedFiles(old.request, item.request)
            let cause =
                files.isEmpty
                ? "the options of “\(item.id)” have changed"
                : "of “\(item.id)”, \(files.joined(separator: ", ")) \(files.count == 1 ? "has" : "have") changed"
            throw ForgeError(
                .badInput, "\(shown) no longer fits the recipe: \(cause) since it was made", at: item.stage.location,
                remedy: "run `\(command)`: it keeps every version that still fits")
        }
    }

    /// The files in which two requests differ; none if they differ in more.
    private static func changedFiles(_ old: JSON, _ new: JSON) -> [String] {
        func rest(_ request: JSON) -> [String] {
            (request.object ?? []).filter { $0.0 != files }.map { "\($0.0) \($0.1)" }
        }
        guard rest(old) == rest(new) else { return [] }
        return (new[files]?.object ?? []).filter { old[files]?[$0.0] != $0.1 }.map(\.0)
    }

    /// What brings the sources that a recipe names by digest or commit.
    private static let fetching: [StageProgram] = [.builtin("fetch-url"), .builtin("fetch-git")]

    /// Keeps what the recipe and its lock name from being collected: others drop it, the store must not.
    func pin(_ recipe: Recipe, _ engine: Engine) throws {
        let fetched = engine.plan.actions.indices.compactMap { index in
            LockService.fetching.contains(engine.plan.actions[index].program) ? engine.keys[index]?.digest : nil
        }
        let file = recipe.directory + "/recipe.yaml"
        if fetched.isEmpty {
            _ = try session.store().unpin(file)
        } else {
            try session.store().pin(file, [], actions: fetched)
        }
        guard let lock = try LockFile.load(LockService.path(of: recipe)) else { return }
        let store = try session.store()
        let objects = try LockService.objects(of: lock.entries, in: store)
        try store.pin(LockService.path(of: recipe), objects.map { ($0, .file) })
    }

    /// The objects that entries pin. Of a file whose size nobody has published, the store knows the whole name as soon
    /// as it has it.
    static func objects(of entries: [LockEntry], in store: Store) throws -> [Digest] {
        try entries.flatMap(\.files).compactMap { file in try file.digest ?? store.digest(ofSHA256: file.sha256) }
    }

    /// Asks the helper to resolve entries, and puts them into the lock.
    func make(_ wanted: [Wanted], previous: LockFile, update: Update) throws -> LockFile {
        let answer = try ask(wanted, previous: previous, update: update, check: false)
        var lock = previous
        for json in answer["entries"]?.array ?? [] { lock.set(try LockEntry(json: json)) }
        for note in answer["notes"]?.array ?? [] { if let text = note.string { session.console.note(text) } }
        return lock
    }

    /// What is newer in the archives than in the lock, as lines.
    func newer(_ wanted: [Wanted], than lock: LockFile) throws -> JSON {
        try ask(wanted, previous: lock, update: .nothing, check: true)
    }

    /// For errors: where the recipe says what can't be locked.
    private static func location(_ place: SourceLocation?) -> JSON {
        guard let place else { return .null }
        return .object([
            ("file", .string(place.file)), ("line", .int(Int64(place.line))), ("column", .int(Int64(place.column))),
        ])
    }

    private func ask(_ wanted: [Wanted], previous: LockFile, update: Update, check: Bool) throws -> JSON {
        if session.arguments.has("offline") {
            throw ForgeError(
                .network, "locking needs the network, which --offline forbids", remedy: "lock once without --offline")
        }
        let surroundings = try session.surroundings()
        func places(_ list: [(String, [String])]) -> JSON {
            .object(list.map { ($0.0, .array($0.1.map(JSON.string))) })
        }
        let requests = wanted.map { item in
            JSON.object([
                ("id", .string(item.id)), ("at", LockService.location(item.stage.location)),
                ("lock", .string(item.stage.definition.lock ?? "")),
                (
                    "parameters",
                    .object(item.parameters.sorted { $0.key.precedes($1.key) }.map { ($0.key, .string($0.value)) })
                ),
                ("options", item.stage.options), ("request", item.request),
                (
                    "paths",
                    .object(item.stage.paths.map { ($0.relative, .string($0.absolute)) })
                ),
                (
                    "previous",
                    (find(item, in: previous) ?? previous.entry(item.id, parameters: item.parameters))?.json ?? .null
                ),
            ])
        }
        let message = JSON.object([
            ("requests", .array(requests)), ("update", update.json), ("check", .bool(check)),
            ("cache", .string(try session.store().directory)),
            ("mirrors", places(surroundings.mirrors)), ("snapshots", places(surroundings.snapshots)),
            ("allow_expired", .bool(session.arguments.has("allow-expired"))),
        ])
        return try HelperCall(session: session).run("lock", message, showing: "lock")
    }
}

/// A helper that is no action: one question, one answer, progress in between.
struct HelperCall {
    let session: Session

    /// - Returns: the object that the helper ends with.
    func run(_ name: String, _ message: JSON, showing title: String) throws -> JSON {
        let signals = try Signals()
        let child = try Command(
            try session.helper(), [name], environment: HelperRunner.environment(),
            input: .bytes(Array(message.description.utf8)), events: true
        ).start()
        var log: [UInt8] = []
        var pending: [UInt8] = []
        var answer: JSON?
        var lastPhase: String?
        while true {
            let ready = try Poller.wait(
                fds: [signals.fd, child.output, child.events, child.pidfd], timeoutMilliseconds: 1000)
            if ready[0], signals.next() != nil {
                child.terminate()
                throw ForgeError(.interrupted, "stopped; the lock is as it was")
            }
            while let bytes = try child.readOutput(), !bytes.isEmpty { log += bytes }
            while let bytes = try child.readEvents(), !bytes.isEmpty { pending += bytes }
            while let end = pending.firstIndex(of: UInt8(ascii: "\n")) {
                let line = Array(pending[..<end])
                pending.removeFirst(line.count + 1)
                let json = try JSON(parsing: line, file: "helper")
                switch HelperEvent(json: json) {
                case .error(let error): throw error
                case .progress(let progress): show(progress, title, &lastPhase)
                default: answer = json
                }
            }
            if ready[3], let report = try child.reap() {
                session.console.clearLive()
                if let answer, report.succeeded { return answer }
                let lines = String(decoding: log.suffix(4096), as: UTF8.self).split(separator: "\n").suffix(12)
                throw ForgeError(.bug, "the helper \(report.status)", details: lines.map(String.init))
            }
        }
    }

    private func show(_ progress: ActionProgress, _ title: String, _ lastPhase: inout String?) {
        if session.console.live {
            let amount = progress.total > 0 ? "  \(Format.bytes(progress.done)) of \(Format.bytes(progress.total))" : ""
            session.console.drawLive(["  \(title) · \(progress.phase ?? "")\(progress.unit == "bytes" ? amount : "")"])
        } else if let phase = progress.phase, phase != lastPhase {
            session.console.note("      \(title): \(phase)")
        }
        lastPhase = progress.phase
    }
}
