import ForgeBase
import ForgeSystem
import Glibc

/// A directory of the cache for one action, under a lock that dies with this process, so that the next forge knows which
/// directories nobody uses any more.
///
/// Files in it may belong to ids of an ordinary user's range, so a helper in the same kind of namespace removes them.
final class Scratch {
    let path: String
    private let lockPath: String
    private let helper: String
    private var lock: FileLock?

    /// A directory that is nobody else's.
    init(cache: String, name: String, helper: String) throws {
        let unique = "\(name)-\(getpid())"
        path = "\(cache)/tmp/\(unique)"
        lockPath = path + ".lock"
        self.helper = helper
        try Files.makeDirectories("\(cache)/tmp")
        // Held so that nobody takes the directory for abandoned before its lock is.
        let making = try FileLock("\(cache)/tmp/.lock")
        defer { withExtendedLifetime(making) {} }
        lock = try FileLock(lockPath)
        try Scratch.delete(path, helper: helper)
        try Files.makeDirectories(path)
    }

    private init(path: String, helper: String, lock: consuming FileLock) {
        self.path = path
        lockPath = path + ".lock"
        self.helper = helper
        self.lock = consume lock
    }

    /// The directory of an action, which one process at a time may have; nil while another has it.
    static func claim(cache: String, key: Digest, helper: String) throws -> Scratch? {
        try Files.makeDirectories("\(cache)/tmp")
        let path = "\(cache)/tmp/\(key.hex.prefix(16))"
        guard let lock = try FileLock.tryLock(path + ".lock") else { return nil }
        // Of a process that was killed.
        try delete(path, helper: helper)
        try Files.makeDirectories(path)
        return Scratch(path: path, helper: helper, lock: lock)
    }

    /// Removes the directory; the lock stays.
    func empty() throws { try Scratch.delete(path, helper: helper) }

    func remove() {
        // What can't be removed now is found by its lock later.
        if (try? empty()) != nil { unlink(lockPath) }
        lock = nil
    }

    /// Removes what killed processes have left.
    static func sweep(cache: String, helper: String) throws {
        let tmp = "\(cache)/tmp"
        guard Files.isDirectory(tmp) else { return }
        // `.lock` is the store's own: taken for a lock of nothing, it would stand for the whole of tmp/.
        for name in try Files.list(tmp).map(\.description) where name.hasSuffix(".lock") && name != ".lock" {
            guard let lock = try abandoned("\(tmp)/\(name)", below: tmp) else { continue }
            try delete("\(tmp)/\(name.dropLast(".lock".count))", helper: helper)
            unlink("\(tmp)/\(name)")
            _ = consume lock
        }
    }

    /// The lock of a directory that nobody uses; nil if somebody does, or if another sweep was faster.
    private static func abandoned(_ path: String, below tmp: String) throws -> FileLock? {
        let making = try FileLock("\(tmp)/.lock")
        defer { withExtendedLifetime(making) {} }
        // Trying a lock makes its file.
        guard Files.exists(path) else { return nil }
        return try FileLock.tryLock(path)
    }

    private static func delete(_ path: String, helper: String) throws {
        guard Files.exists(path) else { return }
        if (try? Files.remove(path)) != nil { return }
        _ = try Command(helper, ["remove", path], namespaces: .private(network: false)).outputOrThrow()
    }
}
