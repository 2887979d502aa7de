import ForgeBase
import ForgeEngine
import ForgePackages
import ForgeRecipe
import ForgeScripts
import ForgeStore
import ForgeSystem

/// `forge-helper lock`: resolves what stages ask of archives.
struct HelperLock {
    let events: Events

    func run(_ message: JSON) throws {
        guard let cache = message["cache"]?.string, let requests = message["requests"]?.array else {
            throw ForgeError(.bug, "request: no cache or no requests")
        }
        let store = try Store(directory: cache)
        var answer = Answer()
        for json in requests {
            let item = try Item(json, message)
            events.send(HelperEvent.progress(ActionProgress(phase: "resolving \(item.id)")).json)
            do {
                try resolve(item, message, cache: cache, store: store, &answer)
            } catch var error as ForgeError {
                if error.location == nil { error.location = HelperLock.location(json["at"]) }
                throw error
            }
        }
        try store.flush()
        events.send(
            .object([
                ("event", .string("lock")), ("entries", .array(answer.entries)), ("notes", .array(answer.notes)),
                ("newer", .array(answer.newer)),
            ]))
    }

    /// What the helper answers, as it grows.
    private struct Answer {
        var entries: [JSON] = []
        var notes: [JSON] = []
        var newer: [JSON] = []
    }

    private static func location(_ json: JSON?) -> SourceLocation? {
        guard let json, let file = json["file"]?.string, let line = json["line"]?.int, let column = json["column"]?.int
        else { return nil }
        return SourceLocation(file: file, line: Int(line), column: Int(column))
    }

    private func resolve(
        _ item: Item, _ message: JSON, cache: String, store: Store, _ answer: inout Answer
    ) throws {
        let locker = try locker(item, message, cache: cache, store: store)
        func lock(_ previous: LockEntry?, _ update: LockUpdate) throws -> LockOutcome {
            try locker.lock(
                id: item.id, parameters: item.parameters, options: item.options, request: item.asked,
                previous: previous, update: update)
        }
        if message["check"]?.bool == true {
            guard let previous = item.previous else { return }
            answer.newer += try lock(previous, .all).changes.map { .string("\(item.id): \($0)") }
        } else {
            let outcome = try lock(item.previous, HelperLock.update(message["update"], item))
            var entry = outcome.entry
            // The lock is found by what the recipe says, in the recipe's words.
            entry.request = item.asked
            answer.entries.append(entry.json)
            answer.notes += outcome.notes.map { .string("\(item.id): \($0)") }
        }
    }

    private func locker(_ item: Item, _ message: JSON, cache: String, store: Store) throws -> any Locker {
        let fetcher = Fetcher(for: store)
        switch item.locker {
        case "debian":
            let reader = SuiteReader(
                source: fetcher, store: store, verifier: SignatureVerifier(scratch: cache + "/tmp"),
                now: SystemTime().wall(), allowsExpired: message["allow_expired"]?.bool ?? false)
            let mirrors = DebianOptions.mirrors(item.options).overridden(
                by: Mirrors(archives: Dictionary(item.mirrors) { $1 }, snapshots: Dictionary(item.snapshots) { $1 }))
            return DebianOptionsLocker(
                locker: DebianLocker(reader: reader, mirrors: mirrors, recipeFolder: ""), paths: item.paths)
        case "downloads": return DownloadLocker(source: fetcher, mirrors: item.mirrors)
        case "images": return ImageLocker(fetcher: fetcher, store: store, mirrors: item.mirrors, paths: item.paths)
        default:
            throw ForgeError(
                .badInput, "stage “\(item.id)” asks for a locker “\(item.locker)” that this forge does not have",
                remedy: "lockers: debian, downloads, images")
        }
    }

    /// What may move. Names that only another stage's set has are none of this one's.
    private static func update(_ json: JSON?, _ item: Item) -> LockUpdate {
        if let names = json?.array {
            let known = Set(item.previous?.names ?? [])
            let own = names.compactMap(\.string).filter { known.contains($0) }
            return own.isEmpty ? .none : .packages(own)
        }
        return json?.string == "everything" ? .all : .none
    }

    /// One stage's question.
    private struct Item {
        var id: String
        /// Which locker answers.
        var locker: String
        var parameters: [String: String]
        var options: JSON
        /// What the lock is found by.
        var asked: JSON
        /// Where the files are that the options name, by relative path.
        var paths: [String: String] = [:]
        var previous: LockEntry?
        /// Of the command line and the environment.
        var mirrors: [(String, [String])]
        var snapshots: [(String, [String])]

        init(_ json: JSON, _ message: JSON) throws {
            guard let id = json["id"]?.string, let options = json["options"], let asked = json["request"] else {
                throw ForgeError(.bug, "request: no id, options or request")
            }
            self.id = id
            self.options = options
            self.asked = asked.canonical
            locker = json["lock"]?.string ?? ""
            parameters = [:]
            for (name, value) in json["parameters"]?.object ?? [] { parameters[name] = value.string }
            for (relative, absolute) in json["paths"]?.object ?? [] { paths[relative] = absolute.string }
            if let json = json["previous"], json != .null { previous = try LockEntry(json: json) }
            mirrors = Item.places(message["mirrors"])
            snapshots = Item.places(message["snapshots"])
        }

        private static func places(_ json: JSON?) -> [(String, [String])] {
            (json?.object ?? []).map { ($0.0, ($0.1.array ?? []).compactMap(\.string)) }
        }
    }
}

/// Locks what the options of `debian-packages` and `debian-source` ask for.
private struct DebianOptionsLocker: Locker {
    let locker: DebianLocker
    /// Where the keyrings are that the options name, by relative path.
    let paths: [String: String]

    func lock(
        id: String, parameters: [String: String], options: JSON, request: JSON, previous: LockEntry?, update: LockUpdate
    ) throws -> LockOutcome {
        let own = try DebianOptions.request(options, paths: paths)
        var previous = previous
        // In the locker's words, so that it sees whether the question is the same.
        if previous?.request == request { previous?.request = own.json }
        return try locker.lock(id: id, parameters: parameters, request: own, previous: previous, update: update)
    }
}

/// The options of the stages `debian-packages` and `debian-source`, as the locker and the fetcher want them.
enum DebianOptions {
    /// - Parameter paths: where the keyrings are that the options name, by relative path.
    static func request(_ options: JSON, paths: [String: String]) throws -> DebianRequest {
        var suites: [DebianRequest.Suite] = []
        var archives: [String: DebianRequest.ArchiveSettings] = [:]
        for repository in options["repositories"]?.array ?? [] {
            let archive = repository["archive"]?.string ?? ""
            let components = texts(repository["components"])
            for suite in texts(repository["suites"]) {
                suites.append(
                    .init(
                        archive: archive, suite: suite, components: components,
                        pin: repository["pin"]?.int.map { Int($0) }))
            }
            if let keyring = repository["keyring"]?.string {
                archives[archive, default: .init()].keyring = paths[keyring] ?? keyring
            }
        }
        let sources = texts(options["sources"])
        if options["sources"] != nil {
            guard !sources.isEmpty else {
                throw ForgeError(.badInput, "“sources” names no source package", remedy: "name one, or drop the stage")
            }
            return DebianRequest(
                suites: suites, archives: archives, selection: Selection(base: .none, packages: []), sources: sources)
        }
        let base = options["base"]?.string ?? ""
        guard let base = BaseSet(rawValue: base) else { throw ForgeError(.bug, "base “\(base)” passed the schema") }
        var pins: [PackagePin] = []
        for (name, priority) in options["pins"]?.object ?? [] {
            guard let slash = name.firstIndex(of: "/") else {
                throw ForgeError(
                    .badInput, "pin “\(name)” names no suite", remedy: "write <package>/<suite>: <priority>")
            }
            pins.append(
                PackagePin(
                    packages: [String(name[..<slash])], suite: String(name[name.index(after: slash)...]),
                    priority: Int(priority.int ?? 500)))
        }
        return DebianRequest(
            suites: suites, archives: archives,
            selection: Selection(
                base: base, packages: texts(options["packages"]), recommends: options["recommends"]?.bool ?? false,
                mergedUsr: base != .none, pins: pins))
    }

    /// Where to ask: this host's apt sources, and over them what the recipe says.
    static func mirrors(_ options: JSON) -> Mirrors {
        var recipe = Mirrors()
        for repository in options["repositories"]?.array ?? [] {
            guard let archive = repository["archive"]?.string else { continue }
            let known = recipe.archives[archive] ?? []
            recipe.archives[archive] = known + texts(repository["uri"]).filter { !known.contains($0) }
            recipe.snapshots[archive, default: []] += texts(repository["snapshot"])
        }
        return HostMirrors.read().overridden(by: recipe)
    }

    private static func texts(_ json: JSON?) -> [String] { (json?.array ?? []).compactMap(\.string) }
}
