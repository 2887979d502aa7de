package import ForgeBase
import ForgeSystem
import Glibc
import Synchronization

/// Something wrong in a cache.
package struct StoreDamage: Sendable, Equatable, CustomStringConvertible {
    package enum Subject: Sendable, Equatable {
        /// An object's row or file.
        case object(Digest)
        /// A file below `objects/` whose name is no digest of its size.
        case stray(String)
        /// The result of an action, by its key.
        case action(Digest)
        case database(String)
    }

    package var subject: Subject
    /// Why, one line.
    package var reason: String

    package var description: String {
        switch subject {
        case .object(let digest): "object \(digest): \(reason)"
        case .stray(let path): "\(path): \(reason)"
        case .action(let key): "result of action \(key.hex): \(reason)"
        case .database(let path): "\(path): \(reason)"
        }
    }
}

/// Checking every byte of a cache, and dropping what is wrong. What was dropped is built or fetched again when needed.
extension Store {
    /// Everything that is wrong: objects whose bytes have another hash, and results that need objects which are damaged or
    /// gone. Reads the whole cache.
    /// - Parameter jobs: threads that hash.
    package func verify(jobs: Int = 2) throws -> [StoreDamage] {
        if !isReadOnly { try writeRows() }
        var damages = try verifyRows()
        damages += try verifyFiles(jobs: jobs)
        var bad: Set<Digest> = []
        for case .object(let digest) in damages.map(\.subject) { bad.insert(digest) }
        var known: [Digest: Bool] = [:]
        func isGood(_ digest: Digest) throws -> Bool {
            if let answer = known[digest] { return answer }
            let answer = try !bad.contains(digest) && contains(digest)
            known[digest] = answer
            return answer
        }
        for action in try actionsByUse() {
            guard let key = Digest(stored: action.key) else {
                damages.append(
                    StoreDamage(subject: .database(database.path), reason: "the key of a result has another length"))
                continue
            }
            guard let outputs = action.outputs else {
                damages.append(StoreDamage(subject: .action(key), reason: "its row can't be read"))
                continue
            }
            for output in outputs {
                guard try isGood(output.digest) else {
                    damages.append(
                        StoreDamage(
                            subject: .action(key), reason: "its output “\(output.name)” (\(output.digest)) is gone"))
                    break
                }
                let lost = try closure(output.digest, output.kind)?.sorted().first { try !isGood($0) }
                if let lost {
                    damages.append(
                        StoreDamage(
                            subject: .action(key),
                            reason: "its output “\(output.name)” needs object \(lost), which is gone"))
                    break
                }
            }
        }
        return damages
    }

    private func verifyRows() throws -> [StoreDamage] {
        try database.use { connection throws(ForgeError) in
            var damages: [StoreDamage] = []
            try connection.rows("SELECT hash, size, encoding, bytes FROM objects ORDER BY hash") {
                row throws(ForgeError) in
                guard let digest = Digest(hash: row.blob(0), size: row.int(1)) else {
                    damages.append(
                        StoreDamage(
                            subject: .database(self.database.path), reason: "the hash of an object has another length"))
                    return true
                }
                let plain = Encoding(rawValue: row.int(2)).flatMap { try? self.decode(row.blob(3), $0, digest) }
                if plain.map({ Digest.of($0) }) != digest {
                    damages.append(StoreDamage(subject: .object(digest), reason: "its row has other bytes"))
                }
                return true
            }
            return damages
        }
    }

    private func verifyFiles(jobs: Int) throws -> [StoreDamage] {
        var files: [(path: String, digest: Digest?)] = []
        try eachObjectFile { path, _, digest in files.append((path, digest)) }
        let list = files
        let found = Mutex<[(Int, StoreDamage)]>([])
        try Threads.forEach(list.count, width: jobs) { index in
            let (path, named) = list[index]
            guard let named else {
                let damage = StoreDamage(subject: .stray(path), reason: "its name is no digest")
                return found.withLock { $0.append((index, damage)) }
            }
            var hasher = SHA256()
            let file = try FileDescriptor(opening: path)
            try file.each { hasher.update($0) }
            guard hasher.finish() != named else { return }
            let damage = StoreDamage(subject: .object(named), reason: "\(path) has other bytes")
            found.withLock { $0.append((index, damage)) }
        }
        return found.withLock { $0 }.sorted { $0.0 < $1.0 }.map(\.1)
    }

    /// Opens a cache after dropping everything that ``verify(jobs:)`` finds wrong with it. A database that SQLite can't
    /// read is put aside, and what can be read of it goes to a new one.
    /// - Returns: what was dropped, each named.
    /// - Throws: `.io` if a build is using the cache.
    package static func repair(directory: String, jobs: Int = 2) throws -> [StoreDamage] {
        guard Files.isDirectory(directory) else { throw ForgeError(.io, "there is no cache \(directory)") }
        guard let alone = try FileLock.tryLock(directory + "/gc.lock") else {
            throw ForgeError(.io, "a build is using the cache \(directory)", remedy: "run this again when it is done")
        }
        defer { withExtendedLifetime(alone) {} }
        var damages = try Salvage.run(directory + "/forge.db")
        let store = try Store(directory: directory)
        // Dropping an object may leave results without it, and dropping happens in one pass over both.
        let found = try store.verify(jobs: jobs)
        for damage in found { try store.drop(damage) }
        damages += found
        return damages
    }

    private func drop(_ damage: StoreDamage) throws {
        switch damage.subject {
        case .object(let digest):
            try Files.remove(filePath(digest))
            try database.use { connection throws(ForgeError) in
                try connection.run("DELETE FROM objects WHERE hash = ?", [.blob(digest.hash)])
            }
        case .stray(let path): try Directory.remove(path)
        case .action(let key): try forget(key)
        case .database:
            try database.use { connection throws(ForgeError) in
                try connection.run("DELETE FROM actions WHERE length(key) != 40")
                try connection.run("DELETE FROM objects WHERE length(hash) != 32")
            }
        }
    }
}

/// Saves the rows of a damaged database into a new one.
enum Salvage {
    private static let tables: [(name: String, columns: [String])] = [
        ("objects", ["hash", "size", "encoding", "bytes"]),
        ("actions", ["key", "result", "created", "last_used"]),
        ("lineages", ["id", "recipe", "cell", "parameters", "state"]),
        (
            "builds",
            [
                "id", "recipe", "cell", "started", "seconds", "outcome", "details", "lineage", "ran", "hits", "failed",
                "skipped", "cpu_seconds", "made_bytes", "saved_seconds", "saved_bytes",
            ]
        ),
        (
            "build_actions",
            [
                "lineage", "name", "build", "position", "key", "outcome", "start", "seconds", "cpu_seconds",
                "max_memory", "output_bytes", "sources",
            ]
        ),
        ("key_parts", ["key", "parts"]),
        ("pins", ["name", "object", "kind"]),
    ]

    /// Does nothing to a database that is sound, or not there.
    static func run(_ path: String) throws -> [StoreDamage] {
        guard Files.exists(path) else { return [] }
        var reason = ""
        do throws(ForgeError) {
            let database = try Database(path, schema: Schema.versions, readOnly: false)
            let verdict = try database.use { connection throws(ForgeError) in
                var verdict = ""
                try connection.rows("PRAGMA quick_check(1)") { row throws(ForgeError) in
                    verdict = row.text(0)
                    return false
                }
                return verdict
            }
            if verdict == "ok" { return [] }
            reason = verdict
        } catch {
            reason = error.message
            // A newer schema is no damage.
            guard error.remedy?.contains("forge cache repair") == true else { throw error }
        }
        let aside = try putAside(path)
        let saved = try copy(from: aside, to: path)
        return [
            StoreDamage(
                subject: .database(path), reason: "\(reason); kept as \(aside), saved \(saved) rows of it")
        ]
    }

    private static func putAside(_ path: String) throws -> String {
        var number = 1
        while Files.exists("\(path).damaged-\(number)") { number += 1 }
        let aside = "\(path).damaged-\(number)"
        for suffix in ["", "-wal", "-shm"] where Files.exists(path + suffix) {
            try Files.move(path + suffix, to: aside + suffix)
        }
        return aside
    }

    /// Rows up to the first that can't be read, from both ends of every table.
    private static func copy(from aside: String, to path: String) throws -> Int {
        let new = try Database(path, schema: Schema.versions, readOnly: false)
        guard let old = try? Database(aside, schema: [], readOnly: false, salvage: true) else { return 0 }
        var saved = 0
        for table in tables {
            let list = table.columns.joined(separator: ", ")
            let marks = table.columns.map { _ in "?" }.joined(separator: ", ")
            for order in ["", " ORDER BY 1 DESC"] {
                let rows = Mutex<[[SQLValue]]>([])
                try? old.use { connection throws(ForgeError) in
                    try connection.rows("SELECT \(list) FROM \(table.name)\(order)") { row throws(ForgeError) in
                        rows.withLock { $0.append((0..<Int32(table.columns.count)).map(row.value)) }
                        return true
                    }
                }
                let found = rows.withLock { $0 }
                // A row that the new schema refuses is damaged too.
                saved += try new.transaction { connection throws(ForgeError) in
                    var count = 0
                    for row in found {
                        let sql = "INSERT OR IGNORE INTO \(table.name)(\(list)) VALUES(\(marks))"
                        if (try? connection.run(sql, row)) != nil { count += connection.changes }
                    }
                    return count
                }
            }
        }
        return saved
    }
}
