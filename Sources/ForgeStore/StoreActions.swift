package import ForgeBase
import Glibc
import Synchronization

/// The action cache.
extension Store {
    package func lookup(_ key: Digest) throws -> ActionResult? {
        let stored = key.stored
        let found = try database.use { connection throws(ForgeError) in
            var found: (text: String, used: Int64)?
            try connection.rows("SELECT result, last_used FROM actions WHERE key = ?", [.blob(stored)]) {
                row throws(ForgeError) in
                found = (row.text(0), row.int(1))
                return false
            }
            return found
        }
        guard let found else { return nil }
        let json = try StoreFault.json(found.text, "\(database.path): the result of action \(key.hex)")
        guard let result = ActionResult(json: json) else {
            throw ForgeError(
                .io, "\(database.path): the result of action \(key.hex) is damaged", remedy: StoreFault.repair)
        }
        for output in result.outputs where try !contains(output.digest) { return nil }
        // To the hour is enough for garbage collection, and keeps a build that has nothing to do from writing.
        if !isReadOnly, Int64(time(nil)) - found.used > 3600 { touch(keys: [key]) }
        return result
    }

    package func commit(_ key: Digest, _ result: ActionResult) throws {
        try requireWriting()
        try flush()
        let now = Int64(time(nil))
        try database.transaction { connection throws(ForgeError) in
            try connection.run(
                "INSERT OR REPLACE INTO actions(key, result, created, last_used) VALUES(?, ?, ?, ?)",
                [.blob(key.stored), .text(result.json.description), .int(now), .int(now)])
        }
        try reached(.actionCommitted)
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
