/// Writes values so that different values never give the same bytes: a domain tag, then each field behind its length
/// (64-bit little-endian). Every key of forge is the SHA-256 of such bytes.
package struct CanonicalEncoder {
    package private(set) var bytes: [UInt8] = []

    /// `domain` says what is encoded and in which version of the format, for example `forge.action.1`.
    package init(domain: String) { add(domain) }

    package mutating func add(_ field: [UInt8]) {
        add(UInt64(field.count))
        bytes += field
    }

    package mutating func add(_ text: String) {
        add(UInt64(text.utf8.count))
        bytes += text.utf8
    }

    package mutating func add(_ digest: Digest) {
        add(digest.hash)
        add(UInt64(bitPattern: digest.size))
    }

    package mutating func add(_ number: UInt64) {
        withUnsafeBytes(of: number.littleEndian) { bytes.append(contentsOf: $0) }
    }

    package var digest: Digest { Digest.of(bytes) }
}
