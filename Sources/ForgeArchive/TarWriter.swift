import CArchive
import ForgeBase
package import ForgeStore
import ForgeSystem
import Glibc

/// Writes a tree as a tar archive whose bytes depend on the tree, the time and the compression alone.
package enum TarWriter {
    /// How an archive is compressed; always on one thread, because the bytes of several differ from those of one.
    package enum Compression: Sendable, Equatable {
        case none
        /// Level 1 … 22.
        case zstd(level: Int)
        /// Level 0 … 9.
        case gzip(level: Int)
        /// Level 0 … 9.
        case xz(level: Int)
    }

    /// Writes the archive: entries in the order of the tree, numeric owners, every time `epoch` (seconds since 1970),
    /// extended attributes as `SCHILY.xattr.*`.
    /// - Parameters:
    ///   - path: a new file.
    ///   - progress: called with the bytes of files written so far.
    package static func write(
        _ tree: Tree, from store: any ObjectStore, to path: String, compression: Compression, epoch: Int64,
        progress: (Int64) -> Void = { _ in }
    ) throws {
        let output = try CompressedFile(path: path, compression: compression)
        var done: Int64 = 0
        for entry in tree.entries {
            try output.write(TarHeader.bytes(of: entry, time: epoch))
            guard case .file(let digest) = entry.kind else { continue }
            try output.write(contentsOf: digest, from: store)
            try output.write([UInt8](repeating: 0, count: TarHeader.padding(for: digest.size)))
            done += digest.size
            progress(done)
        }
        // Two empty blocks end a tar archive.
        try output.write([UInt8](repeating: 0, count: 1024))
        try output.finish()
    }
}

/// A file that is compressed as it is written.
private final class CompressedFile {
    private let handle: OpaquePointer
    private let path: String

    init(path: String, compression: TarWriter.Compression) throws(ForgeError) {
        guard let handle = archive_write_new() else { throw ForgeError(.bug, "libarchive has no memory") }
        self.handle = handle
        self.path = path
        archive_write_set_format_raw(handle)
        archive_write_set_bytes_in_last_block(handle, 1)
        var status = ARCHIVE_OK
        switch compression {
        case .none: status = archive_write_add_filter_none(handle)
        case .zstd(let level):
            status = archive_write_add_filter_zstd(handle)
            if status == ARCHIVE_OK { status = option("compression-level", level) }
        case .gzip(let level):
            status = archive_write_add_filter_gzip(handle)
            if status == ARCHIVE_OK { status = option("compression-level", level) }
            // Without a time in its header.
            if status == ARCHIVE_OK { status = archive_write_set_filter_option(handle, nil, "timestamp", nil) }
        case .xz(let level):
            status = archive_write_add_filter_xz(handle)
            if status == ARCHIVE_OK { status = option("compression-level", level) }
        }
        guard status == ARCHIVE_OK, archive_write_open_filename(handle, path) == ARCHIVE_OK else { throw failed() }
        let entry = archive_entry_new()
        defer { archive_entry_free(entry) }
        archive_entry_set_filetype(entry, UInt32(Glibc.S_IFREG))
        guard archive_write_header(handle, entry) == ARCHIVE_OK else { throw failed() }
    }

    deinit { archive_write_free(handle) }

    private func option(_ name: String, _ value: Int) -> Int32 {
        archive_write_set_filter_option(handle, nil, name, String(value))
    }

    private func failed() -> ForgeError {
        let code = archive_errno(handle)
        // libarchive's own words for a full disk are “Write error”. Its own codes are no errno.
        if code > 0, code < 4096 { return .system("cannot write \(path)", code: code) }
        let reason = archive_error_string(handle).map { String(cString: $0) } ?? "unknown fault"
        return ForgeError(.io, "cannot write \(path): \(reason)")
    }

    func write(_ bytes: [UInt8]) throws(ForgeError) {
        if bytes.isEmpty { return }
        let done = bytes.withUnsafeBytes { archive_write_data(handle, $0.baseAddress, $0.count) }
        guard done == bytes.count else { throw failed() }
    }

    /// Writes an object in pieces, whatever its size.
    func write(contentsOf digest: Digest, from store: any ObjectStore) throws {
        try store.each(digest) { piece in
            let done = archive_write_data(handle, piece.baseAddress, piece.count)
            guard done == piece.count else { throw failed() }
        }
    }

    func finish() throws(ForgeError) {
        guard archive_write_close(handle) == ARCHIVE_OK else { throw failed() }
    }
}
