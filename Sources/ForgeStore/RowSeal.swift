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

    var value: Int64 { Int64(bitPattern: state ^ (state >> 29)) }

    /// The seal of a row: of the columns that ``tables`` names for it, in that order.
    static func of<each Column: SealedColumn>(_ columns: repeat each Column) -> Int64 {
        var seal = RowSeal()
        repeat (each columns).add(to: &seal)
        return seal.value
    }

    /// Tables whose rows have a seal, and the columns that it covers, in SQL.
    static let tables = [
        (name: "actions", columns: "key, result"), (name: "memo", columns: "kind, key, value"),
        (name: "files", columns: "path, identity, digest"),
    ]
}

/// A value of a column that a seal covers.
protocol SealedColumn {
    func add(to seal: inout RowSeal)
}

extension UnsafeRawBufferPointer: SealedColumn {
    func add(to seal: inout RowSeal) { seal.add(self) }
}

extension [UInt8]: SealedColumn {
    func add(to seal: inout RowSeal) { withUnsafeBytes { seal.add($0) } }
}

extension String: SealedColumn {
    func add(to seal: inout RowSeal) {
        var text = self
        text.withUTF8 { seal.add(UnsafeRawBufferPointer($0)) }
    }
}
