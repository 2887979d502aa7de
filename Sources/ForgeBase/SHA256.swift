import CCrypto

/// SHA-256 over bytes that come in pieces. libcrypto's code, because it uses the processor's SHA instructions.
package struct SHA256: ~Copyable {
    private let context: OpaquePointer?
    private var size: Int64 = 0

    package init() {
        context = EVP_MD_CTX_new()
        let ready = EVP_DigestInit_ex(context, EVP_sha256(), nil)
        precondition(ready == 1, "BUG: libcrypto has no SHA-256")
    }

    deinit { EVP_MD_CTX_free(context) }

    /// Adds bytes.
    package mutating func update(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count > 0 else { return }
        let done = EVP_DigestUpdate(context, bytes.baseAddress, bytes.count)
        precondition(done == 1, "BUG: SHA-256 update failed")
        size += Int64(bytes.count)
    }

    /// Adds bytes.
    package mutating func update(_ bytes: [UInt8]) { bytes.withUnsafeBytes { update($0) } }

    /// The digest of everything added.
    package consuming func finish() -> Digest {
        let hash = [UInt8](unsafeUninitializedCapacity: 32) { buffer, count in
            let done = EVP_DigestFinal_ex(context, buffer.baseAddress, nil)
            precondition(done == 1, "BUG: SHA-256 finish failed")
            count = 32
        }
        guard let digest = Digest(hash: hash, size: size) else { preconditionFailure("BUG: SHA-256 has 32 bytes") }
        return digest
    }
}
