package import ForgeBase
package import ForgeSystem
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
    /// Bytes of tool caches; nil for no limit. They count in none of the others, but for the age.
    package var maxToolSize: Int64?

    package init(
        maxSize: Int64? = nil, minFree: Int64? = nil, maxAge: Int64? = nil, maxToolSize: Int64? = nil
    ) {
        self.maxSize = maxSize
        self.minFree = minFree
        self.maxAge = maxAge
        self.maxToolSize = maxToolSize
    }

    /// Whether it sets no limit to results: then only those that nothing needs go.
    package var isEmpty: Bool { maxSize == nil && minFree == nil && maxAge == nil }
}

/// What garbage collection did.
package struct CollectionReport: Sendable, Equatable {
    package var actionsRemoved = 0
    package var objectsRemoved = 0
    package var checkoutsRemoved = 0
    /// Of tool caches; not among `bytesRemoved`.
    package var toolBytesRemoved: Int64 = 0
    package var bytesRemoved: Int64 = 0
    package var bytesKept: Int64 = 0
    /// Of the bytes kept, those of objects that pins keep, whatever the limits.
    package var bytesPinned: Int64 = 0
    /// Directories that this process may not remove (they belong to mapped users) or that are in use.
    package var left: [String] = []
}

/// Garbage collection: what no kept result and no pin needs goes, results unused for longest first.
extension Store {
    /// Held by everything that relies on objects it has seen: a running build, a shell in a sandbox.
    package func hold() throws -> StoreUse { try StoreUse(directory + "/gc.lock") }

    /// Keeps builds away from a cache while the lock lives.
    /// - Throws: `.io` if a build is running, and does not end within two seconds.
    package static func alone(in directory: String) throws(ForgeError) -> FileLock {
        guard let lock = try FileLock.tryLock(directory + "/gc.lock", patience: 2000) else {
            throw ForgeError(.io, "a build is using the cache \(directory)", remedy: "run this again when it is done")
        }
        return lock
    }

    /// Removes what the policy does not keep.
    /// - Throws: `.io` if a build is running.
    package func collect(_ policy: CollectionPolicy) throws -> CollectionReport {
        let alone = try Store.alone(in: directory)
        defer { withExtendedLifetime(alone) {} }
        return try collectAlone(policy)
    }

    /// Removes what the policy does not keep; nil, and nothing is removed, if a build is running.
    package func collectIfFree(_ policy: CollectionPolicy) throws -> CollectionReport? {
        guard let alone = try FileLock.tryLock(directory + "/gc.lock") else { return nil }
        defer { withExtendedLifetime(alone) {} }
        return try collectAlone(policy)
    }

    private func collectAlone(_ policy: CollectionPolicy) throws -> CollectionReport {
        try requireWriting()
        try flush()
        let now = Int64(time(nil))
        var report = CollectionReport()
        try dropPinsOfLostFiles()
        var limit = try sizeLimit(policy)
        let marked = try mark(policy, now: now, limit: &limit, &report)
        try sweepCheckouts(keeping: marked.trees, limit: max(0, limit), policy, now: now, &report)
        try sweepObjects(keeping: marked.objects, &report)
        try sweepLeftovers(now: now, maxAge: policy.maxAge ?? 30 * 86_400)
        report.toolBytesRemoved = try ToolCaches.trim(
            in: directory, to: policy.maxToolSize ?? .max, unusedSince: policy.maxAge.map { now - $0 } ?? .min)
        try database.use { connection throws(ForgeError) in
            try connection.script("PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(TRUNCATE)")
        }
        return report
    }

    /// Whether a collection by this policy would have work to do. Looks at sizes and times only.
    package func exceeds(_ policy: CollectionPolicy) throws -> Bool {
        if let minFree = policy.minFree, try Files.freeSpace(directory) < minFree { return true }
        if let maxAge = policy.maxAge {
            let oldest = try database.use { connection throws(ForgeError) in
                try connection.int("SELECT min(last_used) FROM actions")
            }
            if let oldest, Int64(time(nil)) - oldest > maxAge { return true }
        }
        guard let maxSize = policy.maxSize else { return false }
        return try statistics().bytes > maxSize
    }

    /// Bytes that may stay.
    private func sizeLimit(_ policy: CollectionPolicy) throws -> Int64 {
        var limit = policy.maxSize ?? .max
        if let minFree = policy.minFree {
            limit = min(limit, max(0, try statistics().bytes + Files.freeSpace(directory) - minFree))
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
        let pinned = try pinned()
        func keep(_ digest: Digest, _ kind: ActionResult.Output.Kind) throws {
            // A lock names packages that nobody may have fetched yet: they take no room.
            guard try contains(digest) else { return }
            for object in try closure(digest, kind) ?? [digest] where marked.objects.insert(object).inserted {
                limit -= object.size
            }
            if kind == .tree { marked.trees.insert(digest.hex) }
        }
        for (digest, kind) in pinned.objects { try keep(digest, kind) }
        let actions = try actionsByUse()
        for action in actions where pinned.actions.contains(action.key) {
            for output in action.outputs ?? [] { try keep(output.digest, output.kind) }
        }
        report.bytesPinned = marked.objects.reduce(0) { $0 + $1.size }
        var dead: [[UInt8]] = []
        var full = false
        for action in actions where !pinned.actions.contains(action.key) {
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

    private func sweepCheckouts(
        keeping trees: Set<String>, limit: Int64, _ policy: CollectionPolicy, now: Int64,
        _ report: inout CollectionReport
    ) throws {
        var rest = limit
        for found in try Checkouts.list(in: directory).sorted(by: { ($0.used, $0.tree) > ($1.used, $1.tree) }) {
            let tooOld = policy.maxAge.map { now - found.used > $0 } ?? false
            if trees.contains(found.tree), found.used > 0, !tooOld, found.size <= rest {
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
        for (folder, age) in [("logs", maxAge), ("partial", 7 * 86_400)] + NoteFile.folders {
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

    struct StoredAction: Sendable {
        /// As stored.
        var key: [UInt8]
        var used: Int64
        /// Nil if the row has changed.
        var outputs: [ActionResult.Output]?
    }

    /// All results, the last used first.
    func actionsByUse() throws -> [StoredAction] {
        try database.use { connection throws(ForgeError) in
            var actions: [StoredAction] = []
            try connection.rows(
                "SELECT key, last_used, result, seal FROM actions ORDER BY last_used DESC, key"
            ) { row throws(ForgeError) in
                let key = row.blob(0)
                let sound = row.withBlob(2) { RowSeal.of(key, $0) } == row.int(3)
                let json = sound ? try? JSON(parsing: row.text(2), file: "result") : nil
                let outputs = json.flatMap(ActionResult.init(json:))?.outputs
                actions.append(StoredAction(key: key, used: row.int(1), outputs: outputs))
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
