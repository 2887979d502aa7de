package import ForgeBase
package import ForgeStore
import ForgeSystem

/// A result that is the same in every process: a tree with a row and a file, and that file.
package struct Sample {
    package let number: Int

    package init(_ number: Int) { self.number = number }

    package var key: Digest { Digest.of("sample \(number)") }

    private static let known = Locked<[String: [UInt8]]>([:])

    /// Bytes that don't compress.
    package func bytes(_ name: String, _ count: Int) -> [UInt8] {
        let text = "\(name) \(number) \(count)"
        if let bytes = Sample.known.withLock({ $0[text] }) { return bytes }
        let bytes = make(name, count)
        Sample.known.withLock { $0[text] = bytes }
        return bytes
    }

    private func make(_ name: String, _ count: Int) -> [UInt8] {
        var out: [UInt8] = []
        var counter = 0
        while out.count < count {
            out += Digest.of("\(name) \(number) \(counter)").hash
            counter += 1
        }
        return Array(out.prefix(count))
    }

    package var large: [UInt8] { bytes("large", 20_000 + number) }
    package var small: [UInt8] { bytes("small", 200) }
    package var largeDigest: Digest { Digest.of(large) }
    package var smallDigest: Digest { Digest.of(small) }

    /// Makes it as a build does.
    /// - Returns: the tree.
    @discardableResult
    package func make(in store: Store) throws -> Digest {
        let (small, large) = (try store.put(small), try store.put(large))
        let tree = try Tree(
            Tree.empty.entries + [
                TreeEntry("large", .file(large), mode: 0o644), TreeEntry("small", .file(small), mode: 0o644),
            ])
        let digest = try tree.save(in: store)
        try store.commit(
            key,
            ActionResult(outputs: [
                .init(name: "t", kind: .tree, digest: digest), .init(name: "f", kind: .file, digest: large),
            ]))
        return digest
    }

    /// Reads everything of a result.
    package func check(_ result: ActionResult, in store: Store) throws {
        guard let tree = result.outputs.first?.digest else { throw ForgeError(.bug, "\(number) has no output") }
        let objects = try Tree.load(tree, from: store).objects
        guard objects.count == 2, try store.read(largeDigest) == large, try store.read(smallDigest) == small else {
            throw ForgeError(.bug, "\(number) has other bytes")
        }
    }
}
