package import ForgeBase

/// One part of what an action's key was made of, as the engine names it.
package struct KeyPart: Sendable, Equatable {
    package var name: String
    package var value: String

    package init(name: String, value: String) {
        self.name = name
        self.value = value
    }
}

/// What a build did about one action.
package struct BuildAction: Sendable, Equatable {
    package enum Outcome: String, Sendable { case hit, ran, failed, skipped }

    package var name: String
    /// Nil if the action was skipped before its inputs were known.
    package var key: Digest?
    package var outcome: Outcome
    /// Wall time.
    package var seconds: Double

    package init(name: String, key: Digest?, outcome: Outcome, seconds: Double) {
        self.name = name
        self.key = key
        self.outcome = outcome
        self.seconds = seconds
    }
}

/// A build that is over.
package struct BuildRecord: Sendable, Equatable {
    /// Rising; 0 before it is recorded.
    package var id: Int64 = 0
    package var recipe: String
    package var cell: String
    /// Seconds since 1970.
    package var started: Int64
    /// Wall time.
    package var seconds: Double
    package var outcome: String
    package var details: JSON

    package init(
        recipe: String, cell: String, started: Int64, seconds: Double, outcome: String, details: JSON = .object([])
    ) {
        self.recipe = recipe
        self.cell = cell
        self.started = started
        self.seconds = seconds
        self.outcome = outcome
        self.details = details
    }
}

/// Build history: what `forge explain` compares with.
extension Store {
    /// Builds kept for each recipe.
    static let builds = 200

    /// Records a build and its actions, in their order, and forgets the oldest ones of the recipe.
    /// - Parameter parts: of the keys of actions that have one.
    /// - Returns: the number of the build.
    @discardableResult
    package func recordBuild(
        _ record: BuildRecord, actions: [BuildAction], parts: [Digest: [KeyPart]]
    ) throws -> Int64 {
        try requireWriting()
        return try database.transaction { connection throws(ForgeError) in
            try connection.run(
                "INSERT INTO builds(recipe, cell, started, seconds, outcome, details) VALUES(?, ?, ?, ?, ?, ?)",
                [
                    .text(record.recipe), .text(record.cell), .int(record.started), .real(record.seconds),
                    .text(record.outcome), .text(record.details.description),
                ])
            let id = try connection.int("SELECT last_insert_rowid()") ?? 0
            for (position, action) in actions.enumerated() {
                try connection.run(
                    "INSERT INTO build_actions(build, position, name, key, outcome, seconds) VALUES(?, ?, ?, ?, ?, ?)",
                    [
                        .int(id), .int(Int64(position)), .text(action.name),
                        action.key.map { .blob($0.stored) } ?? .null,
                        .text(action.outcome.rawValue), .real(action.seconds),
                    ])
                guard let key = action.key, let list = parts[key] else { continue }
                // One key is always made of the same parts, so builds share them.
                let json = JSON.array(list.map { .array([.string($0.name), .string($0.value)]) })
                try connection.run(
                    "INSERT OR IGNORE INTO key_parts(key, parts) VALUES(?, ?)",
                    [.blob(key.stored), .text(json.description)])
            }
            try connection.run(
                """
                DELETE FROM builds WHERE recipe = ?1 AND id <=
                    (SELECT id FROM builds WHERE recipe = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)
                """, [.text(record.recipe), .int(Int64(Store.builds))])
            if connection.changes > 0 {
                try connection.run(
                    "DELETE FROM key_parts WHERE key NOT IN (SELECT key FROM build_actions WHERE key IS NOT NULL)")
            }
            return id
        }
    }

    /// Builds, newest first.
    /// - Parameter recipe: of this recipe only.
    package func builds(recipe: String? = nil, limit: Int = 50) throws -> [BuildRecord] {
        let (database, filter) = (database, recipe.map { [SQLValue.text($0)] } ?? [])
        return try database.use { connection throws(ForgeError) in
            var records: [BuildRecord] = []
            try connection.rows(
                """
                SELECT id, recipe, cell, started, seconds, outcome, details FROM builds
                \(filter.isEmpty ? "" : "WHERE recipe = ?") ORDER BY id DESC LIMIT \(max(0, limit))
                """, filter
            ) { row throws(ForgeError) in
                var record = BuildRecord(
                    recipe: row.text(1), cell: row.text(2), started: row.int(3), seconds: row.real(4),
                    outcome: row.text(5),
                    details: try StoreFault.json(row.text(6), "\(database.path): build \(row.int(0))"))
                record.id = row.int(0)
                records.append(record)
                return true
            }
            return records
        }
    }

    /// The actions of a build, in their order.
    package func actions(ofBuild id: Int64) throws -> [BuildAction] {
        try database.use { connection throws(ForgeError) in
            var actions: [BuildAction] = []
            try connection.rows(
                "SELECT name, key, outcome, seconds FROM build_actions WHERE build = ? ORDER BY position", [.int(id)]
            ) { row throws(ForgeError) in
                let outcome = BuildAction.Outcome(rawValue: row.text(2)) ?? .skipped
                actions.append(
                    BuildAction(
                        name: row.text(0), key: Digest(stored: row.blob(1)), outcome: outcome, seconds: row.real(3)))
                return true
            }
            return actions
        }
    }

    /// What the key of an action was made of in the last build that made one.
    /// - Parameter before: only builds older than this one.
    package func keyParts(action name: String, before: Int64 = .max) throws -> (
        build: Int64, key: Digest, parts: [KeyPart]
    )? {
        let found = try database.use { connection throws(ForgeError) in
            var found: (build: Int64, key: [UInt8], parts: String)?
            try connection.rows(
                """
                SELECT build, key, parts FROM build_actions JOIN key_parts USING(key)
                WHERE name = ? AND build < ? ORDER BY build DESC LIMIT 1
                """, [.text(name), .int(before)]
            ) { row throws(ForgeError) in
                found = (row.int(0), row.blob(1), row.text(2))
                return false
            }
            return found
        }
        guard let found, let key = Digest(stored: found.key) else { return nil }
        return (found.build, key, try parts(found.parts))
    }

    /// What a key was made of, if a build recorded it.
    package func keyParts(of key: Digest) throws -> [KeyPart]? {
        let text = try database.use { connection throws(ForgeError) in
            var text: String?
            try connection.rows("SELECT parts FROM key_parts WHERE key = ?", [.blob(key.stored)]) {
                row throws(ForgeError) in
                text = row.text(0)
                return false
            }
            return text
        }
        return try text.map(parts)
    }

    private func parts(_ text: String) throws -> [KeyPart] {
        let json = try StoreFault.json(text, "\(database.path): the parts of a key")
        return (json.array ?? []).compactMap { item in
            guard let pair = item.array, pair.count == 2, let name = pair[0].string, let value = pair[1].string
            else { return nil }
            return KeyPart(name: name, value: value)
        }
    }
}
