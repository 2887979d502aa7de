import CSQLite
import ForgeBase
import ForgeStore
import ForgeSystem
import Glibc

/// A cache, and a second connection to its database by which rows get values that forge would never write.
struct RowBench {
    static let shared = Result { try Shared() }

    final class Shared: Sendable {
        let lock: Locked<RowBench>

        init() throws {
            let bench = try RowBench()
            lock = Locked(bench)
        }
    }

    /// Where files are in memory, if there is such a place: a disk would be most of the time.
    static let memory = Files.isDirectory("/dev/shm") ? "/dev/shm" : "/tmp"

    private let store: Store
    private let database: OpaquePointer
    private let key = Digest.of("key")
    private let object = Digest.of("object")

    private init() throws {
        var template = Array("\(RowBench.memory)/forge-rows-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw ForgeError.system("cannot make a directory") }
        let path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        store = try Store(directory: path)
        _ = try store.put(Array("object".utf8))
        try store.commit(key, ActionResult(outputs: [.init(name: "out", kind: .file, digest: object)]))
        try store.recordBuild(
            BuildRecord(recipe: "r", cell: "c", parameters: "{}", started: 1, seconds: 1, outcome: "done"),
            actions: [BuildAction(name: "a", position: 0, key: key, outcome: .ran, seconds: 1)],
            parts: [key: [KeyPart(name: "setting format", value: "1")]], state: KeyState())
        _ = try store.digest(ofFile: "/etc/hostname")
        try store.flush()
        var opened: OpaquePointer?
        guard sqlite3_open("\(path)/forge.db", &opened) == SQLITE_OK, let opened else {
            throw ForgeError(.io, "cannot open \(path)/forge.db")
        }
        database = opened
        sqlite3_exec(database, "PRAGMA synchronous = OFF", nil, nil, nil)
        // Both connections stay open, and the bytes are freed with them.
        try Files.remove(path)
    }

    private func run(_ sql: String, _ value: [UInt8], isText: Bool) throws {
        var statement: OpaquePointer?
        guard sqlite3_prepare_v2(database, sql, -1, &statement, nil) == SQLITE_OK else {
            throw Breach(String(cString: sqlite3_errmsg(database)))
        }
        defer { sqlite3_finalize(statement) }
        value.withUnsafeBytes { bytes in
            let start = bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 1)
            let free = forge_sqlite_transient()
            if isText {
                sqlite3_bind_text(
                    statement, 1, start?.assumingMemoryBound(to: CChar.self), Int32(bytes.count), free)
            } else {
                sqlite3_bind_blob(statement, 1, start, Int32(bytes.count), free)
            }
        }
        guard sqlite3_step(statement) == SQLITE_DONE else { throw Breach(String(cString: sqlite3_errmsg(database))) }
    }

    /// Puts a value into a row, and reads the row as forge does.
    mutating func put(_ value: [UInt8], table: UInt8) throws {
        let refusal = Refusal(codes: [.io])
        switch table {
        case UInt8(ascii: "a"):
            try run("UPDATE actions SET result = ?", value, isText: true)
            if let result = try refusal.unless({ try store.lookup(key) }) ?? nil {
                let again = ActionResult(json: try JSON(parsing: result.json.description, file: "again"))
                try require(again == result, "a result that is read again as another")
                for output in result.outputs {
                    try require(try store.contains(output.digest), "a result without its objects")
                }
            }
        case UInt8(ascii: "k"):
            try run("UPDATE key_parts SET parts = ?", value, isText: true)
            _ = try refusal.unless { try store.keyParts(of: key) }
            _ = try refusal.unless { try store.newest("a", lineage: nil) }
        case UInt8(ascii: "b"):
            try run("UPDATE builds SET details = ?", value, isText: true)
            _ = try refusal.unless { try store.builds() }
        case UInt8(ascii: "o"):
            try run("UPDATE build_actions SET outcome = ?", value, isText: true)
            _ = try refusal.unless { try store.actions(ofBuild: 1) }
        case UInt8(ascii: "h"):
            try run("UPDATE build_actions SET key = ?", value, isText: false)
            _ = try refusal.unless { try store.actions(ofBuild: 1) }
        case UInt8(ascii: "r"), UInt8(ascii: "z"):
            let encoding = table == UInt8(ascii: "z") ? 1 : 0
            try run("UPDATE objects SET encoding = \(encoding), bytes = ?", value, isText: false)
            if let bytes = try refusal.unless({ try store.read(object) }) {
                try require(Digest.of(bytes) == object, "bytes of another hash, though verified")
            }
            _ = try refusal.unless { try store.read(object) }
        case UInt8(ascii: "f"):
            try run("UPDATE files SET digest = ?", value, isText: false)
            _ = try refusal.unless { try store.digest(ofFile: "/etc/hostname") }
        default: break
        }
    }
}
