import CZstd

/// Zstandard for rows of the database; what images contain is compressed elsewhere.
enum Zstd {
    /// One frame at level 3.
    static func compress(_ bytes: [UInt8]) -> [UInt8] {
        let bound = ZSTD_compressBound(bytes.count)
        return [UInt8](unsafeUninitializedCapacity: bound) { space, count in
            let done = ZSTD_compress(space.baseAddress, bound, bytes, bytes.count, 3)
            precondition(ZSTD_isError(done) == 0, "BUG: ZSTD_compress failed with enough space")
            count = done
        }
    }

    /// The `count` bytes of a frame; nil if it is damaged or holds another number.
    static func decompress(_ frame: [UInt8], count: Int) -> [UInt8]? {
        // Before the space is taken, because the count may come from a damaged row.
        guard ZSTD_getFrameContentSize(frame, frame.count) == UInt64(count) else { return nil }
        var good = false
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { space, filled in
            let done = ZSTD_decompress(space.baseAddress, count, frame, frame.count)
            good = ZSTD_isError(done) == 0 && done == count
            filled = good ? count : 0
        }
        return good ? bytes : nil
    }
}
