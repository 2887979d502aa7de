package import ForgeBase

/// A short sum over the keys of all actions of a build: says whether two builds had the same keys, and if not, which of
/// them can differ, without reading a row for each.
///
/// Keys fall into 256 buckets by their first byte; a bucket is the sum of its keys' leading bits. Keys are SHA-256, so
/// two sets of keys with equal sums are the same set for every purpose but an attack, which history need not resist.
package struct KeyState: Equatable, Sendable {
    private var sums: [UInt64]

    package init() { sums = Array(repeating: 0, count: 256) }

    /// The state as it is stored; nil for anything else.
    init?(stored bytes: [UInt8]) {
        guard bytes.count == 2048 else { return nil }
        sums = stride(from: 0, to: 2048, by: 8).map { start in
            bytes[start..<start + 8].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        }
    }

    /// 256 64-bit big-endian numbers.
    var stored: [UInt8] { sums.flatMap { sum in withUnsafeBytes(of: sum.bigEndian) { Array($0) } } }

    package mutating func add(_ key: Digest) {
        let bits = key.leadingBits
        sums[Int(bits >> 56)] &+= bits
    }

    /// Whether a key may be one that the other build did not have.
    package func mayDiffer(_ key: Digest, from other: KeyState) -> Bool {
        let bucket = Int(key.leadingBits >> 56)
        return sums[bucket] != other.sums[bucket]
    }
}
