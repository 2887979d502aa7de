package import ForgeBase

/// Build history, written: what `forge explain`, `log`, `stats` and `graph` look at. `StoreHistoryReading.swift` reads it.
extension Store {
    /// Builds kept for each recipe.
    static let builds = 200

    /// Records a build, and forgets the oldest ones of the recipe.
    ///
    /// The key that an action had in a build is that of its newest row up to that build, in the build's lineage. So what
    /// it costs to record a build grows with what changed, and rows of forgotten builds stay while they say what a later
    /// build still had.
    /// - Parameters:
    ///   - actions: those that ran, failed or were skipped, the hits whose key is not that of their newest row, and a row
    ///     for every name that the plan no longer has.
    ///   - parts: of the keys of these actions.
    ///   - state: of the keys of all actions of the build.
    /// - Returns: the number of the build.
    @discardableResult
    package func recordBuild(
        _ record: BuildRecord, actions: [BuildAction], parts: [Digest: [KeyPart]], state: KeyState
    ) throws -> Int64 {
        try requireWriting()
        return try database.transaction { connection throws(ForgeError) in
            let lineage = try HistoryRows.lineage(record, state, &connection)
            let id = try HistoryRows.insert(record, lineage, &connection)
            for action in actions {
                try HistoryRows.insert(action, build: id, lineage, &connection)
                guard let key = action.key, let list = parts[key] else { continue }
                // One key is always made of the same parts, so builds share them.
                let json = JSON.array(list.map { .array([.string($0.name), .string($0.value)]) })
                try connection.run(
                    "INSERT OR IGNORE INTO key_parts(key, parts) VALUES(?, ?)",
                    [.blob(key.stored), .text(json.description)])
            }
            try HistoryRows.forgetOldest(of: record.recipe, keeping: Store.builds, &connection)
            return id
        }
    }
}

/// The statements of history's transactions.
private enum HistoryRows {
    static func lineage(
        _ record: BuildRecord, _ state: KeyState, _ connection: inout Connection
    ) throws(ForgeError) -> Int64 {
        try connection.run(
            """
            INSERT INTO lineages(recipe, cell, parameters, state) VALUES(?1, ?2, ?3, ?4)
            ON CONFLICT(recipe, cell, parameters) DO UPDATE SET state = ?4
            """, [.text(record.recipe), .text(record.cell), .text(record.parameters), .blob(state.stored)])
        return try connection.int(
            "SELECT id FROM lineages WHERE recipe = ? AND cell = ? AND parameters = ?",
            [.text(record.recipe), .text(record.cell), .text(record.parameters)]) ?? 0
    }

    static func insert(
        _ record: BuildRecord, _ lineage: Int64, _ connection: inout Connection
    ) throws(ForgeError) -> Int64 {
        try connection.run(
            """
            INSERT INTO builds(recipe, cell, started, seconds, outcome, details, lineage, ran, hits, failed, skipped,
                cpu_seconds, made_bytes, saved_seconds, saved_bytes) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            """,
            [
                .text(record.recipe), .text(record.cell), .int(record.started), .real(record.seconds),
                .text(record.outcome), .text(record.details.description), .int(lineage), .int(Int64(record.ran)),
                .int(Int64(record.hits)), .int(Int64(record.failed)), .int(Int64(record.skipped)),
                .real(record.cpuSeconds), .int(record.madeBytes), .real(record.savedSeconds), .int(record.savedBytes),
            ])
        return try connection.int("SELECT last_insert_rowid()") ?? 0
    }

    static func insert(
        _ action: BuildAction, build: Int64, _ lineage: Int64, _ connection: inout Connection
    ) throws(ForgeError) {
        try connection.run(
            """
            INSERT INTO build_actions(lineage, name, build, position, key, outcome, start, seconds, cpu_seconds,
                max_memory, output_bytes, sources) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            """,
            [
                .int(lineage), .text(action.name), .int(build), .int(Int64(action.position)),
                action.key.map { .blob($0.stored) } ?? .null, .text(action.outcome.rawValue), .real(action.start),
                .real(action.seconds), .real(action.cpuSeconds), .int(action.maxMemory), .int(action.outputBytes),
                .text(action.sources.object?.isEmpty == false ? action.sources.description : ""),
            ])
    }

    /// Forgets builds beyond the newest `count`, oldest first, each with the rows that its successor replaces.
    static func forgetOldest(
        of recipe: String, keeping count: Int, _ connection: inout Connection
    ) throws(ForgeError) {
        var old: [(id: Int64, lineage: Int64)] = []
        try connection.rows(
            "SELECT id, lineage FROM builds WHERE recipe = ? ORDER BY id DESC LIMIT -1 OFFSET ?",
            [.text(recipe), .int(Int64(count))]
        ) { row throws(ForgeError) in
            old.append((row.int(0), row.int(1)))
            return true
        }
        for build in old.reversed() {
            try connection.run("DELETE FROM builds WHERE id = ?", [.int(build.id)])
            let next = try connection.int(
                "SELECT id FROM builds WHERE lineage = ? AND id > ? ORDER BY id LIMIT 1",
                [.int(build.lineage), .int(build.id)])
            if let next {
                try replaceRows(before: next, &connection)
            } else {
                try delete("lineage = ?", [.int(build.lineage)], &connection)
                try connection.run("DELETE FROM lineages WHERE id = ?", [.int(build.lineage)])
            }
        }
    }

    /// `next` is the oldest build of its lineage now: what it has rows for, no older row is needed for. A row without a
    /// key says nothing of keys, so it replaces only its like.
    private static func replaceRows(before next: Int64, _ connection: inout Connection) throws(ForgeError) {
        var rows: [(lineage: Int64, name: String, replaces: Bool)] = []
        try connection.rows(
            "SELECT lineage, name, key IS NOT NULL OR outcome = 'gone' FROM build_actions WHERE build = ?", [.int(next)]
        ) { row throws(ForgeError) in
            rows.append((row.int(0), row.text(1), row.int(2) != 0))
            return true
        }
        for row in rows {
            try delete(
                "lineage = ? AND name = ? AND build < ?" + (row.replaces ? "" : " AND key IS NULL"),
                [.int(row.lineage), .text(row.name), .int(next)], &connection)
        }
    }

    /// Deletes rows of actions, and the parts of keys that no row has any more.
    private static func delete(
        _ condition: String, _ values: [SQLValue], _ connection: inout Connection
    ) throws(ForgeError) {
        var keys: [[UInt8]] = []
        try connection.rows(
            "SELECT DISTINCT key FROM build_actions WHERE key IS NOT NULL AND \(condition)", values
        ) { row throws(ForgeError) in
            keys.append(row.blob(0))
            return true
        }
        try connection.run("DELETE FROM build_actions WHERE \(condition)", values)
        for key in keys {
            try connection.run(
                "DELETE FROM key_parts WHERE key = ?1 AND NOT EXISTS (SELECT 1 FROM build_actions WHERE key = ?1)",
                [.blob(key)])
        }
    }
}
