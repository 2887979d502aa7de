package import ForgeBase
package import ForgeSystem
import Glibc

/// What a memo is filed under.
struct MemoKey: Hashable, Sendable {
    var kind: String
    var key: [UInt8]
}

/// Results that can be had again by work: digests of unchanged files, and small values of any kind.
extension Store {
    /// A value remembered earlier, or nil.
    package func memo(_ kind: String, _ key: [UInt8]) throws -> [UInt8]? {
        if let value = pending.withLock({ $0.memos[MemoKey(kind: kind, key: key)] }) { return value }
        return try database.use { connection throws(ForgeError) in
            var value: [UInt8]?
            try connection.rows("SELECT value, seal FROM memo WHERE kind = ? AND key = ?", [.text(kind), .blob(key)]) {
                row throws(ForgeError) in
                let found = row.blob(0)
                // What is damaged can be had again.
                if RowSeal.of(kind, key, found) == row.int(1) { value = found }
                return false
            }
            return value
        }
    }

    /// Remembers a value; written with the next rows. Does nothing in a cache open for reading only.
    package func setMemo(_ kind: String, _ key: [UInt8], _ value: [UInt8]) {
        guard !isReadOnly else { return }
        pending.withLock { $0.memos[MemoKey(kind: kind, key: key)] = value }
    }

    /// The digest of a file of the host, read only if the file has changed since it was last asked for.
    package func digest(ofFile path: String) throws -> Digest {
        guard let status = try Files.status(path) else {
            throw ForgeError(.io, "there is no file \(path)")
        }
        if let known = try rememberedDigest(ofFile: path, status.identity) { return known }
        let file = try FileDescriptor(opening: path)
        let identity = try file.status().identity
        var hasher = SHA256()
        try file.each { hasher.update($0) }
        let digest = hasher.finish()
        // Changed while it was read: true of no moment, so not worth remembering.
        if try file.status().identity == identity { remember(digest, ofFile: path, identity) }
        return digest
    }

    /// The digest that a file had when it had this identity, or nil.
    package func rememberedDigest(ofFile path: String, _ identity: FileIdentity) throws -> Digest? {
        let wanted = identity.stored
        if let known = pending.withLock({ $0.files[path] }) { return known.identity == wanted ? known.digest : nil }
        return try database.use { connection throws(ForgeError) in
            var digest: Digest?
            try connection.rows(
                "SELECT digest, seal FROM files WHERE path = ? AND identity = ?", [.text(path), .blob(wanted)]
            ) { row throws(ForgeError) in
                let stored = row.blob(0)
                if RowSeal.of(path, wanted, stored) == row.int(1) { digest = Digest(stored: stored) }
                return false
            }
            return digest
        }
    }

    /// Remembers the digest of a file that had this identity before it was read; not of one that has not kept still.
    package func remember(_ digest: Digest, ofFile path: String, _ identity: FileIdentity) {
        guard !isReadOnly, identity.isSettled(at: SystemTime.now()) else { return }
        pending.withLock { $0.files[path] = (identity.stored, digest) }
    }
}

extension FileIdentity {
    /// Five 64-bit big-endian numbers.
    var stored: [UInt8] {
        [device, inode, UInt64(bitPattern: size), UInt64(bitPattern: modified), UInt64(bitPattern: changed)].flatMap {
            withUnsafeBytes(of: $0.bigEndian) { Array($0) }
        }
    }
}
