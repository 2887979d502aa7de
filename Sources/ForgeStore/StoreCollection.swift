package import ForgeBase
import ForgeSystem
import Glibc

/// Holds off garbage collection as long as it lives. Every build holds one; many can be held at once.
package final class StoreUse: Sendable {
    private let lock: FileLock

    init(_ path: String) throws(ForgeError) { lock = try FileLock(path, exclusive: false) }
}

/// What garbage collection keeps.
package struct CollectionPolicy: Sendable {
    /// Bytes of objects and checked-out trees together; nil for no limit.
    package var maxSize: Int64?
    /// Bytes to leave free on the disk; nil for no such wish.
    package var minFree: Int64?
    /// Results of actions that were not used for so many seconds go; nil keeps them.
    package var maxAge: Int64?

    package init(maxSize: Int64? = nil, minFree: Int64? = nil, maxAge: Int64? = nil) {
        self.maxSize = maxSize
        self.minFree = minFree
        self.maxAge = maxAge
    }
}

/// What garbage collection did.
package struct CollectionReport: Sendable, Equatable {
    package var actionsRemoved = 0
    package var objectsRemoved = 0
    package var checkoutsRemoved = 0
    package var bytesRemoved: Int64 = 0
    package var bytesKept: Int64 = 0
    /// Directories that this process may not remove (they belong to mapped users) or that are in use.
    package var left: [String] = []
}

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
}

/// Garbage collection: what no kept result and no pin needs goes, results unused for longest first.
extension Store {
    /// Held by everything that relies on objects it has seen: a running build, a shell in a sandbox.
    package func hold() throws -> StoreUse { try StoreUse(directory + "/gc.lock") }

    /// Keeps objects whatever happens to the results that need them: what a lock pins, for example.
    /// - Parameters:
    ///   - name: of the pin, such as `lock:recipes/node`; what it pinned before is forgotten.
    ///   - objects: a tree pins its files too.
    package func pin(_ name: String, _ objects: [(digest: Digest, kind: ActionResult.Output.Kind)]) throws {
        try requireWriting()
        try flush()
        try database.transaction { connection throws(ForgeError) in
            try connection.run("DELETE FROM pins WHERE name = ?", [.text(name)])
            for object in objects {
                try connection.run(
                    "INSERT OR REPLACE INTO pins(name, object, kind) VALUES(?, ?, ?)",
                    [.text(name), .blob(object.digest.stored), .text(object.kind.rawValue)])
            }
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
        return result
    }

    /// Removes what the policy does not keep.
    /// - Throws: `.io` if a build is running, unless `wait`.
    package func collect(_ policy: CollectionPolicy, wait: Bool = false) throws -> CollectionReport {
        try requireWriting()
        let path = directory + "/gc.lock"
        let alone = wait ? try FileLock(path) : try FileLock.tryLock(path)
        guard let alone else {
            throw ForgeError(.io, "a build is using the cache \(directory)", remedy: "run this again when it is done")
        }
        defer { withExtendedLifetime(alone) {} }
        try flush()
        let now = Int64(time(nil))
        var report = CollectionReport()
        var limit = try sizeLimit(policy)
        let marked = try mark(policy, now: now, limit: &limit, &report)
        try sweepCheckouts(keeping: marked.trees, limit: max(0, limit), &report)
        try sweepObjects(keeping: marked.objects, &report)
        try sweepLeftovers(now: now, maxAge: policy.maxAge ?? 30 * 86_400)
        try database.use { connection throws(ForgeError) in
            try connection.script("PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(TRUNCATE)")
        }
        return report
    }

    /// Bytes that may stay.
    private func sizeLimit(_ policy: CollectionPolicy) throws -> Int64 {
        var limit = policy.maxSize ?? .max
        if let minFree = policy.minFree {
            let statistics = try statistics()
            let used = statistics.rowBytes + statistics.fileBytes + statistics.checkoutBytes
            limit = min(limit, max(0, used + (try Files.freeSpace(directory)) - minFree))
        }
        return limit
    }

    private struct Marked {
        var objects: Set<Digest> = []
        /// Hex digits of trees.
        var trees: Set<String> = []
    }

    /// Finds what stays: pins, then results from the last used on, until `limit` is used up. Removes the other results.
    private func mark(
        _ policy: CollectionPolicy, now: Int64, limit: inout Int64, _ report: inout CollectionReport
    ) throws -> Marked {
        var marked = Marked()
        for (digest, kind) in try pinned() {
            for object in try closure(digest, kind) ?? [] where marked.objects.insert(object).inserted {
                limit -= object.size
            }
            if kind == .tree { marked.trees.insert(digest.hex) }
        }
        var dead: [[UInt8]] = []
        var full = false
        for action in try actionsByUse() {
            let tooOld = policy.maxAge.map { now - action.used > $0 } ?? false
            var needed: Set<Digest>? = []
            for output in action.outputs ?? [] {
                needed = try needed?.union(closure(output.digest, output.kind) ?? [output.digest])
            }
            let fresh = (needed ?? []).subtracting(marked.objects)
            let size = fresh.reduce(0) { $0 + $1.size }
            // Strictly by age: once one does not fit, no older one stays.
            if size > limit { full = true }
            guard let outputs = action.outputs, !tooOld, !full else {
                dead.append(action.key)
                continue
            }
            limit -= size
            marked.objects.formUnion(fresh)
            for output in outputs where output.kind == .tree { marked.trees.insert(output.digest.hex) }
        }
        report.actionsRemoved = dead.count
        report.bytesKept = marked.objects.reduce(0) { $0 + $1.size }
        let doomed = dead
        try database.transaction { connection throws(ForgeError) in
            for key in doomed { try connection.run("DELETE FROM actions WHERE key = ?", [.blob(key)]) }
        }
        return marked
    }

    private func sweepCheckouts(keeping trees: Set<String>, limit: Int64, _ report: inout CollectionReport) throws {
        var rest = limit
        for found in try Checkouts.list(in: directory).sorted(by: { ($0.used, $0.tree) > ($1.used, $1.tree) }) {
            if trees.contains(found.tree), found.used > 0, found.size <= rest {
                rest -= found.size
                report.bytesKept += found.size
                continue
            }
            if found.used == 0, !Files.exists(found.path), !Files.exists(found.path + ".new") { continue }
            if (try? found.remove()) == true {
                report.checkoutsRemoved += 1
                report.bytesRemoved += found.size
            } else {
                report.left.append(found.path)
            }
        }
    }

    private func sweepObjects(keeping live: Set<Digest>, _ report: inout CollectionReport) throws {
        let dead = try database.use { connection throws(ForgeError) in
            var dead: [(hash: [UInt8], size: Int64)] = []
            try connection.rows("SELECT hash, size, length(bytes) FROM objects") { row throws(ForgeError) in
                let hash = row.blob(0)
                let known = Digest(hash: hash, size: row.int(1)).map(live.contains) ?? false
                if !known { dead.append((hash, row.int(2))) }
                return true
            }
            return dead
        }
        try database.transaction { connection throws(ForgeError) in
            for object in dead { try connection.run("DELETE FROM objects WHERE hash = ?", [.blob(object.hash)]) }
        }
        report.objectsRemoved += dead.count
        report.bytesRemoved += dead.reduce(0) { $0 + $1.size }
        try eachObjectFile { path, size, digest in
            if let digest, live.contains(digest) { return }
            try Files.remove(path)
            report.objectsRemoved += 1
            report.bytesRemoved += size
        }
    }

    /// Old logs and downloads that were given up, and memos of files that are gone.
    private func sweepLeftovers(now: Int64, maxAge: Int64) throws {
        for (folder, age) in [("logs", maxAge), ("partial", 7 * 86_400)] {
            let folder = "\(directory)/\(folder)"
            guard Files.isDirectory(folder) else { continue }
            for name in try Files.list(folder) {
                let path = "\(folder)/\(name)"
                guard let status = try Files.status(path) else { continue }
                if now - status.identity.modified / 1_000_000_000 > age { try Files.remove(path) }
            }
        }
        try database.transaction { connection throws(ForgeError) in
            var gone: [String] = []
            try connection.rows("SELECT path FROM files") { row throws(ForgeError) in
                if !Files.exists(row.text(0)) { gone.append(row.text(0)) }
                return true
            }
            for path in gone { try connection.run("DELETE FROM files WHERE path = ?", [.text(path)]) }
        }
    }

    // MARK: What there is

    /// The object and, for a tree, its files; nil if the manifest can't be read.
    func closure(_ digest: Digest, _ kind: ActionResult.Output.Kind) throws -> Set<Digest>? {
        guard kind == .tree else { return [digest] }
        guard try contains(digest), let tree = try? Tree.load(digest, from: self) else { return nil }
        return Set(tree.objects).union([digest])
    }

    func pinned() throws -> [(Digest, ActionResult.Output.Kind)] {
        try database.use { connection throws(ForgeError) in
            var pins: [(Digest, ActionResult.Output.Kind)] = []
            try connection.rows("SELECT object, kind FROM pins") { row throws(ForgeError) in
                if let digest = Digest(stored: row.blob(0)) {
                    pins.append((digest, ActionResult.Output.Kind(rawValue: row.text(1)) ?? .file))
                }
                return true
            }
            return pins
        }
    }

    struct StoredAction: Sendable {
        /// As stored.
        var key: [UInt8]
        var used: Int64
        /// Nil if the row is damaged.
        var outputs: [ActionResult.Output]?
    }

    /// All results, the last used first.
    func actionsByUse() throws -> [StoredAction] {
        try database.use { connection throws(ForgeError) in
            var actions: [StoredAction] = []
            try connection.rows(
                "SELECT key, last_used, result FROM actions ORDER BY last_used DESC, key"
            ) { row throws(ForgeError) in
                let json = try? JSON(parsing: row.text(2), file: "result")
                let outputs = json.flatMap(ActionResult.init(json:))?.outputs
                actions.append(StoredAction(key: row.blob(0), used: row.int(1), outputs: outputs))
                return true
            }
            return actions
        }
    }

    /// Calls `body` with every file below `objects/`: path, size, and the digest that its name says, if it says one.
    func eachObjectFile(_ body: (String, Int64, Digest?) throws -> Void) throws {
        let parent = directory + "/objects"
        guard Files.isDirectory(parent) else { return }
        for prefix in try Files.list(parent) {
            let folder = "\(parent)/\(prefix)"
            for name in try Files.list(folder) {
                let path = "\(folder)/\(name)"
                guard let status = try Files.status(path) else { continue }
                try body(path, status.size, Digest(hex: "\(prefix)\(name)", size: status.size))
            }
        }
    }
}
