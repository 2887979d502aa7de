import ForgeBase
import ForgeSystem

/// The container of an exported closure: a tar archive (POSIX ustar) in one Zstandard stream. Only what the writer makes is
/// read: plain files of mode 0444, owner 0, time 0.
enum ClosureFile {
    static let block = 512

    /// The header of a file.
    /// - Parameters:
    ///   - name: at most 100 bytes.
    ///   - size: in eleven octal digits up to 8 GiB, from there on as GNU tar writes it: 12 bytes, the first 0x80.
    static func header(_ name: String, size: Int64) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: block)
        func put(_ text: String, at offset: Int) {
            bytes.replaceSubrange(offset..<(offset + text.utf8.count), with: text.utf8)
        }
        func octal(_ number: Int64, _ digits: Int) -> String {
            let text = String(number, radix: 8)
            return String(repeating: "0", count: max(0, digits - text.utf8.count)) + text
        }
        put(name, at: 0)
        put("0000444", at: 100)
        put("0000000", at: 108)
        put("0000000", at: 116)
        if size < 1 << 33 {
            put(octal(size, 11), at: 124)
        } else {
            bytes[124] = 0x80
            for i in 0..<8 { bytes[128 + i] = UInt8(truncatingIfNeeded: size >> (56 - 8 * Int64(i))) }
        }
        put("00000000000", at: 136)
        put("        ", at: 148)
        put("0", at: 156)
        put("ustar", at: 257)
        put("00", at: 263)
        put(octal(bytes.reduce(0) { $0 + Int64($1) }, 6), at: 148)
        bytes[154] = 0
        return bytes
    }

    /// Name and size of a header; nil if ``header(_:size:)`` would not have written it.
    static func parse(_ bytes: [UInt8]) -> (name: String, size: Int64)? {
        let name = String(decoding: bytes[..<100].prefix { $0 != 0 }, as: UTF8.self)
        let field = bytes[124..<136]
        let size: Int64
        if field.first == 0x80 {
            size = Int64(truncatingIfNeeded: field.dropFirst(4).reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
        } else {
            size = Int64(String(decoding: field.dropLast(), as: UTF8.self), radix: 8) ?? -1
        }
        guard size >= 0, name.utf8.count <= 100, header(name, size: size) == bytes else { return nil }
        return (name, size)
    }

    /// Bytes that fill the last block of a file.
    static func padding(_ size: Int64) -> Int { Int((Int64(block) - size % Int64(block)) % Int64(block)) }
}

/// Files into a closure's archive.
final class ClosureWriter {
    private let out: ZstdFileWriter

    init(_ path: String) throws(ForgeError) { out = try ZstdFileWriter(path) }

    func add(_ name: String, _ bytes: [UInt8]) throws {
        try add(name, size: Int64(bytes.count)) { try $0(bytes.withUnsafeBytes { UnsafeRawBufferPointer($0) }) }
    }

    /// A file in pieces.
    func add(
        _ name: String, size: Int64, _ body: ((UnsafeRawBufferPointer) throws -> Void) throws -> Void
    ) throws {
        try out.write(ClosureFile.header(name, size: size))
        var written: Int64 = 0
        try body { piece in
            written += Int64(piece.count)
            try out.write(piece)
        }
        guard written == size else { throw ForgeError(.bug, "\(name) has \(written) bytes, not \(size)") }
        try out.write([UInt8](repeating: 0, count: ClosureFile.padding(size)))
    }

    func finish() throws {
        try out.write([UInt8](repeating: 0, count: 2 * ClosureFile.block))
        try out.finish()
    }
}

/// The files of a closure's archive, in order.
final class ClosureReader {
    private let input: ZstdFileReader
    private let path: String

    init(_ path: String) throws(ForgeError) {
        self.path = path
        input = try ZstdFileReader(path)
    }

    /// The next file, whose bytes must be read before the one behind it; nil at the end of the archive.
    func next() throws -> (name: String, size: Int64)? {
        let header = try read(ClosureFile.block)
        if header.allSatisfy({ $0 == 0 }) {
            guard try read(ClosureFile.block).allSatisfy({ $0 == 0 }), try piece(1).isEmpty else {
                throw fault("there is something behind its end")
            }
            return nil
        }
        guard let found = ClosureFile.parse(header) else { throw fault("it is no export of a cache") }
        return found
    }

    /// Calls `body` with every piece of the current file.
    func each(_ size: Int64, _ body: (UnsafeRawBufferPointer) throws -> Void) throws {
        var rest = size
        while rest > 0 {
            let piece = try piece(Int(min(rest, 1 << 18)))
            if piece.isEmpty { throw fault("it is cut off") }
            rest -= Int64(piece.count)
            try body(piece)
        }
        guard try read(ClosureFile.padding(size)).allSatisfy({ $0 == 0 }) else { throw fault("it was changed") }
    }

    /// The bytes of the current file, which must be short.
    func bytes(_ size: Int64) throws -> [UInt8] {
        guard size <= 64 << 20 else { throw fault("it was changed") }
        var out: [UInt8] = []
        try each(size) { out += $0 }
        return out
    }

    private func read(_ count: Int) throws -> [UInt8] {
        var out: [UInt8] = []
        while out.count < count {
            let piece = try piece(count - out.count)
            if piece.isEmpty { throw fault("it is cut off") }
            out += piece
        }
        return out
    }

    private func piece(_ most: Int) throws -> UnsafeRawBufferPointer {
        do {
            return try input.next(most)
        } catch let error as ZstdFileReader.Fault {
            throw fault(error == .cut ? "it is cut off" : "it was changed, or is no export of a cache")
        }
    }

    /// The error of a file that can't be taken in.
    func fault(_ why: String) -> ForgeError {
        ForgeError(
            .verification, "cannot import \(path): \(why)", details: ["no result was taken from it"],
            remedy: "copy it again, or make it again with `forge cache export`")
    }
}
