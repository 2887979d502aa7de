/// A 64-bit checksum that goes with a row of the database, because SQLite would give back changed bytes without a word:
/// it tells what a disk has changed, not what somebody has forged. Some ten times faster than a digest, because a build
/// with nothing to do reads thousands of rows.
///
/// Every step is one-to-one in the word that it takes, so no change within one word of 8 bytes goes unseen.
struct RowSeal {
    private var state: UInt64 = 0x9e37_79b9_7f4a_7c15

    private mutating func mix(_ word: UInt64) {
        state = (state ^ word) &* 0xff51_afd7_ed55_8ccd
        state ^= state >> 32
    }

    /// Takes one column: its length, then its bytes.
    mutating func add(_ bytes: UnsafeRawBufferPointer) {
        mix(UInt64(bytes.count))
        var at = 0
        while at + 8 <= bytes.count {
            mix(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self)))
            at += 8
        }
        var last: UInt64 = 0
        while at < bytes.count {
            last = last << 8 | UInt64(bytes[at])
            at += 1
        }
        mix(last)
    }

    mutating func add(_ bytes: [UInt8]) { bytes.withUnsafeBytes { add($0) } }

    mutating func add(_ text: String) {
        var text = text
        text.withUTF8 { add(UnsafeRawBufferPointer($0)) }
    }

    var value: Int64 { Int64(bitPattern: state ^ (state >> 29)) }

    /// The seal of a row of `actions`.
    static func ofAction(_ key: [UInt8], _ result: UnsafeRawBufferPointer) -> Int64 {
        var seal = RowSeal()
        seal.add(key)
        seal.add(result)
        return seal.value
    }

    /// The seal of a row of `memo`.
    static func ofMemo(_ kind: String, _ key: [UInt8], _ value: [UInt8]) -> Int64 {
        var seal = RowSeal()
        seal.add(kind)
        seal.add(key)
        seal.add(value)
        return seal.value
    }

    /// The seal of a row of `files`.
    static func ofFile(_ path: String, _ identity: [UInt8], _ digest: [UInt8]) -> Int64 {
        var seal = RowSeal()
        seal.add(path)
        seal.add(identity)
        seal.add(digest)
        return seal.value
    }

    /// Tables whose rows have a seal, and the columns that it covers, in SQL.
    static let tables = [
        (name: "actions", columns: "key, result"), (name: "memo", columns: "kind, key, value"),
        (name: "files", columns: "path, identity, digest"),
    ]
}
