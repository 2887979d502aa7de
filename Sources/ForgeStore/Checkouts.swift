package import ForgeBase
import ForgeSystem
import Glibc

/// Trees laid out once as read-only directories, shared by every action that wants them: lower layers of sandboxes.
///
///     checkouts/<map>/<64 hex digits>/       the tree
///     checkouts/<map>/<64 hex digits>.done   complete; its bytes are the boot it was made in and the size of its files
///     checkouts/<map>/<64 hex digits>.lock   held shared by users, exclusively by who makes or removes it
package final class Checkouts: Sendable {
    /// A directory that stays as long as this value lives. Never write to it.
    package final class Checkout: Sendable {
        package let path: String
        private let lock: FileLock

        init(path: String, lock: consuming FileLock) {
            self.path = path
            self.lock = lock
        }
    }

    /// The time of every file: 2 January 1980. Not 0, which make(1) takes for unknown and zip(1) can't write.
    package static let time: Int64 = 315_619_200

    private let store: Store
    private let folder: String
    private let owner: OwnerPolicy

    /// - Parameter map: how uids of the tree become uids of the disk: `root` for the identity, `uid<N>` for the map of an
    ///   ordinary user. Directories of one map are of no use under another.
    package init(_ store: Store, map: String, owner: OwnerPolicy = .apply) throws(ForgeError) {
        self.store = store
        self.owner = owner
        folder = "\(store.directory)/checkouts/\(map)"
        try Files.makeDirectories(folder)
    }

    /// The directory of a tree, made if need be.
    package func open(_ tree: Digest, jobs: Int = 2) throws -> Checkout {
        let path = "\(folder)/\(tree.hex)"
        while true {
            let shared = try FileLock(path + ".lock", exclusive: false)
            if try Checkouts.isComplete(path) {
                // The time of the last use, for garbage collection.
                utimes(path + ".done", nil)
                return Checkout(path: path, lock: shared)
            }
            _ = consume shared
            let alone = try FileLock(path + ".lock")
            // Somebody may have made it meanwhile.
            if try !Checkouts.isComplete(path) { try make(tree, at: path, jobs: jobs) }
            _ = consume alone
            // Between the locks a collection may remove it again, hence the loop.
        }
    }

    private func make(_ digest: Digest, at path: String, jobs: Int) throws {
        let tree = try Tree.load(digest, from: store)
        try Files.remove(path + ".done")
        try Directory.remove(path)
        try Directory.remove(path + ".new")
        do {
            try TreeWriter.checkOut(
                tree, from: store, to: path + ".new", epoch: Checkouts.time, owner: owner, jobs: jobs)
        } catch {
            try? Directory.remove(path + ".new")
            throw error
        }
        try Files.move(path + ".new", to: path)
        // Without a sync, which would wait for all of the tree's files.
        try FileDescriptor(creating: path + ".new").write(Array("\(Checkouts.boot()) \(tree.size)\n".utf8))
        try Files.move(path + ".new", to: path + ".done")
    }

    /// Whether a directory is complete and was made since the machine started. Its files are never synced, because making
    /// it again after a crash costs less than waiting for the disk every time.
    static func isComplete(_ path: String) throws(ForgeError) -> Bool {
        guard let mark = try Files.readIfPresent(path + ".done") else { return false }
        return try String(decoding: mark, as: UTF8.self).hasPrefix(boot() + " ")
    }

    /// Names the machine's current run.
    private static func boot() throws(ForgeError) -> String {
        let id = try Files.readIfPresent("/proc/sys/kernel/random/boot_id") ?? []
        return String(decoding: id.prefix { $0 > 0x20 }, as: UTF8.self)
    }

    /// What lies in a cache, whatever the map.
    static func list(in cache: String) throws -> [Found] {
        let parent = cache + "/checkouts"
        guard Files.isDirectory(parent) else { return [] }
        var found: [Found] = []
        for map in try Files.list(parent) {
            let folder = "\(parent)/\(map)"
            for name in try Files.list(folder).map(\.description) where name.hasSuffix(".lock") {
                let path = "\(folder)/\(name.dropLast(5))"
                let mark = try Files.readIfPresent(path + ".done").map { String(decoding: $0, as: UTF8.self) } ?? ""
                let size = mark.split(separator: " ").last.flatMap { Int64($0.dropLast()) } ?? 0
                let used = try Files.status(path + ".done")?.identity.modified ?? 0
                found.append(Found(path: path, tree: String(name.dropLast(5)), size: size, used: used / 1_000_000_000))
            }
        }
        return found
    }

    /// A checked-out tree, complete or not.
    struct Found {
        var path: String
        /// Hex digits of the tree's digest.
        var tree: String
        /// Bytes of its files.
        var size: Int64
        /// Seconds since 1970; 0 if it is not complete.
        var used: Int64

        /// How a complete directory differs from its tree; nil if it does not, or if that can't be told: if nobody knows
        /// the tree any more, or if the files belong to the ids of another user.
        func fault(in store: Store) throws -> String? {
            guard used > 0, let lock = try FileLock.tryLock(path + ".lock", exclusive: false) else { return nil }
            let fault = try difference(in: store)
            _ = consume lock
            return fault
        }

        private func difference(in store: Store) throws -> String? {
            guard try Checkouts.isComplete(path), let hash = Hex.decode(tree) else { return nil }
            let size = try store.database.use { connection throws(ForgeError) in
                try connection.int("SELECT size FROM objects WHERE hash = ?", [.blob(hash)])
            }
            // A large manifest may be a file.
            let file = "\(store.directory)/objects/\(tree.prefix(2))/\(tree.dropFirst(2))"
            guard let digest = try (size ?? Files.status(file)?.size).flatMap({ Digest(hash: hash, size: $0) }),
                let wanted = try? Tree.load(digest, from: store),
                let found = try? TreeReader.ingest(directory: path, into: MemoryStore(keepsBytes: false))
            else { return nil }
            // Owners are mapped in the check-outs of ordinary users.
            func plain(_ tree: Tree) -> Tree {
                Tree(
                    checked: tree.entries.map { entry in
                        var entry = entry
                        (entry.uid, entry.gid) = (0, 0)
                        return entry
                    })
            }
            let changes = Tree.changes(from: plain(wanted), to: plain(found))
            guard let first = changes.first else { return nil }
            return "it differs from its tree: \(first)" + (changes.count > 1 ? " and \(changes.count - 1) more" : "")
        }

        /// Removes it unless somebody uses it.
        /// - Returns: whether it is gone.
        func remove() throws -> Bool {
            guard let lock = try FileLock.tryLock(path + ".lock") else { return false }
            try Files.remove(path + ".done")
            try Directory.remove(path)
            try Directory.remove(path + ".new")
            // The lock file stays: who opened it a moment ago must find the same one locked.
            _ = consume lock
            return true
        }
    }
}
