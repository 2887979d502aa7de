import ForgeBase
import ForgeSystem

/// Saves the rows of a damaged database into a new one.
enum Salvage {
    /// Does nothing to a database that is sound, or not there.
    static func run(_ path: String) throws -> [StoreDamage] {
        guard Files.exists(path) else { return [] }
        guard let reason = try fault(of: path) else { return [] }
        let aside = try putAside(path)
        let saved = try copy(from: aside, to: path)
        return [
            StoreDamage(subject: .database(path), reason: "\(reason); kept as \(aside), saved \(saved) rows of it")
        ]
    }

    /// What is wrong with a database, one line; nil if it is sound.
    /// - Throws: where the fault is not in the file: a newer schema, no permission.
    static func fault(of path: String) throws(ForgeError) -> String? {
        do throws(ForgeError) {
            let start = try FileDescriptor(opening: path).read(upTo: header.count)
            if start.count == header.count, !isHeader(start) { return "its header has changed" }
            let database = try Database(path, schema: Schema.versions, readOnly: false)
            let faults = try database.use { connection throws(ForgeError) in try connection.faults() }
            return faults.first.map { faults.count > 1 ? "\($0) (and \(faults.count - 1) more)" : $0 }
        } catch {
            guard error.remedy?.contains("forge cache repair") == true else { throw error }
            return error.message
        }
    }

    private static func putAside(_ path: String) throws -> String {
        var number = 1
        while Files.exists("\(path).damaged-\(number)") { number += 1 }
        let aside = "\(path).damaged-\(number)"
        // The log first: without its database it is nothing, the other way round it would go to a new one.
        for suffix in ["-wal", "-shm", ""] where Files.exists(path + suffix) {
            try Files.move(path + suffix, to: aside + suffix)
        }
        return aside
    }

    /// Copies every row that can be read. Rows that have changed have other seals or hashes, which a check finds.
    private static func copy(from aside: String, to path: String) throws -> Int {
        let new = try Database(path, schema: Schema.versions, readOnly: false)
        let readable = try withHeader(aside)
        defer { if readable != aside { for suffix in ["", "-wal", "-shm"] { try? Files.remove(readable + suffix) } } }
        guard let old = try? Database(readable, schema: [], readOnly: false, salvage: true) else { return 0 }
        var saved = 0
        for table in try names(new) {
            let wanted = try columns(new, table)
            let found = (try? columns(old, table)) ?? []
            let list = wanted.filter(found.contains)
            guard !list.isEmpty else { continue }
            // From both ends, up to the first row that can't be read; then one by one.
            for order in ["", " ORDER BY 1", " ORDER BY 1 DESC"] {
                let rows = read("SELECT \(list.joined(separator: ", ")) FROM \(table)\(order)", list.count, old)
                saved += write(rows, to: new, table, list)
            }
            saved += write(readSingly(table, list, old), to: new, table, list)
            if wanted.contains("seal"), !found.contains("seal"),
                let columns = RowSeal.tables.first(where: { $0.name == table })?.columns
            {
                try new.use { connection throws(ForgeError) in
                    try connection.run("UPDATE \(table) SET seal = forge_seal(\(columns))")
                }
            }
        }
        return saved
    }

    /// The rows of a statement up to the first that can't be read.
    private static func read(
        _ sql: String, _ columns: Int, _ database: Database, _ values: [SQLValue] = []
    ) -> [[SQLValue]] {
        let found = Locked<[[SQLValue]]>([])
        try? database.use { connection throws(ForgeError) in
            try connection.rows(sql, values) { row throws(ForgeError) in
                found.withLock { $0.append((0..<Int32(columns)).map(row.value)) }
                return true
            }
        }
        return found.withLock { $0 }
    }

    /// Rows by their numbers, each of which may be on a page that is there.
    private static func readSingly(_ table: String, _ columns: [String], _ database: Database) -> [[SQLValue]] {
        var numbers: Set<Int64> = []
        // The first may go through an index whose pages are whole.
        for order in ["", " ORDER BY rowid", " ORDER BY rowid DESC"] {
            for row in read("SELECT rowid FROM \(table)\(order)", 1, database) {
                if case .int(let number)? = row.first { numbers.insert(number) }
            }
        }
        let list = columns.joined(separator: ", ")
        return numbers.sorted().flatMap {
            read("SELECT \(list) FROM \(table) WHERE rowid = ?", columns.count, database, [.int($0)])
        }
    }

    private static func write(_ rows: [[SQLValue]], to new: Database, _ table: String, _ columns: [String]) -> Int {
        let list = columns.joined(separator: ", ")
        let marks = columns.map { _ in "?" }.joined(separator: ", ")
        let sql = "INSERT OR IGNORE INTO \(table)(\(list)) VALUES(\(marks))"
        return
            (try? new.transaction { connection throws(ForgeError) in
                var count = 0
                // A row that the new schema refuses is damaged too.
                for row in rows where (try? connection.run(sql, row)) != nil { count += connection.changes }
                return count
            }) ?? 0
    }

    /// Tables worth saving, in the order they were made: what refers to another comes after it.
    private static func names(_ database: Database) throws(ForgeError) -> [String] {
        // What can be had again by work is not worth a doubt.
        try strings(
            database,
            """
            SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
            AND name NOT IN ('files', 'memo') ORDER BY rowid
            """)
    }

    private static func columns(_ database: Database, _ table: String) throws(ForgeError) -> [String] {
        try strings(database, "SELECT name FROM pragma_table_info('\(table)')")
    }

    private static func strings(_ database: Database, _ sql: String) throws(ForgeError) -> [String] {
        try database.use { connection throws(ForgeError) in
            var list: [String] = []
            try connection.rows(sql) { row throws(ForgeError) in
                list.append(row.text(0))
                return true
            }
            return list
        }
    }

    /// The first 24 bytes of every database of forge: the magic, 4096 bytes a page, WAL mode, and fixed fractions. See
    /// “The Database Header” of SQLite's file format.
    private static let header: [UInt8] = Array("SQLite format 3\0".utf8) + [0x10, 0, 2, 2, 0, 64, 32, 32]

    /// Until the first transaction has made the file one of WAL mode, bytes 18 and 19 are 1.
    private static func isHeader(_ start: [UInt8]) -> Bool {
        var young = header
        (young[18], young[19]) = (1, 1)
        return start == header || start == young
    }

    /// The path of a file that SQLite will look into: the file itself, or a copy with a right header and with as many pages
    /// as it says, those that are cut off empty.
    private static func withHeader(_ path: String) throws -> String {
        var bytes = try Files.read(path)
        guard bytes.count > 100 else { return path }
        let pages = bytes[28..<32].reduce(0) { $0 << 8 | Int($1) }
        let missing = pages * 4096 - bytes.count
        let isCut = missing > 0 && missing < 4 * bytes.count + 1 << 20
        if isHeader(Array(bytes[..<header.count])), !isCut { return path }
        bytes.replaceSubrange(..<header.count, with: header)
        if isCut { bytes += [UInt8](repeating: 0, count: missing) }
        let copy = path + ".header"
        try Files.write(copy, bytes)
        for suffix in ["-wal"] where Files.exists(path + suffix) {
            try Files.write(copy + suffix, try Files.read(path + suffix))
        }
        return copy
    }
}
