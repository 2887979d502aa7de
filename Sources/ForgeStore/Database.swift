import CSQLite
import ForgeBase
import ForgeSystem

/// A value that SQLite stores.
enum SQLValue: Sendable {
    case null
    case int(Int64)
    case real(Double)
    case text(String)
    case blob([UInt8])
}

/// One SQLite database file, used by any thread: one connection behind a lock. WAL mode, so readers of other processes
/// don't wait for a writer, and a killed process leaves either all of a transaction or nothing.
final class Database: Sendable {
    /// For messages.
    let path: String
    private let connection: Locked<Connection>

    /// Opens or makes a database.
    /// - Parameters:
    ///   - schema: one script per version; a database of version n gets the scripts from index n on.
    ///   - readOnly: nothing is made or changed; a database that is not there is an empty one.
    ///   - salvage: take the database as it is, damaged or not.
    init(_ path: String, schema: [String], readOnly: Bool, salvage: Bool = false) throws(ForgeError) {
        self.path = path
        let absent = readOnly && !Files.exists(path)
        let opened = try Connection(path: absent ? ":memory:" : path, label: path, readOnly: readOnly && !absent)
        connection = Locked(opened)
        if salvage { return }
        try use { connection throws(ForgeError) in
            try connection.configure(readOnly: readOnly)
            try Database.migrate(&connection, schema: schema, readOnly: readOnly && !absent)
        }
    }

    /// Runs single statements; each is a transaction of its own.
    func use<R: Sendable>(_ body: (inout Connection) throws(ForgeError) -> R) throws(ForgeError) -> R {
        try connection.withLock { connection throws(ForgeError) -> R in try body(&connection) }
    }

    /// Runs statements as one write transaction: all of it happens or, on an error, nothing.
    func transaction<R: Sendable>(_ body: (inout Connection) throws(ForgeError) -> R) throws(ForgeError) -> R {
        try use { connection throws(ForgeError) -> R in
            try connection.transaction(body)
        }
    }

    /// Runs `body`, whose single statements that read are one read transaction: each alone would lock and unlock the
    /// file. What others write meanwhile is not seen. A write transaction within ends it early.
    func reading<R>(_ body: () throws -> R) throws -> R {
        try use { connection throws(ForgeError) in try connection.run("BEGIN") }
        let result = Result(catching: body)
        try use { connection throws(ForgeError) in try connection.endReading() }
        return try result.get()
    }

    private static func migrate(
        _ connection: inout Connection, schema: [String], readOnly: Bool
    ) throws(ForgeError) {
        func version(_ connection: inout Connection) throws(ForgeError) -> Int {
            Int(try connection.int("PRAGMA user_version") ?? 0)
        }
        let found = try version(&connection)
        if found == schema.count { return }
        guard found < schema.count else {
            if found > 10_000 {
                throw ForgeError(
                    .io, "\(connection.label): its version \(found) can't be true", remedy: Connection.repair)
            }
            throw ForgeError(
                .io,
                "\(connection.label) was written by a newer forge (schema \(found), this one knows \(schema.count))",
                remedy: "use the newer forge, or another cache with --cache DIR")
        }
        // An older cache is brought forward by the first process that may write.
        guard !readOnly else {
            throw ForgeError(
                .io,
                "\(connection.label) was written by an older forge (schema \(found), this one needs \(schema.count))",
                remedy: "run any building command once; it brings the cache forward")
        }
        try connection.transaction { connection throws(ForgeError) in
            // Another process may have been faster.
            let current = try version(&connection)
            guard current < schema.count else { return }
            for script in schema[current...] {
                do throws(ForgeError) { try connection.script(script) } catch {
                    var error = error
                    error.details.append("while it was brought from schema \(current) to \(schema.count)")
                    // The scripts are right, so a table that is there twice or not at all means a damaged file.
                    error.remedy = error.remedy ?? Connection.repair
                    throw error
                }
            }
            try connection.script("PRAGMA user_version = \(schema.count)")
        }
    }
}

/// A connection and its prepared statements.
struct Connection: ~Copyable {
    private let raw: OpaquePointer
    let label: String
    private var statements: [String: OpaquePointer] = [:]

    fileprivate init(path: String, label: String, readOnly: Bool) throws(ForgeError) {
        var opened: OpaquePointer?
        let flags = readOnly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
        let status = sqlite3_open_v2(path, &opened, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, nil)
        guard let opened else { throw ForgeError(.io, "cannot open \(label): out of memory") }
        guard status == SQLITE_OK else {
            let error = Connection.error(opened, status, label)
            sqlite3_close_v2(opened)
            throw error
        }
        raw = opened
        self.label = label
    }

    deinit {
        for statement in statements.values { sqlite3_finalize(statement) }
        sqlite3_close_v2(raw)
    }

    fileprivate mutating func configure(readOnly: Bool) throws(ForgeError) {
        // Long, because a transaction of another process may wait for a slow disk.
        sqlite3_busy_timeout(raw, 120_000)
        try defineSeal()
        guard !readOnly else { return }
        // Kept in the file; set again, they would be written again.
        if try int("PRAGMA user_version") == 0 {
            try script("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;")
        }
        // NORMAL keeps the file consistent at a crash of the machine; what was committed last may be lost, in order.
        // Checkpoints are rare (64 MiB), because each waits for the disk.
        try script(
            """
            PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;
            PRAGMA wal_autocheckpoint = 16384; PRAGMA cache_size = -16384;
            """)
    }

    /// The SQL function `forge_seal(column, …)`.
    private func defineSeal() throws(ForgeError) {
        let status = sqlite3_create_function_v2(
            raw, "forge_seal", -1, SQLITE_UTF8 | SQLITE_DETERMINISTIC, nil,
            { context, count, values in
                var seal = RowSeal()
                for i in 0..<Int(count) {
                    let start = sqlite3_value_blob(values?[i])
                    seal.add(UnsafeRawBufferPointer(start: start, count: Int(sqlite3_value_bytes(values?[i]))))
                }
                sqlite3_result_int64(context, seal.value)
            }, nil, nil, nil)
        guard status == SQLITE_OK else { throw error(status) }
    }

    /// What SQLite finds wrong with the file: at most 20 lines, none if it is sound.
    mutating func faults() throws(ForgeError) -> [String] {
        var lines: [String] = []
        try rows("PRAGMA integrity_check(20)") { row throws(ForgeError) in
            lines.append(row.text(0))
            return true
        }
        return lines == ["ok"] ? [] : lines
    }

    /// Runs statements that give no rows and take no values.
    mutating func script(_ sql: String) throws(ForgeError) {
        let status = sqlite3_exec(raw, sql, nil, nil, nil)
        guard status == SQLITE_OK else { throw error(status) }
    }

    /// Runs one statement.
    mutating func run(_ sql: String, _ values: [SQLValue] = []) throws(ForgeError) {
        try rows(sql, values) { _ throws(ForgeError) in false }
    }

    /// Runs one statement and calls `body` with each row until it gives false.
    mutating func rows(
        _ sql: String, _ values: [SQLValue] = [], _ body: (Row) throws(ForgeError) -> Bool
    ) throws(ForgeError) {
        let statement = try prepare(sql)
        defer {
            sqlite3_reset(statement)
            sqlite3_clear_bindings(statement)
        }
        for (i, value) in values.enumerated() {
            let status = bind(value, to: statement, at: Int32(i + 1))
            guard status == SQLITE_OK else { throw error(status) }
        }
        while true {
            let status = sqlite3_step(statement)
            if status == SQLITE_DONE { return }
            guard status == SQLITE_ROW else { throw error(status) }
            if try !body(Row(statement: statement)) { return }
        }
    }

    /// The first column of the first row.
    mutating func int(_ sql: String, _ values: [SQLValue] = []) throws(ForgeError) -> Int64? {
        var result: Int64?
        try rows(sql, values) { row throws(ForgeError) in
            result = row.int(0)
            return false
        }
        return result
    }

    /// The first column of the first row.
    mutating func blob(_ sql: String, _ values: [SQLValue] = []) throws(ForgeError) -> [UInt8]? {
        var result: [UInt8]?
        try rows(sql, values) { row throws(ForgeError) in
            result = row.blob(0)
            return false
        }
        return result
    }

    /// Rows that the last statement changed.
    var changes: Int { Int(sqlite3_changes(raw)) }

    /// Ends a read transaction, if there is one.
    fileprivate mutating func endReading() throws(ForgeError) {
        if sqlite3_get_autocommit(raw) == 0 { try run("COMMIT") }
    }

    mutating func transaction<R>(_ body: (inout Connection) throws(ForgeError) -> R) throws(ForgeError) -> R {
        try endReading()
        // IMMEDIATE: waiting for the lock at the start can't end in a deadlock of two readers that both want to write.
        try run("BEGIN IMMEDIATE")
        do throws(ForgeError) {
            let result = try body(&self)
            try run("COMMIT")
            return result
        } catch {
            // Some errors (a full disk) have ended the transaction already.
            if sqlite3_get_autocommit(raw) == 0 { try? run("ROLLBACK") }
            throw error
        }
    }

    private mutating func prepare(_ sql: String) throws(ForgeError) -> OpaquePointer {
        if let known = statements[sql] { return known }
        var statement: OpaquePointer?
        let status = sqlite3_prepare_v3(raw, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &statement, nil)
        guard status == SQLITE_OK, let statement else { throw error(status) }
        statements[sql] = statement
        return statement
    }

    private func bind(_ value: SQLValue, to statement: OpaquePointer, at index: Int32) -> Int32 {
        switch value {
        case .null: return sqlite3_bind_null(statement, index)
        case .int(let number): return sqlite3_bind_int64(statement, index, number)
        case .real(let number): return sqlite3_bind_double(statement, index, number)
        case .text(let text):
            let count = UInt64(text.utf8.count)
            return sqlite3_bind_text64(statement, index, text, count, forge_sqlite_transient(), UInt8(SQLITE_UTF8))
        case .blob(let bytes):
            // A null pointer would store NULL instead of no bytes.
            if bytes.isEmpty { return sqlite3_bind_zeroblob(statement, index, 0) }
            return bytes.withUnsafeBytes {
                sqlite3_bind_blob64(statement, index, $0.baseAddress, UInt64($0.count), forge_sqlite_transient())
            }
        }
    }

    static let repair = "run `forge cache repair`, which saves what can be read and starts a new database"

    private func error(_ status: Int32) -> ForgeError { Connection.error(raw, status, label) }

    private static func error(_ raw: OpaquePointer, _ status: Int32, _ label: String) -> ForgeError {
        // Read at once: the next call on the connection forgets them.
        let code = sqlite3_extended_errcode(raw)
        let reason = String(cString: sqlite3_errmsg(raw))
        var error = ForgeError(.io, "\(label): \(reason)", details: ["SQLite error \(code)"])
        switch status & 0xff {
        case SQLITE_CORRUPT, SQLITE_NOTADB:
            error.remedy = repair
        case SQLITE_FULL:
            error.remedy = "free some space, run `forge cache gc`, or put the cache on another disk with --cache DIR"
        case SQLITE_READONLY where Files.isWritable(label):
            // One byte of the header says who may write.
            error.remedy = repair
        case SQLITE_CANTOPEN, SQLITE_READONLY, SQLITE_PERM:
            error.remedy = "check who owns the cache, and whether an earlier run as another user made it"
        case SQLITE_BUSY:
            error.remedy = "another process has held the cache for two minutes; wait for it or stop it"
        default: break
        }
        return error
    }
}

/// The current row of a statement; valid until the next step.
struct Row {
    fileprivate let statement: OpaquePointer

    func int(_ column: Int32) -> Int64 { sqlite3_column_int64(statement, column) }

    func real(_ column: Int32) -> Double { sqlite3_column_double(statement, column) }

    /// Empty for NULL.
    func text(_ column: Int32) -> String {
        guard let start = sqlite3_column_text(statement, column) else { return "" }
        let count = Int(sqlite3_column_bytes(statement, column))
        return String(decoding: UnsafeBufferPointer(start: start, count: count), as: UTF8.self)
    }

    /// Empty for NULL.
    func blob(_ column: Int32) -> [UInt8] { withBlob(column) { Array($0) } }

    /// The value of a column, whatever it is.
    func value(_ column: Int32) -> SQLValue {
        switch sqlite3_column_type(statement, column) {
        case SQLITE_INTEGER: .int(int(column))
        case SQLITE_FLOAT: .real(real(column))
        case SQLITE_TEXT: .text(text(column))
        case SQLITE_BLOB: .blob(blob(column))
        default: .null
        }
    }

    /// The bytes in place. SQLite gives no pointer for an empty blob.
    func withBlob<R>(_ column: Int32, _ body: (UnsafeRawBufferPointer) -> R) -> R {
        let start = sqlite3_column_blob(statement, column)
        return body(UnsafeRawBufferPointer(start: start, count: Int(sqlite3_column_bytes(statement, column))))
    }
}
