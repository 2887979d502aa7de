import CCrypto

/// SHA-256 over bytes that come in pieces. libcrypto's code, because it uses the processor's SHA instructions.
package struct SHA256: ~Copyable {
    private var context = SHA256_CTX()
    private var size: Int64 = 0

    package init() { SHA256_Init(&context) }

    /// Adds bytes.
    package mutating func update(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count > 0 else { return }
        SHA256_Update(&context, bytes.baseAddress, bytes.count)
        size += Int64(bytes.count)
    }

    /// Adds bytes.
    package mutating func update(_ bytes: [UInt8]) { bytes.withUnsafeBytes { update($0) } }

    /// The digest of everything added.
    package consuming func finish() -> Digest {
        let hash = [UInt8](unsafeUninitializedCapacity: 32) { buffer, count in
            SHA256_Final(buffer.baseAddress, &context)
            count = 32
        }
        guard let digest = Digest(hash: hash, size: size) else { preconditionFailure("BUG: SHA-256 has 32 bytes") }
        return digest
    }
}
