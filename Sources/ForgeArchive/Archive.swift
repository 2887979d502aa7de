import CArchive
import ForgeBase
import ForgeSystem
import Glibc

/// Reading and writing of archives through libarchive: packages, tarballs, compressed streams.
package enum Archive {
    /// What an archive may ask for before it is called absurd.
    package struct Limits: Sendable {
        /// Entries of one archive.
        package var entries: Int
        /// Bytes of all files of one archive together, unpacked.
        package var bytes: Int64
        /// Bytes of one name or link target.
        package var nameBytes: Int
        /// Bytes of all names, link targets and attributes together, of parents that the archive does not name too: what
        /// is kept in memory, and packs a thousandfold.
        package var headerBytes: Int

        package init(
            entries: Int = 2_000_000, bytes: Int64 = 64 << 30, nameBytes: Int = 4095, headerBytes: Int = 256 << 20
        ) {
            self.entries = entries
            self.bytes = bytes
            self.nameBytes = nameBytes
            self.headerBytes = headerBytes
        }
    }

    /// The compressions that Debian uses, and no others: for some, libarchive would run a program that it finds in the
    /// search path (`lrzip`, `grzip`, `lzop`), by nothing but the first bytes of a file from the network.
    static func supportCompressions(_ reader: OpaquePointer) {
        archive_read_support_filter_gzip(reader)
        archive_read_support_filter_xz(reader)
        archive_read_support_filter_lzma(reader)
        archive_read_support_filter_bzip2(reader)
        archive_read_support_filter_zstd(reader)
        archive_read_support_filter_lz4(reader)
    }

    /// The error of an archive that can't be trusted: archive, entry, cause.
    static func fault(_ archive: String, entry: ByteString? = nil, _ cause: String) -> ForgeError {
        let place = entry.map { ": entry “\($0)”" } ?? ""
        return ForgeError(
            .verification, "\(archive)\(place): \(cause)",
            remedy: "fetch the file again; if it is the publisher's, report it to them and do not build with it")
    }
}

/// One range of an open file, given to libarchive piece by piece, so that no archive is ever whole in memory.
final class ArchiveReader {
    let handle: OpaquePointer
    let name: String
    private let source: Source

    /// What libarchive's callback reads from. A class, because C keeps its address.
    private final class Source {
        let descriptor: Int32
        var offset: Int64
        var rest: Int64
        let space = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 16)

        init(descriptor: Int32, offset: Int64, count: Int64) {
            self.descriptor = descriptor
            self.offset = offset
            rest = count
        }

        deinit { space.deallocate() }

        /// Bytes read into `space`; 0 at the end, -1 on failure.
        func fill() -> Int {
            let wanted = Int(min(rest, Int64(space.count)))
            if wanted == 0 { return 0 }
            var got: Int
            repeat { got = pread(descriptor, space.baseAddress, wanted, off_t(offset)) } while got < 0 && errno == EINTR
            if got > 0 {
                offset += Int64(got)
                rest -= Int64(got)
            }
            return got
        }
    }

    /// Opens `count` bytes of a file from `offset` as a tar archive in any compression that Debian uses.
    /// - Parameters:
    ///   - descriptor: an open file; must stay open while the reader lives.
    ///   - name: what errors call the archive.
    init(tarIn descriptor: Int32, offset: Int64, count: Int64, name: String) throws(ForgeError) {
        guard let handle = archive_read_new() else { throw ForgeError(.bug, "libarchive has no memory") }
        self.handle = handle
        self.name = name
        source = Source(descriptor: descriptor, offset: offset, count: count)
        Archive.supportCompressions(handle)
        archive_read_support_format_tar(handle)
        archive_read_support_format_empty(handle)
        // Names are bytes: never converted to or from the locale of whoever runs forge.
        archive_read_set_options(handle, "hdrcharset=BINARY")
        let status = archive_read_open(
            handle, Unmanaged.passUnretained(source).toOpaque(), nil,
            { _, context, buffer in
                guard let context, let buffer else { return -1 }
                let source = Unmanaged<Source>.fromOpaque(context).takeUnretainedValue()
                buffer.pointee = UnsafeRawPointer(source.space.baseAddress)
                return source.fill()
            }, nil)
        guard status == ARCHIVE_OK else { throw damaged() }
    }

    deinit { archive_read_free(handle) }

    /// The error that libarchive has just met.
    func damaged(_ entry: ByteString? = nil) -> ForgeError {
        let reason = archive_error_string(handle).map { String(cString: $0) } ?? "unknown fault"
        return Archive.fault(name, entry: entry, "damaged: \(reason)")
    }

    /// The next entry; nil at the end of the archive.
    func next() throws(ForgeError) -> OpaquePointer? {
        var entry: OpaquePointer?
        let status = archive_read_next_header(handle, &entry)
        if status == ARCHIVE_EOF { return nil }
        guard status == ARCHIVE_OK, let entry else { throw damaged() }
        return entry
    }

    /// Calls `body` with every piece of the current entry's bytes, in order; holes come as zeros.
    func each(_ body: (UnsafeRawBufferPointer) throws -> Void) throws {
        var position: Int64 = 0
        while true {
            var block: UnsafeRawPointer?
            var size = 0
            var offset: Int64 = 0
            let status = archive_read_data_block(handle, &block, &size, &offset)
            if status == ARCHIVE_EOF { return }
            guard status == ARCHIVE_OK else { throw damaged() }
            if offset > position { try zeros(offset - position, body) }
            guard offset >= position else { throw Archive.fault(name, "blocks of a file overlap") }
            try body(UnsafeRawBufferPointer(start: block, count: size))
            position = offset + Int64(size)
        }
    }

    private func zeros(_ count: Int64, _ body: (UnsafeRawBufferPointer) throws -> Void) throws {
        let piece = [UInt8](repeating: 0, count: 1 << 16)
        var rest = count
        while rest > 0 {
            let now = Int(min(rest, Int64(piece.count)))
            try piece.withUnsafeBytes { try body(UnsafeRawBufferPointer(rebasing: $0[..<now])) }
            rest -= Int64(now)
        }
    }
}
