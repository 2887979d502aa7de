/// The name of some bytes: their SHA-256 and their size, as in the Remote Execution API.
package struct Digest: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// The 32 bytes of the SHA-256, as four big-endian words, so that comparing words compares bytes.
    private let a: UInt64
    private let b: UInt64
    private let c: UInt64
    private let d: UInt64
    /// Size of the named bytes, in bytes.
    package let size: Int64

    /// A digest from the 32 bytes of a SHA-256; nil if `hash` has another length.
    package init?(hash: some Collection<UInt8>, size: Int64) {
        guard hash.count == 32 else { return nil }
        var words: [UInt64] = [0, 0, 0, 0]
        for (i, byte) in hash.enumerated() { words[i / 8] = words[i / 8] << 8 | UInt64(byte) }
        (a, b, c, d) = (words[0], words[1], words[2], words[3])
        self.size = size
    }

    /// A digest from 64 lower-case hexadecimal digits; nil if `hex` is anything else.
    package init?(hex: some StringProtocol, size: Int64) { self.init(digits: Array(hex.utf8), size: size) }

    /// Not generic: a lock has hundreds of digests, and the no-op build reads them.
    private init?(digits: [UInt8], size: Int64) {
        guard digits.count == 64 else { return nil }
        var words: [UInt64] = [0, 0, 0, 0]
        for i in digits.indices {
            let digit = digits[i]
            let value: UInt8
            switch digit {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = digit - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): value = digit - UInt8(ascii: "a") + 10
            default: return nil
            }
            words[i / 16] = words[i / 16] << 4 | UInt64(value)
        }
        (a, b, c, d) = (words[0], words[1], words[2], words[3])
        self.size = size
    }

    /// A digest from its written form, `<64 hex digits>/<size>`.
    package init?(_ text: some StringProtocol) {
        guard let slash = text.firstIndex(of: "/"), let size = Int64(text[text.index(after: slash)...]), size >= 0
        else { return nil }
        self.init(hex: text[..<slash], size: size)
    }

    /// A digest from the bytes of its written form; nil for anything but what ``write(to:)`` gives. Not generic, because
    /// manifests hold tens of thousands.
    package init?(written field: ArraySlice<UInt8>) {
        guard field.count >= 66, field[field.startIndex + 64] == UInt8(ascii: "/") else { return nil }
        var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
        for i in 0..<64 {
            let value: UInt8
            switch field[field.startIndex + i] {
            case let digit where digit >= UInt8(ascii: "0") && digit <= UInt8(ascii: "9"):
                value = digit - UInt8(ascii: "0")
            case let digit where digit >= UInt8(ascii: "a") && digit <= UInt8(ascii: "f"):
                value = digit - UInt8(ascii: "a") + 10
            default: return nil
            }
            switch i >> 4 {
            case 0: words.0 = words.0 << 4 | UInt64(value)
            case 1: words.1 = words.1 << 4 | UInt64(value)
            case 2: words.2 = words.2 << 4 | UInt64(value)
            default: words.3 = words.3 << 4 | UInt64(value)
            }
        }
        let digits = field[(field.startIndex + 65)...]
        guard digits.count <= 18, digits.first != UInt8(ascii: "0") || digits.count == 1 else { return nil }
        var size: Int64 = 0
        for digit in digits {
            guard digit >= UInt8(ascii: "0"), digit <= UInt8(ascii: "9") else { return nil }
            size = size * 10 + Int64(digit - UInt8(ascii: "0"))
        }
        (a, b, c, d) = words
        self.size = size
    }

    /// Appends the written form, `<64 hex digits>/<size>`.
    package func write(to out: inout [UInt8]) {
        for word in [a, b, c, d] {
            for shift in stride(from: UInt64(60), through: 0, by: -4) {
                let nibble = UInt8(truncatingIfNeeded: word >> shift) & 15
                out.append(nibble < 10 ? UInt8(ascii: "0") + nibble : UInt8(ascii: "a") - 10 + nibble)
            }
        }
        out.append(UInt8(ascii: "/"))
        out += String(size).utf8
    }

    /// The 32 bytes of the SHA-256.
    package var hash: [UInt8] {
        [UInt8](unsafeUninitializedCapacity: 32) { space, count in
            for (i, word) in [a, b, c, d].enumerated() {
                for j in 0..<8 { space[8 * i + j] = UInt8(truncatingIfNeeded: word >> (56 - 8 * UInt64(j))) }
            }
            count = 32
        }
    }

    /// The first eight bytes of the SHA-256 as a big-endian number: for tables and sums, not a name.
    package var leadingBits: UInt64 { a }

    /// The SHA-256 as 64 lower-case hexadecimal digits.
    package var hex: String { String(description.prefix(64)) }

    /// The written form, `<64 hex digits>/<size>`.
    package var description: String {
        var out: [UInt8] = []
        out.reserveCapacity(80)
        write(to: &out)
        return String(decoding: out, as: UTF8.self)
    }

    /// Order by hash, then by size.
    package static func < (lhs: Digest, rhs: Digest) -> Bool {
        (lhs.a, lhs.b, lhs.c, lhs.d, lhs.size) < (rhs.a, rhs.b, rhs.c, rhs.d, rhs.size)
    }

    /// The digest of some bytes.
    package static func of(_ bytes: [UInt8]) -> Digest {
        bytes.withUnsafeBytes { of($0) }
    }

    /// The digest of some bytes.
    package static func of(_ bytes: UnsafeRawBufferPointer) -> Digest {
        var hasher = SHA256()
        hasher.update(bytes)
        return hasher.finish()
    }

    /// The digest of a text's UTF-8 bytes.
    package static func of(_ text: String) -> Digest { of(Array(text.utf8)) }
}

/// Lower-case hexadecimal.
package enum Hex {
    private static let digits = Array("0123456789abcdef".utf8)

    /// Two digits a byte.
    package static func encode(_ bytes: some Sequence<UInt8>) -> String {
        var out: [UInt8] = []
        for byte in bytes {
            out.append(digits[Int(byte >> 4)])
            out.append(digits[Int(byte & 15)])
        }
        return String(decoding: out, as: UTF8.self)
    }

    /// The bytes of an even number of digits, of either case; nil for anything else.
    package static func decode(_ text: some StringProtocol) -> [UInt8]? {
        let digits = Array(text.utf8)
        guard digits.count.isMultiple(of: 2) else { return nil }
        var out: [UInt8] = []
        out.reserveCapacity(digits.count / 2)
        for i in stride(from: 0, to: digits.count, by: 2) {
            guard let high = Character(Unicode.Scalar(digits[i])).hexDigitValue,
                let low = Character(Unicode.Scalar(digits[i + 1])).hexDigitValue
            else { return nil }
            out.append(UInt8(high << 4 | low))
        }
        return out
    }
}
