package import ForgeBase
import ForgeSystem

/// An object that comes in pieces. Nothing is stored until ``finish()``; a writer that is dropped leaves nothing.
/// For one thread at a time.
package final class ObjectWriter {
    enum End {
        case bytes([UInt8])
        /// A complete temporary file.
        case file(String, Digest)
    }

    private let limit: Int
    private let spill: () throws -> String
    private let store: (End) throws -> Digest
    private var hasher: SHA256? = SHA256()
    private var buffer: [UInt8] = []
    private var file: FileDescriptor?
    private var path: String?

    /// - Parameters:
    ///   - limit: bytes kept in memory; more go to a file.
    ///   - spill: a path for that file.
    ///   - store: stores the whole.
    init(limit: Int, spill: @escaping () throws -> String, store: @escaping (End) throws -> Digest) {
        self.limit = limit
        self.spill = spill
        self.store = store
    }

    deinit { if let path { try? Files.remove(path) } }

    /// Adds bytes.
    package func write(_ bytes: [UInt8]) throws {
        let result = bytes.withUnsafeBytes { piece in Result { try write(piece) } }
        try result.get()
    }

    /// Adds bytes.
    package func write(_ bytes: UnsafeRawBufferPointer) throws {
        if path == nil, buffer.count + bytes.count <= limit {
            buffer += bytes
            return
        }
        if path == nil {
            let path = try spill()
            file = try FileDescriptor(creating: path)
            self.path = path
            try append(buffer.withUnsafeBytes { Array($0) })
            buffer = []
        }
        hasher?.update(bytes)
        try file?.write(bytes)
    }

    private func append(_ bytes: [UInt8]) throws {
        hasher?.update(bytes)
        try file?.write(bytes)
    }

    /// Stores the object. The writer is of no use afterwards.
    /// - Parameter expected: what the bytes must be; nothing is stored of any others.
    /// - Throws: `.verification` if they are others.
    package func finish(as expected: Digest? = nil) throws -> Digest {
        guard let hasher = hasher.take() else { throw ForgeError(.bug, "an object was finished twice") }
        guard let path else {
            if let expected { try check(Digest.of(buffer), expected) }
            return try store(.bytes(buffer))
        }
        let digest = hasher.finish()
        if let expected { try check(digest, expected) }
        file = nil
        let stored = try store(.file(path, digest))
        self.path = nil
        return stored
    }

    private func check(_ digest: Digest, _ expected: Digest) throws(ForgeError) {
        if digest == expected { return }
        throw ForgeError(.verification, "object \(expected) has other bytes", details: ["they are \(digest)"])
    }
}
