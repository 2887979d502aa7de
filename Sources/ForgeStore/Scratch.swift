package import ForgeBase
import ForgeSystem
import Glibc
import Synchronization

/// A directory for work under way. It is removed with its last reference; if the process is killed, the next process
/// that opens the cache finds its lock free and removes it.
package final class ScratchDirectory: Sendable {
    package let path: String
    private let lock: FileLock

    private static let counter = Atomic<Int>(0)

    /// Makes `<parent>/<prefix>-<process>-<number>` and `<the same>.lock`.
    package init(in parent: String, prefix: String) throws(ForgeError) {
        try Files.makeDirectories(parent)
        // Held so that nobody takes the new directory for abandoned before its lock is.
        let making = try FileLock(parent + "/.lock")
        defer { withExtendedLifetime(making) {} }
        while true {
            let number = ScratchDirectory.counter.wrappingAdd(1, ordering: .relaxed).newValue
            let path = "\(parent)/\(prefix)-\(getpid())-\(number)"
            // Process numbers repeat, also between namespaces.
            if Files.exists(path + ".lock") || Files.exists(path) { continue }
            self.path = path
            lock = try FileLock(path + ".lock")
            break
        }
        guard mkdir(path, 0o700) == 0 else { throw ForgeError.system("cannot make directory \(path)") }
    }

    deinit {
        // What can't be removed now (files of mapped users) is left for a process that can.
        if (try? Directory.remove(path)) != nil { unlink(path + ".lock") }
    }

    /// Removes the directories of processes that have died. Best effort: what this process may not remove stays.
    static func removeAbandoned(in parent: String) {
        guard Files.isDirectory(parent), let names = try? Files.list(parent) else { return }
        for name in names.map(\.description) where name.hasSuffix(".lock") && name != ".lock" {
            let path = parent + "/" + name.dropLast(5)
            guard let owned = lockAbandoned(parent, path) else { continue }
            if (try? Directory.remove(path)) != nil { unlink(path + ".lock") }
            withExtendedLifetime(owned) {}
        }
        removeUnlocked(names.map(\.description), in: parent)
    }

    /// Every directory here has a lock beside it. What has none, and is a day old, was left by a forge that knew none, or
    /// by a process that died between removing the one and the other.
    private static func removeUnlocked(_ names: [String], in parent: String) {
        let all = Set(names)
        for name in names where !name.hasSuffix(".lock") && !all.contains(name + ".lock") {
            guard let status = try? Files.status("\(parent)/\(name)"), let making = try? FileLock(parent + "/.lock")
            else { continue }
            let age = Int64(time(nil)) - status.identity.modified / 1_000_000_000
            if age > 86_400, !Files.exists("\(parent)/\(name).lock") { try? Directory.remove("\(parent)/\(name)") }
            withExtendedLifetime(making) {}
        }
    }

    private static func lockAbandoned(_ parent: String, _ path: String) -> FileLock? {
        guard let making = try? FileLock(parent + "/.lock") else { return nil }
        defer { withExtendedLifetime(making) {} }
        // The lock must exist: taking it would make it again.
        guard Files.exists(path + ".lock") else { return nil }
        return (try? FileLock.tryLock(path + ".lock")) ?? nil
    }
}
