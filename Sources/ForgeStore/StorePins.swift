package import ForgeBase
import ForgeSystem

/// What a name keeps from being collected.
package struct PinSummary: Sendable, Equatable {
    package var name: String
    /// Results of actions.
    package var actions: Int
    /// Results among them that are not in the cache: a repair has dropped them, and no build has made them again.
    package var missingActions: Int
    /// Objects of the results and of the pin itself that are there.
    package var objects: Int
    /// Bytes of these objects.
    package var bytes: Int64
}

/// Pins: objects, and results with their outputs, that no limit of a collection touches.
///
/// What a lock or a recipe pins is named by the path of that file, others as people like, without a slash at the start.
extension Store {
    /// Keeps objects and results whatever the limits: what a lock names, or everything that a build needs.
    /// - Parameters:
    ///   - name: of the pin; what it pinned before is forgotten.
    ///   - objects: a tree pins its files too.
    ///   - actions: keys of results, which pin all their outputs.
    package func pin(
        _ name: String, _ objects: [(digest: Digest, kind: ActionResult.Output.Kind)], actions: [Digest] = []
    ) throws {
        try requireWriting()
        try flush()
        try database.transaction { connection throws(ForgeError) in
            try connection.run("DELETE FROM pins WHERE name = ?", [.text(name)])
            let sql = "INSERT OR REPLACE INTO pins(name, object, kind) VALUES(?, ?, ?)"
            for object in objects {
                try connection.run(sql, [.text(name), .blob(object.digest.stored), .text(object.kind.rawValue)])
            }
            for key in actions { try connection.run(sql, [.text(name), .blob(key.stored), .text(Store.actionKind)]) }
        }
    }

    /// What the column `kind` says of a pinned result.
    private static let actionKind = "action"

    /// Forgets a pin.
    /// - Returns: whether there was one.
    package func unpin(_ name: String) throws -> Bool {
        try requireWriting()
        return try database.transaction { connection throws(ForgeError) in
            try connection.run("DELETE FROM pins WHERE name = ?", [.text(name)])
            return connection.changes > 0
        }
    }

    /// Names of pins, in byte order.
    package func pins() throws -> [String] {
        try database.use { connection throws(ForgeError) in
            var names: [String] = []
            try connection.rows("SELECT DISTINCT name FROM pins ORDER BY name") { row throws(ForgeError) in
                names.append(row.text(0))
                return true
            }
            return names
        }
    }

    /// Every pin with what it keeps, in byte order of the names.
    package func pinSummaries() throws -> [PinSummary] {
        let actions = Dictionary(try actionsByUse().map { ($0.key, $0) }) { first, _ in first }
        return try pins().map { name in
            let pinned = try pinned(name)
            var summary = PinSummary(
                name: name, actions: pinned.actions.count, missingActions: 0, objects: 0, bytes: 0)
            var objects: Set<Digest> = []
            for (digest, kind) in pinned.objects { objects.formUnion(try closure(digest, kind) ?? []) }
            for key in pinned.actions {
                guard let outputs = actions[key]?.outputs else {
                    summary.missingActions += 1
                    continue
                }
                for output in outputs { objects.formUnion(try closure(output.digest, output.kind) ?? []) }
            }
            for object in objects where try contains(object) {
                summary.objects += 1
                summary.bytes += object.size
            }
            return summary
        }
    }

    struct Pinned: Sendable {
        var objects: [(Digest, ActionResult.Output.Kind)] = []
        /// Keys as stored.
        var actions: Set<[UInt8]> = []
    }

    /// What a pin keeps, or what all of them keep.
    func pinned(_ name: String? = nil) throws -> Pinned {
        try database.use { connection throws(ForgeError) in
            var pinned = Pinned()
            let filter = name == nil ? "" : " WHERE name = ?"
            try connection.rows("SELECT object, kind FROM pins\(filter)", name.map { [.text($0)] } ?? []) {
                row throws(ForgeError) in
                let (object, kind) = (row.blob(0), row.text(1))
                if kind == Store.actionKind {
                    pinned.actions.insert(object)
                } else if let digest = Digest(stored: object) {
                    pinned.objects.append((digest, ActionResult.Output.Kind(rawValue: kind) ?? .file))
                }
                return true
            }
            return pinned
        }
    }

    /// A lock or recipe pins as long as there is one: what a removed clone has pinned would stay for ever.
    func dropPinsOfLostFiles() throws {
        for name in try pins() where name.hasPrefix("/") && !Files.exists(name) { _ = try unpin(name) }
    }
}
