import CArchive
package import ForgeBase

extension Archive {
    /// Unpacks one compressed stream (xz, gzip, zstd, bzip2, lz4, found by its first bytes; plain bytes stay as they are).
    /// - Parameters:
    ///   - limit: bytes that may come out at most, so that a small file can't fill the memory.
    ///   - name: what errors call the stream.
    /// - Throws: `ForgeError` `.verification` if the stream is damaged or larger than `limit`.
    package static func decompress(
        _ bytes: [UInt8], limit: Int64, name: String = "compressed data"
    ) throws(ForgeError) -> [UInt8] {
        if bytes.isEmpty { return [] }
        guard let reader = archive_read_new() else { throw ForgeError(.bug, "libarchive has no memory") }
        defer { archive_read_free(reader) }
        Archive.supportCompressions(reader)
        archive_read_support_format_raw(reader)
        let result: Result<[UInt8], ForgeError> = bytes.withUnsafeBytes { buffer in
            do throws(ForgeError) {
                return .success(try drain(reader, buffer, limit: limit, name: name))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    private static func drain(
        _ reader: OpaquePointer, _ input: UnsafeRawBufferPointer, limit: Int64, name: String
    ) throws(ForgeError) -> [UInt8] {
        func fault() -> ForgeError {
            let reason = archive_error_string(reader).map { String(cString: $0) } ?? "unknown fault"
            return ForgeError(.verification, "\(name) is damaged: \(reason)")
        }
        var entry: OpaquePointer?
        guard archive_read_open_memory(reader, input.baseAddress, input.count) == ARCHIVE_OK,
            archive_read_next_header(reader, &entry) == ARCHIVE_OK
        else { throw fault() }
        var out: [UInt8] = []
        out.reserveCapacity(Int(min(limit, 1 << 27)))
        while true {
            var block: UnsafeRawPointer?
            var size = 0
            var offset: Int64 = 0
            let status = archive_read_data_block(reader, &block, &size, &offset)
            if status == ARCHIVE_EOF { return out }
            guard status == ARCHIVE_OK else { throw fault() }
            guard Int64(out.count) + Int64(size) <= limit else {
                throw ForgeError(.verification, "\(name) unpacks to more than the \(limit) bytes expected")
            }
            out.append(contentsOf: UnsafeRawBufferPointer(start: block, count: size))
        }
    }
}
