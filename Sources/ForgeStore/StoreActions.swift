package import ForgeBase
import ForgeSystem
import Glibc

/// The action cache.
extension Store {
    package func lookup(_ key: Digest) throws -> ActionResult? {
        let stored = key.stored
        let found = try database.use { connection throws(ForgeError) in
            var found: (text: String, used: Int64, sound: Bool)?
            try connection.rows("SELECT result, last_used, seal FROM actions WHERE key = ?", [.blob(stored)]) {
                row throws(ForgeError) in
                let seal = row.withBlob(0) { RowSeal.of(stored, $0) }
                found = (row.text(0), row.int(1), seal == row.int(2))
                return false
            }
            return found
        }
        guard let found else { return nil }
        guard found.sound, let json = try? JSON(parsing: found.text, file: "result"),
            let result = ActionResult(json: json)
        else {
            // It runs again, and its new row takes the place of this one.
            notice("\(database.path): the result of action \(key.hex) is damaged and counts for nothing")
            return nil
        }
        for output in result.outputs where try !contains(output.digest) { return nil }
        // To the hour is enough for garbage collection, and keeps a build that has nothing to do from writing.
        if !isReadOnly, Int64(time(nil)) - found.used > 3600 { touch(keys: [key]) }
        return result
    }

    package func reading<R>(_ body: () throws -> R) throws -> R { try database.reading(body) }

    package func commit(_ key: Digest, _ result: ActionResult) throws { try commit([(key, result)]) }

    /// Remembers several results, all or none, after making every object put so far durable.
    package func commit(_ results: [(key: Digest, result: ActionResult)]) throws {
        try requireWriting()
        try flush()
        let now = Int64(time(nil))
        try database.transaction { connection throws(ForgeError) in
            for (key, result) in results {
                let text = result.json.description
                let seal = Array(text.utf8).withUnsafeBytes { RowSeal.of(key.stored, $0) }
                try connection.run(
                    "INSERT OR REPLACE INTO actions(key, result, created, last_used, seal) VALUES(?, ?, ?, ?, ?)",
                    [.blob(key.stored), .text(text), .int(now), .int(now), .int(seal)])
            }
        }
        try reached(.actionCommitted)
    }

    /// Remembers something that is wrong with the cache and that needs no error, because it is made good.
    func notice(_ text: String) { notices.withLock { if !$0.contains(text) { $0.append(text) } } }

    /// What was found wrong and made good since the last call, one line each.
    package func takeNotices() -> [String] {
        notices.withLock { list in
            defer { list = [] }
            return list
        }
    }

    /// Notes that results were used now; written with the next rows.
    package func touch(keys: some Sequence<Digest>) {
        pending.withLock { $0.touched.formUnion(keys) }
    }

    /// Forgets the result of an action, so that it runs again.
    package func forget(_ key: Digest) throws {
        try requireWriting()
        try database.use { connection throws(ForgeError) in
            try connection.run("DELETE FROM actions WHERE key = ?", [.blob(key.stored)])
        }
    }
}
