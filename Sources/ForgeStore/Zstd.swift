import CZstd
import ForgeBase
import ForgeSystem
import Glibc

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

/// A Zstandard stream with a checksum, into a file.
final class ZstdFileWriter {
    private let file: FileDescriptor
    private let stream: OpaquePointer
    private let space = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 17, alignment: 16)

    init(_ path: String) throws(ForgeError) {
        guard let stream = ZSTD_createCCtx() else { throw ForgeError(.bug, "libzstd has no memory") }
        self.stream = stream
        do throws(ForgeError) { file = try FileDescriptor(creating: path, mode: 0o644) } catch {
            ZSTD_freeCCtx(stream)
            space.deallocate()
            throw error
        }
        // One thread: with more, the bytes would depend on their number.
        ZSTD_CCtx_setParameter(stream, ZSTD_c_compressionLevel, 3)
        ZSTD_CCtx_setParameter(stream, ZSTD_c_checksumFlag, 1)
    }

    deinit {
        ZSTD_freeCCtx(stream)
        space.deallocate()
    }

    func write(_ bytes: UnsafeRawBufferPointer) throws(ForgeError) { try push(bytes, ZSTD_e_continue) }

    func write(_ bytes: [UInt8]) throws(ForgeError) {
        let result: Result<Void, ForgeError> = bytes.withUnsafeBytes { piece in
            do throws(ForgeError) { return .success(try write(piece)) } catch { return .failure(error) }
        }
        try result.get()
    }

    /// Ends the stream and waits for the disk.
    func finish() throws(ForgeError) {
        try push(UnsafeRawBufferPointer(start: nil, count: 0), ZSTD_e_end)
        try file.sync()
    }

    private func push(_ bytes: UnsafeRawBufferPointer, _ end: ZSTD_EndDirective) throws(ForgeError) {
        var input = ZSTD_inBuffer(src: bytes.baseAddress, size: bytes.count, pos: 0)
        while true {
            var output = ZSTD_outBuffer(dst: space.baseAddress, size: space.count, pos: 0)
            let rest = ZSTD_compressStream2(stream, &output, &input, end)
            guard ZSTD_isError(rest) == 0 else { throw ForgeError(.bug, "libzstd can't compress") }
            try file.write(UnsafeRawBufferPointer(rebasing: space[..<output.pos]))
            if end == ZSTD_e_end ? rest == 0 : input.pos == input.size { return }
        }
    }
}

/// The bytes of a Zstandard file, in order.
final class ZstdFileReader {
    private let file: FileDescriptor
    private let stream: OpaquePointer
    private let compressed = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 17, alignment: 16)
    private let plain = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 16)
    private var input = ZSTD_inBuffer(src: nil, size: 0, pos: 0)
    /// Of `plain`, what was not given away yet.
    private var ready = 0..<0
    /// Whether a frame is complete.
    private var frameEnded = true

    enum Fault: Error { case cut, changed }

    init(_ path: String) throws(ForgeError) {
        guard let stream = ZSTD_createDCtx() else { throw ForgeError(.bug, "libzstd has no memory") }
        self.stream = stream
        do throws(ForgeError) { file = try FileDescriptor(opening: path) } catch {
            ZSTD_freeDCtx(stream)
            compressed.deallocate()
            plain.deallocate()
            throw error
        }
        input.src = UnsafeRawPointer(compressed.baseAddress)
    }

    deinit {
        ZSTD_freeDCtx(stream)
        compressed.deallocate()
        plain.deallocate()
    }

    /// At most `most` bytes, valid until the next call; none at the end.
    /// - Throws: ``Fault`` if the file is cut off or its checksum does not hold.
    func next(_ most: Int) throws -> UnsafeRawBufferPointer {
        while ready.isEmpty {
            if input.pos == input.size {
                var count: Int
                repeat {
                    count = read(file.raw, compressed.baseAddress, compressed.count)
                } while count < 0 && errno == EINTR
                guard count >= 0 else { throw ForgeError.system("cannot read") }
                if count == 0 {
                    if !frameEnded { throw Fault.cut }
                    return UnsafeRawBufferPointer(start: nil, count: 0)
                }
                (input.size, input.pos) = (count, 0)
            }
            var output = ZSTD_outBuffer(dst: plain.baseAddress, size: plain.count, pos: 0)
            let rest = ZSTD_decompressStream(stream, &output, &input)
            guard ZSTD_isError(rest) == 0 else { throw Fault.changed }
            frameEnded = rest == 0
            ready = 0..<output.pos
        }
        let count = min(most, ready.count)
        defer { ready = (ready.lowerBound + count)..<ready.upperBound }
        return UnsafeRawBufferPointer(rebasing: plain[ready.lowerBound..<(ready.lowerBound + count)])
    }
}
