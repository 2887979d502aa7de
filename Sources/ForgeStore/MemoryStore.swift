package import ForgeBase
package import ForgeSystem

/// A store that keeps everything in memory: for tests and dry runs.
package final class MemoryStore: ObjectStore, ActionCache {
    private struct State {
        var objects: [Digest: [UInt8]] = [:]
        var actions: [Digest: ActionResult] = [:]
    }

    private let state = Locked(State())

    private let keepsBytes: Bool

    /// - Parameter keepsBytes: false for a store that only computes digests, and can read nothing.
    package init(keepsBytes: Bool = true) { self.keepsBytes = keepsBytes }

    package func contains(_ digest: Digest) -> Bool { state.withLock { $0.objects[digest] != nil } }

    package func read(_ digest: Digest) throws -> [UInt8] {
        guard let bytes = state.withLock({ $0.objects[digest] }) else {
            throw StoreFault.missing(digest, in: "memory")
        }
        return bytes
    }

    package func each(_ digest: Digest, _ body: (UnsafeRawBufferPointer) throws -> Void) throws {
        let bytes = try read(digest)
        try bytes.withUnsafeBytes { piece in Result { try body(piece) } }.get()
    }

    package func put(_ bytes: [UInt8]) -> Digest {
        let digest = Digest.of(bytes)
        if keepsBytes { state.withLock { $0.objects[digest] = bytes } }
        return digest
    }

    package func put(text bytes: [UInt8]) -> Digest { put(bytes) }

    package func put(descriptor: borrowing FileDescriptor, label: String) throws -> Digest {
        if keepsBytes { return put(try descriptor.readAll()) }
        var hasher = SHA256()
        try descriptor.each { hasher.update($0) }
        return hasher.finish()
    }

    package func adopt(file path: String, as digest: Digest) throws {
        let bytes = try Files.read(path)
        state.withLock { $0.objects[digest] = bytes }
        try Files.remove(path)
    }

    package func writer() -> ObjectWriter {
        ObjectWriter(limit: .max, spill: { throw ForgeError(.bug, "memory has no files") }) { [self] end in
            guard case .bytes(let bytes) = end else { throw ForgeError(.bug, "memory has no files") }
            return put(bytes)
        }
    }

    package func write(_ digest: Digest, to descriptor: borrowing FileDescriptor) throws {
        try descriptor.write(read(digest))
    }

    package func path(of digest: Digest) -> String? { nil }

    package func flush() {}

    package func lookup(_ key: Digest) -> ActionResult? {
        state.withLock { state in
            guard let result = state.actions[key] else { return nil }
            return result.outputs.allSatisfy { state.objects[$0.digest] != nil } ? result : nil
        }
    }

    package func commit(_ key: Digest, _ result: ActionResult) { state.withLock { $0.actions[key] = result } }

    /// Removes an object, for tests of what is missing.
    package func remove(_ digest: Digest) { state.withLock { _ = $0.objects.removeValue(forKey: digest) } }
}
