/// A name or path as the kernel sees it: bytes, in no particular encoding.
///
/// Swift's `String ==` is canonical equivalence ("é" composed and decomposed are equal), which file names are not.
package struct ByteString: Hashable, Sendable, Comparable, CustomStringConvertible, ExpressibleByStringLiteral {
    package var bytes: [UInt8]

    package init(_ bytes: some Sequence<UInt8>) { self.bytes = Array(bytes) }
    package init(_ text: String) { bytes = Array(text.utf8) }
    package init(stringLiteral text: String) { bytes = Array(text.utf8) }

    /// The bytes as text; what is not UTF-8 is replaced. For people, never for opening files.
    package var description: String { String(decoding: bytes, as: UTF8.self) }

    /// The path below a directory: `self/name`.
    package func appending(_ name: ByteString) -> ByteString {
        bytes.isEmpty ? name : ByteString(bytes + [UInt8(ascii: "/")] + name.bytes)
    }

    /// Order of bytes.
    package static func < (lhs: ByteString, rhs: ByteString) -> Bool {
        lhs.bytes.lexicographicallyPrecedes(rhs.bytes)
    }
}

extension String {
    /// Order of UTF-8 bytes, the same on every machine and in every locale.
    package func precedes(_ other: String) -> Bool { utf8.lexicographicallyPrecedes(other.utf8) }
}
