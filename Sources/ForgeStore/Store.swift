package import ForgeBase
package import ForgeSystem
import Glibc
import Synchronization

/// The cache on disk: objects, results of actions, build history and memos in one directory that any number of processes
/// may use at once. `cache/README.md` describes its layout.
///
/// Small objects are rows of `forge.db`, larger ones files. Rows are gathered in memory and written many at a time;
/// this process sees them at once, others after ``flush()``. Files are complete before they get their name. A result of
/// an action is committed only when all its objects are durable, so a killed process or machine leaves nothing wrong.
package final class Store: ObjectStore, ActionCache {
    /// Objects of at most this many bytes are rows of the database, where a read costs no open, and 15,000 files of
    /// a root file system cost a few transactions.
    package static let inlineLimit = 16 * 1024

    /// The cache directory.
    package let directory: String
    package let isReadOnly: Bool
    let database: Database
    let pending = Locked(Pending())
    let notices = Locked<[String]>([])
    private let scratch = Locked<ScratchDirectory?>(nil)
    private let names = Atomic<Int>(0)
    private let hook: (@Sendable (WritePoint) throws -> Void)?

    /// Moments between the steps of a write, where tests stop the process.
    package enum WritePoint: Sendable, CaseIterable {
        case objectWritten, objectNamed, rowsWritten, synced, actionCommitted
    }

    /// What waits to be written in one transaction.
    struct Pending: Sendable {
        struct Object: Sendable {
            var encoding: Encoding
            var bytes: [UInt8]
        }

        var objects: [Digest: Object] = [:]
        var bytes = 0
        var touched: Set<Digest> = []
        var files: [String: (identity: [UInt8], digest: Digest)] = [:]
        var memos: [MemoKey: [UInt8]] = [:]
        /// Whether object files were made since the last `syncfs`.
        var unsynced = false

        var isEmpty: Bool { objects.isEmpty && touched.isEmpty && files.isEmpty && memos.isEmpty }
    }

    enum Encoding: Int64, Sendable { case raw = 0, zstd = 1 }

    /// Opens a cache, and makes it if it is not there.
    /// - Parameters:
    ///   - readOnly: for looking only: nothing is made or changed, and a cache that is not there is an empty one.
    ///   - sweeping: also remove what killed processes have left. A child of the process that did need not.
    ///   - hook: for tests, called at every ``WritePoint``.
    package init(
        directory: String, readOnly: Bool = false, sweeping: Bool = true,
        hook: (@Sendable (WritePoint) throws -> Void)? = nil
    ) throws(ForgeError) {
        self.directory = directory
        isReadOnly = readOnly
        self.hook = hook
        if !readOnly { try Files.makeDirectories(directory) }
        database = try Database(directory + "/forge.db", schema: Schema.versions, readOnly: readOnly)
        if !readOnly, sweeping { ScratchDirectory.removeAbandoned(in: directory + "/tmp") }
    }

    deinit {
        // Objects without a committed action are worth little, but last uses and memos save work.
        if !isReadOnly { try? writeRows() }
    }

    func reached(_ point: WritePoint) throws { try hook?(point) }

    // MARK: Objects

    package func contains(_ digest: Digest) throws -> Bool {
        if digest.size > Store.inlineLimit, try fileSize(digest) == digest.size { return true }
        if pending.withLock({ $0.objects[digest] != nil }) { return true }
        return try database.use { connection throws(ForgeError) in
            try connection.int("SELECT size FROM objects WHERE hash = ?", [.blob(digest.hash)]) == digest.size
        }
    }

    /// The whole name of the object with a SHA-256, if it is there: not everybody who publishes one says the size.
    package func digest(ofSHA256 hex: String) throws -> Digest? {
        guard let nameless = Digest(hex: hex, size: 0) else { return nil }
        let hash = nameless.hash
        if let size = try fileSize(nameless) { return Digest(hash: hash, size: size) }
        if let known = pending.withLock({ $0.objects.keys.first { $0.hash == hash } }) { return known }
        return try database.use { connection throws(ForgeError) in
            try connection.int("SELECT size FROM objects WHERE hash = ?", [.blob(hash)])
        }.flatMap { Digest(hash: hash, size: $0) }
    }

    package func read(_ digest: Digest) throws -> [UInt8] {
        let (bytes, place) = try load(digest)
        guard bytes.count == digest.size else {
            throw StoreFault.damaged(digest, place, "it has \(bytes.count) bytes")
        }
        // Always: a digest costs less than the bytes' way from the disk, and wrong bytes may reach an artifact.
        if Digest.of(bytes) != digest { throw StoreFault.damaged(digest, place, "its bytes have another hash") }
        return bytes
    }

    package func each(_ digest: Digest, _ body: (UnsafeRawBufferPointer) throws -> Void) throws {
        guard let file = try open(digest) else {
            let bytes = try read(digest)
            return try bytes.withUnsafeBytes { piece in Result { try body(piece) } }.get()
        }
        var hasher = SHA256()
        try file.each { piece in
            hasher.update(piece)
            try body(piece)
        }
        guard hasher.finish() == digest else {
            throw StoreFault.damaged(digest, filePath(digest), "its bytes have another hash")
        }
    }

    /// The file of an object that is one, for reading; nil if the object is a row, or missing.
    private func open(_ digest: Digest) throws -> FileDescriptor? {
        guard let path = try path(of: digest) else { return nil }
        let file = try FileDescriptor(opening: path)
        let size = try file.status().size
        guard size == digest.size else { throw StoreFault.damaged(digest, path, "it has \(size) bytes") }
        return file
    }

    private func load(_ digest: Digest) throws(ForgeError) -> (bytes: [UInt8], place: String) {
        if digest.size > Store.inlineLimit {
            let path = filePath(digest)
            if let bytes = try Files.readIfPresent(path) { return (bytes, path) }
        }
        if let object = pending.withLock({ $0.objects[digest] }) {
            return (try decode(object.bytes, object.encoding, digest), database.path)
        }
        var found: (bytes: [UInt8], encoding: Int64)?
        found = try database.use { connection throws(ForgeError) in
            var found: (bytes: [UInt8], encoding: Int64)?
            try connection.rows("SELECT bytes, encoding FROM objects WHERE hash = ?", [.blob(digest.hash)]) {
                row throws(ForgeError) in
                found = (row.blob(0), row.int(1))
                return false
            }
            return found
        }
        guard let found else {
            throw StoreFault.missing(digest, in: digest.size > Store.inlineLimit ? filePath(digest) : database.path)
        }
        guard let encoding = Encoding(rawValue: found.encoding) else {
            throw StoreFault.damaged(digest, database.path, "its encoding \(found.encoding) is unknown")
        }
        return (try decode(found.bytes, encoding, digest), database.path)
    }

    func decode(_ bytes: [UInt8], _ encoding: Encoding, _ digest: Digest) throws(ForgeError) -> [UInt8] {
        guard encoding == .zstd else { return bytes }
        guard let plain = Zstd.decompress(bytes, count: Int(digest.size)) else {
            throw StoreFault.damaged(digest, database.path, "it can't be decompressed")
        }
        return plain
    }

    package func put(_ bytes: [UInt8]) throws -> Digest {
        if bytes.count > Store.inlineLimit {
            let writer = try writer()
            try writer.write(bytes)
            return try writer.finish()
        }
        let digest = Digest.of(bytes)
        try putRow(digest, Pending.Object(encoding: .raw, bytes: bytes))
        return digest
    }

    package func put(text bytes: [UInt8]) throws -> Digest {
        guard bytes.count > 1024 else { return try put(bytes) }
        let digest = Digest.of(bytes)
        if try contains(digest) { return digest }
        let packed = Zstd.compress(bytes)
        guard packed.count < bytes.count / 4 * 3 else { return try put(bytes) }
        try putRow(digest, Pending.Object(encoding: .zstd, bytes: packed))
        return digest
    }

    private func putRow(_ digest: Digest, _ object: Pending.Object) throws {
        try requireWriting()
        let full = pending.withLock { pending in
            if pending.objects.updateValue(object, forKey: digest) == nil { pending.bytes += object.bytes.count }
            return pending.bytes > 4 << 20 || pending.objects.count > 4096
        }
        if full { try writeRows() }
    }

    package func put(descriptor: borrowing FileDescriptor, label: String) throws -> Digest {
        do {
            if try descriptor.status().size <= Store.inlineLimit { return try put(descriptor.readAll()) }
            // Twice through the page cache is cheaper than writing what is there already.
            var hasher = SHA256()
            try descriptor.each { hasher.update($0) }
            let digest = hasher.finish()
            if try contains(digest) { return digest }
            try descriptor.seek(to: 0)
            let writer = try writer()
            try descriptor.each { try writer.write($0) }
            return try writer.finish()
        } catch let error as ForgeError {
            throw ForgeError(error.code, "\(error.message) (storing \(label))", remedy: error.remedy)
        }
    }

    package func adopt(file path: String, as digest: Digest) throws {
        try requireWriting()
        guard let status = try Files.status(path), status.kind == .file, status.size == digest.size else {
            throw ForgeError(.bug, "\(path) is no file of \(digest.size) bytes")
        }
        if digest.size <= Store.inlineLimit {
            try putRow(digest, Pending.Object(encoding: .raw, bytes: Files.read(path)))
            try Files.remove(path)
        } else if try contains(digest) {
            try Files.remove(path)
        } else {
            try name(path, digest)
        }
    }

    package func writer() throws -> ObjectWriter {
        try requireWriting()
        return ObjectWriter(limit: Store.inlineLimit, spill: { [self] in try temporaryPath() }) { [self] end in
            switch end {
            case .bytes(let bytes): return try put(bytes)
            case .file(let path, let digest):
                try reached(.objectWritten)
                if try fileSize(digest) == digest.size { try Files.remove(path) } else { try name(path, digest) }
                return digest
            }
        }
    }

    package func write(_ digest: Digest, to descriptor: borrowing FileDescriptor) throws {
        guard let file = try open(digest) else { return try descriptor.write(read(digest)) }
        try file.copy(to: descriptor)
        // What was just copied is in memory: hashing it costs 0.7 s of a core a gigabyte, and nothing from the disk.
        try file.seek(to: 0)
        var hasher = SHA256()
        try file.each { hasher.update($0) }
        guard hasher.finish() == digest else {
            throw StoreFault.damaged(digest, filePath(digest), "its bytes have another hash")
        }
    }

    package func path(of digest: Digest) throws -> String? {
        guard digest.size > Store.inlineLimit else { return nil }
        let path = filePath(digest)
        return Files.exists(path) ? path : nil
    }

    package func flush() throws {
        guard !isReadOnly else { return }
        try writeRows()
        try reached(.rowsWritten)
        let needed = pending.withLock { pending in
            defer { pending.unsynced = false }
            return pending.unsynced
        }
        if needed {
            do { try Directory(directory).syncFileSystem() } catch {
                pending.withLock { $0.unsynced = true }
                throw error
            }
        }
        try reached(.synced)
    }

    // MARK: Files of large objects

    /// `objects/ab/<62 hex digits>`.
    func filePath(_ digest: Digest) -> String {
        let hex = digest.hex
        return "\(directory)/objects/\(hex.prefix(2))/\(hex.dropFirst(2))"
    }

    private func fileSize(_ digest: Digest) throws(ForgeError) -> Int64? { try Files.status(filePath(digest))?.size }

    /// Gives a complete file its name as an object.
    private func name(_ path: String, _ digest: Digest) throws {
        let target = filePath(digest)
        guard chmod(path, 0o444) == 0 else { throw ForgeError.system("cannot make \(path) read-only") }
        if rename(path, target) != 0 {
            guard errno == ENOENT || errno == EXDEV else {
                throw ForgeError.system("cannot rename \(path) to \(target)")
            }
            if errno == EXDEV {
                // Rare: a download or output on another disk.
                _ = try put(file: path)
                return try Files.remove(path)
            }
            try Files.makeDirectories(Files.parent(of: target))
            try Files.move(path, to: target)
        }
        pending.withLock { $0.unsynced = true }
        try reached(.objectNamed)
    }

    /// A new path on the cache's own disk; what is left there when the process ends is removed later.
    private func temporaryPath() throws -> String {
        let folder = try scratch.withLock { scratch throws -> String in
            if let scratch { return scratch.path }
            let made = try makeScratch("store")
            scratch = made
            return made.path
        }
        return "\(folder)/\(names.wrappingAdd(1, ordering: .relaxed).newValue)"
    }

    /// A directory `tmp/<prefix>-…` that is removed with its last reference, or by a later process if this one dies.
    package func makeScratch(_ prefix: String) throws -> ScratchDirectory {
        try requireWriting()
        return try ScratchDirectory(in: directory + "/tmp", prefix: prefix)
    }

    func requireWriting() throws(ForgeError) {
        guard !isReadOnly else { throw ForgeError(.bug, "the cache \(directory) is open for reading only") }
    }

    // MARK: Rows

    /// Writes everything that waits, in one transaction.
    func writeRows() throws(ForgeError) {
        let batch = pending.withLock { $0 }
        guard !batch.isEmpty else { return }
        let now = Int64(time(nil))
        try database.transaction { connection throws(ForgeError) in
            // In order of the hashes, so that neighbours in the index are written together.
            for digest in batch.objects.keys.sorted() {
                guard let object = batch.objects[digest] else { continue }
                try connection.run(
                    "INSERT OR IGNORE INTO objects(hash, size, encoding, bytes) VALUES(?, ?, ?, ?)",
                    [
                        .blob(digest.hash), .int(digest.size), .int(object.encoding.rawValue), .blob(object.bytes),
                    ])
            }
            for key in batch.touched.sorted() {
                try connection.run(
                    "UPDATE actions SET last_used = ? WHERE key = ?", [.int(now), .blob(key.stored)])
            }
            for (path, value) in batch.files {
                let digest = value.digest.stored
                try connection.run(
                    "INSERT OR REPLACE INTO files(path, identity, digest, seal) VALUES(?, ?, ?, ?)",
                    [
                        .text(path), .blob(value.identity), .blob(digest),
                        .int(RowSeal.of(path, value.identity, digest)),
                    ])
            }
            for (key, value) in batch.memos {
                try connection.run(
                    "INSERT OR REPLACE INTO memo(kind, key, value, seal) VALUES(?, ?, ?, ?)",
                    [.text(key.kind), .blob(key.key), .blob(value), .int(RowSeal.of(key.kind, key.key, value))])
            }
        }
        pending.withLock { pending in
            for (digest, object) in batch.objects where pending.objects.removeValue(forKey: digest) != nil {
                pending.bytes -= object.bytes.count
            }
            pending.touched.subtract(batch.touched)
            for (path, value) in batch.files where pending.files[path].map({ $0 == value }) == true {
                pending.files[path] = nil
            }
            for (key, value) in batch.memos where pending.memos[key] == value { pending.memos[key] = nil }
        }
    }
}
