import ForgeBase

/// What a cache holds. Bytes are those of the objects; rows compressed inside count with what they take.
package struct StoreStatistics: Sendable, Equatable {
    package var actions = 0
    package var builds = 0
    package var rows = 0
    package var rowBytes: Int64 = 0
    package var files = 0
    package var fileBytes: Int64 = 0
    package var checkouts = 0
    package var checkoutBytes: Int64 = 0
    package var pins = 0
    /// Files that compilers keep between builds; they have a limit of their own.
    package var toolFiles = 0
    package var toolBytes: Int64 = 0

    /// Everything that the limit on the size of the cache counts.
    package var bytes: Int64 { rowBytes + fileBytes + checkoutBytes }
}

extension Store {
    /// Counts and sizes. Looks at every object file, but reads none.
    package func statistics() throws -> StoreStatistics {
        var result = try database.use { connection throws(ForgeError) in
            var result = StoreStatistics()
            result.actions = Int(try connection.int("SELECT count(*) FROM actions") ?? 0)
            result.builds = Int(try connection.int("SELECT count(*) FROM builds") ?? 0)
            result.rows = Int(try connection.int("SELECT count(*) FROM objects") ?? 0)
            result.rowBytes = try connection.int("SELECT coalesce(sum(length(bytes)), 0) FROM objects") ?? 0
            result.pins = Int(try connection.int("SELECT count(DISTINCT name) FROM pins") ?? 0)
            return result
        }
        try eachObjectFile { _, size, _ in
            result.files += 1
            result.fileBytes += size
        }
        for found in try Checkouts.list(in: directory) where found.used > 0 {
            result.checkouts += 1
            result.checkoutBytes += found.size
        }
        for file in try ToolCaches.files(in: directory) {
            result.toolFiles += 1
            result.toolBytes += file.size
        }
        return result
    }
}
