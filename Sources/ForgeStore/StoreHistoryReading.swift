package import ForgeBase

/// A row of an action, with the build it is of.
package struct RecordedAction: Sendable, Equatable {
    package var build: Int64
    package var action: BuildAction
}

/// Build history, read.
extension Store {
    private static let buildColumns = """
        builds.id, builds.recipe, builds.cell, parameters, started, seconds, outcome, details, lineage, ran, hits, failed,
        skipped, cpu_seconds, made_bytes, saved_seconds, saved_bytes
        """
    private static let actionColumns = """
        name, position, key, outcome, start, seconds, cpu_seconds, max_memory, output_bytes
        """

    /// The lineage of builds with these parameters, if one was recorded.
    package func lineage(recipe: String, cell: String, parameters: String) throws -> Lineage? {
        try database.use { connection throws(ForgeError) in
            var found: Lineage?
            try connection.rows(
                "SELECT id, state FROM lineages WHERE recipe = ? AND cell = ? AND parameters = ?",
                [.text(recipe), .text(cell), .text(parameters)]
            ) { row throws(ForgeError) in
                found = Lineage(id: row.int(0), state: KeyState(stored: row.blob(1)))
                return false
            }
            return found
        }
    }

    /// Builds, newest first.
    /// - Parameters:
    ///   - recipe: of this recipe only.
    ///   - lineage: of this lineage only.
    ///   - before: older than this build only.
    package func builds(
        recipe: String? = nil, lineage: Int64? = nil, before: Int64 = .max, limit: Int = 50
    ) throws -> [BuildRecord] {
        var conditions = ["builds.id < ?"]
        var values = [SQLValue.int(before)]
        if let recipe {
            conditions.append("builds.recipe = ?")
            values.append(.text(recipe))
        }
        if let lineage {
            conditions.append("lineage = ?")
            values.append(.int(lineage))
        }
        return try builds(where: conditions.joined(separator: " AND "), values, limit: limit)
    }

    /// One build by its number.
    package func build(_ id: Int64) throws -> BuildRecord? {
        try builds(where: "builds.id = ?", [.int(id)], limit: 1).first
    }

    private func builds(where condition: String, _ values: [SQLValue], limit: Int) throws -> [BuildRecord] {
        let database = database
        return try database.use { connection throws(ForgeError) in
            var records: [BuildRecord] = []
            try connection.rows(
                """
                SELECT \(Store.buildColumns) FROM builds LEFT JOIN lineages ON lineages.id = lineage
                WHERE \(condition) ORDER BY builds.id DESC LIMIT \(max(0, limit))
                """, values
            ) { row throws(ForgeError) in
                var record = BuildRecord(
                    recipe: row.text(1), cell: row.text(2), parameters: row.text(3), started: row.int(4),
                    seconds: row.real(5), outcome: row.text(6),
                    details: try StoreFault.json(row.text(7), "\(database.path): build \(row.int(0))"))
                record.id = row.int(0)
                record.lineage = row.int(8)
                record.ran = Int(row.int(9))
                record.hits = Int(row.int(10))
                record.failed = Int(row.int(11))
                record.skipped = Int(row.int(12))
                record.cpuSeconds = row.real(13)
                record.madeBytes = row.int(14)
                record.savedSeconds = row.real(15)
                record.savedBytes = row.int(16)
                records.append(record)
                return true
            }
            return records
        }
    }

    /// The rows of a build, in the order of its plan: see ``recordBuild(_:actions:parts:state:)`` for which actions.
    package func actions(ofBuild id: Int64) throws -> [BuildAction] {
        try actions("build = ? ORDER BY position", [.int(id)]).map(\.action)
    }

    /// The newest row with a key of an action, up to a build.
    /// - Parameters:
    ///   - lineage: nil: of any.
    ///   - upTo: this build or an older one.
    package func newest(
        _ name: String, lineage: Int64?, upTo build: Int64 = .max
    ) throws -> RecordedAction? {
        if let lineage {
            return try actions(
                "lineage = ? AND name = ? AND build <= ? AND key IS NOT NULL ORDER BY build DESC LIMIT 1",
                [.int(lineage), .text(name), .int(build)]
            ).first
        }
        // By way of the lineages, of which there are few, because names alone have no index.
        return try actions(
            """
            lineage IN (SELECT id FROM lineages) AND name = ? AND build <= ? AND key IS NOT NULL
            ORDER BY build DESC LIMIT 1
            """, [.text(name), .int(build)]
        ).first
    }

    /// The rows of an action in a recipe's builds, newest first.
    package func actions(named name: String, recipe: String, limit: Int = 50) throws -> [RecordedAction] {
        try actions(
            """
            lineage IN (SELECT id FROM lineages WHERE recipe = ?) AND name = ? ORDER BY build DESC LIMIT \(max(0, limit))
            """, [.text(recipe), .text(name)])
    }

    /// The newest row with a key of every action that a build's plan had: the state that the build left. Also the newest
    /// row of those that were skipped before they had a key.
    /// - Parameter sources: with `sources` of each, which takes longer to read than all the rest.
    package func state(
        lineage: Int64, upTo build: Int64, sources: Bool = true
    ) throws -> [String: RecordedAction] {
        let rows = try actions(
            "lineage = ? AND build <= ? ORDER BY name, build", [.int(lineage), .int(build)], sources: sources)
        var state: [String: RecordedAction] = [:]
        for row in rows {
            if row.action.outcome == .gone {
                state[row.action.name] = nil
            } else if row.action.key != nil || state[row.action.name] == nil {
                state[row.action.name] = row
            }
        }
        return state
    }

    /// Every name that the state of a lineage has.
    package func names(lineage: Int64) throws -> Set<String> {
        Set(try state(lineage: lineage, upTo: .max, sources: false).keys)
    }

    /// Rows of actions that ran, of one recipe or of all, oldest first.
    package func ran(recipe: String?) throws -> [RecordedAction] {
        try actions(
            """
            outcome = 'ran' AND lineage IN (SELECT id FROM lineages \(recipe == nil ? "" : "WHERE recipe = ?"))
            ORDER BY build, position
            """, recipe.map { [.text($0)] } ?? [])
    }

    /// Bytes that the action with this key made, if a build recorded it.
    package func outputBytes(ofKey key: Digest) throws -> Int64? {
        try database.use { connection throws(ForgeError) in
            try connection.int(
                "SELECT output_bytes FROM build_actions WHERE key = ? AND output_bytes > 0 LIMIT 1",
                [.blob(key.stored)])
        }
    }

    private func actions(
        _ condition: String, _ values: [SQLValue], sources: Bool = true
    ) throws -> [RecordedAction] {
        let database = database
        return try database.use { connection throws(ForgeError) in
            var found: [RecordedAction] = []
            try connection.rows(
                """
                SELECT \(Store.actionColumns), \(sources ? "sources" : "''"), build
                FROM build_actions WHERE \(condition)
                """, values
            ) { row throws(ForgeError) in
                let sources = row.text(9)
                let action = BuildAction(
                    name: row.text(0), position: Int(row.int(1)), key: Digest(stored: row.blob(2)),
                    outcome: BuildAction.Outcome(rawValue: row.text(3)) ?? .skipped, start: row.real(4),
                    seconds: row.real(5), cpuSeconds: row.real(6), maxMemory: row.int(7), outputBytes: row.int(8),
                    sources: sources.isEmpty
                        ? .object([]) : try StoreFault.json(sources, "\(database.path): build \(row.int(10))"))
                found.append(RecordedAction(build: row.int(10), action: action))
                return true
            }
            return found
        }
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
        guard let text else { return nil }
        let json = try StoreFault.json(text, "\(database.path): the parts of a key")
        return (json.array ?? []).compactMap { item in
            guard let pair = item.array, pair.count == 2, let name = pair[0].string, let value = pair[1].string
            else { return nil }
            return KeyPart(name: name, value: value)
        }
    }
}
