import CSQLite
import ForgeBase
import ForgeEngine
import ForgeRecipe
import Glibc

/// JSON: what is read is written and read again as the same; nothing is taken that is no JSON, by SQLite's judgement.
func fuzzJSON(_ input: [UInt8]) throws {
    guard let json = try Refusal.of(input, file: "f").unless({ try JSON(parsing: input, file: "f") }) else { return }
    try require(JSONJudge.accepts(input), "taken, but SQLite does not call it JSON")
    for text in [json.description, json.pretty(), json.pretty(depth: 1)] {
        let again = try JSON(parsing: text, file: "again")
        try require(again.description == json.description, "read again as \(again), first \(json)")
    }
    let canonical = json.canonical
    try require(canonical.canonical.description == canonical.description, "the canonical form is none")
}

/// Another parser of the same standard.
enum JSONJudge {
    private final class Connection {
        var statement: OpaquePointer?

        init() {
            var database: OpaquePointer?
            sqlite3_open(":memory:", &database)
            sqlite3_prepare_v2(database, "SELECT json_valid(?)", -1, &statement, nil)
        }
    }

    static func accepts(_ text: [UInt8]) -> Bool {
        // The judge is at home in text without NUL, which no JSON has.
        if text.contains(0) { return false }
        let connection = Connection()
        defer {
            let database = sqlite3_db_handle(connection.statement)
            sqlite3_finalize(connection.statement)
            sqlite3_close(database)
        }
        let bound = text.withUnsafeBytes { bytes in
            sqlite3_bind_text(
                connection.statement, 1, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), Int32(bytes.count),
                forge_sqlite_transient())
        }
        return bound == SQLITE_OK && sqlite3_step(connection.statement) == SQLITE_ROW
            && sqlite3_column_int(connection.statement, 0) == 1
    }
}

/// Lines of the helper's protocol and requests.
func fuzzEvents(_ input: [UInt8]) throws {
    guard let json = try Refusal.of(input, file: "f").unless({ try JSON(parsing: input, file: "f") }) else { return }
    if let event = HelperEvent(json: json) {
        let text = event.json.description
        guard let again = HelperEvent(json: try JSON(parsing: text, file: "again")) else {
            throw Breach("the event can't be read again: \(text)")
        }
        try require(again.json.description == text, "read again as \(again.json), first \(text)")
    }
    // Only forge writes requests, so a wrong one is a mistake in forge.
    if let request = try Refusal(codes: [.bug]).unless({ try HelperRequest(json: json) }) {
        let text = request.json.description
        let again = try HelperRequest(json: try JSON(parsing: text, file: "again"))
        try require(again.json.description == text, "read again as \(again.json), first \(text)")
    }
}

func fuzzYAML(_ input: [UInt8]) throws {
    guard let node = try Refusal.of(input, file: "f").unless({ try YAML.parse(input, file: "f") }) else { return }
    let json = node.json
    let again = try JSON(parsing: json.description, file: "again")
    try require(again.description == json.description, "as JSON it is \(again), first \(json)")
    try require(try YAML.parse(input, file: "f").json.description == json.description, "read twice, two values")
}

/// A recipe, with the stages of this repository.
func fuzzRecipe(_ input: [UInt8]) throws {
    let folder = Repository.root + "/recipes/debian-node"
    func read() throws -> Recipe? {
        try Refusal.of(input, file: "f").unless {
            let catalog = StageCatalog(directories: [Repository.root + "/stages"])
            return try Recipe.parse(input, name: "debian-node", file: "f", directory: folder, catalog: catalog)
        }
    }
    guard let recipe = try read() else { return }
    var done: Set<String> = []
    for stage in recipe.stages {
        for case .output(let source) in stage.inputs.flatMap({ $0.sources.map(\.source) }) {
            try require(done.contains(source.stage), "\(stage.id) comes before \(source.stage), which it needs")
        }
        try require(stage.options.canonical.description == stage.options.description, "options are not canonical")
        done.insert(stage.id)
    }
    for artifact in recipe.artifacts {
        try require(done.contains(artifact.source.stage), "\(artifact.path) has no stage")
    }
    guard let again = try read() else { throw Breach("taken, then refused") }
    try require(again.stages.map(\.id) == recipe.stages.map(\.id), "two orders")
    try require(again.stages.map(\.options) == recipe.stages.map(\.options), "two sets of options")
}

func fuzzStage(_ input: [UInt8]) throws {
    let stage = try Refusal.of(input, file: "f").unless {
        try StageDefinition.parse(input, folder: Repository.root + "/stages/squashfs", file: "f")
    }
    guard let stage else { return }
    try require(!stage.summary.isEmpty && !stage.summary.contains("\n"), "a summary that is not one line")
    try require(stage.version >= 1 && stage.resources.cpu >= 0 && stage.resources.memory >= 0, "numbers out of range")
    try require(Set(stage.outputs.map(\.name)).count == stage.outputs.count, "an output twice")
}

/// A lock: what is read is written and read again as the same, in one order.
func fuzzLock(_ input: [UInt8]) throws {
    let lock = try Refusal.of(input, file: "f").unless { try LockFile(parsing: input, file: "f") }
    guard let lock else { return }
    let text = lock.text
    let again = try LockFile(parsing: Array(text.utf8), file: "again")
    try require(again == lock && again.text == text, "read again as another lock")
    for entry in lock.entries {
        try require(try LockEntry(json: entry.json.canonical) == entry, "an entry alone is another")
    }
}
