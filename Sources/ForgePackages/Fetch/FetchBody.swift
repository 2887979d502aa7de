import ForgeBase
import ForgeSystem
import Glibc

/// Where the bytes of a transfer go.
protocol FetchBody: AnyObject {
    /// Bytes here so far.
    var count: Int64 { get }
    /// The number of bytes promised, if one was.
    var exactSize: Int64? { get }
    /// Never more than this many bytes.
    var limit: Int64 { get }
    /// Adds bytes; the caller keeps to the limit.
    func append(_ bytes: UnsafeRawBufferPointer) throws(ForgeError)
    /// Forgets every byte.
    func restart() throws(ForgeError)
}

/// A document of unknown digest, in memory.
final class MemoryBody: FetchBody {
    private(set) var bytes: [UInt8] = []
    let limit: Int64
    var count: Int64 { Int64(bytes.count) }
    var exactSize: Int64? { nil }

    init(limit: Int64) { self.limit = limit }

    func append(_ bytes: UnsafeRawBufferPointer) throws(ForgeError) { self.bytes.append(contentsOf: bytes) }

    func restart() throws(ForgeError) { bytes.removeAll() }
}

/// An answer of unknown digest, in a file that the caller removes.
final class FileBody: FetchBody {
    private let file: FileDescriptor
    private let path: String
    private(set) var count: Int64 = 0
    var limit: Int64 { .max }
    var exactSize: Int64? { nil }

    init(_ path: String) throws(ForgeError) {
        self.path = path
        file = try FileDescriptor(opening: path, flags: O_RDWR | O_CREAT | O_TRUNC)
    }

    func append(_ bytes: UnsafeRawBufferPointer) throws(ForgeError) {
        try file.write(bytes)
        count += Int64(bytes.count)
    }

    func restart() throws(ForgeError) {
        guard ftruncate(file.raw, 0) == 0, lseek(file.raw, 0, SEEK_SET) == 0 else {
            throw .system("cannot empty \(path)")
        }
        count = 0
    }
}

/// Bytes that are known before they are there: by their SHA-256, and by their size if somebody has said it.
struct ExpectedBytes {
    /// 64 small hexadecimal digits.
    let hex: String
    let size: Int64?

    init(hex: String, size: Int64?) {
        self.hex = hex
        self.size = size
    }

    init(_ digest: Digest) {
        hex = digest.hex
        size = digest.size
    }

    func matches(_ digest: Digest) -> Bool { digest.hex == hex && (size == nil || size == digest.size) }
}

/// An object under way, `partial/<hex>`: a prefix of the object's bytes, nothing else, so that it is worth something
/// whenever the process dies. The digest is computed on the way.
final class PartialFile: FetchBody {
    let expected: ExpectedBytes
    /// Bytes that were there before this transfer. If the whole is wrong, they may be what is wrong.
    private(set) var inherited: Int64
    private(set) var count: Int64
    private let file: LockedFile
    private var hasher: SHA256? = SHA256()
    /// Without a known size only the digest tells that what was there is the whole.
    private var wasWhole = false

    var exactSize: Int64? { expected.size }
    var limit: Int64 { expected.size ?? .max }
    var isComplete: Bool { expected.size.map { $0 == count } ?? wasWhole }
    var path: String { file.path }

    /// Takes over what is there of an object; nil if another process is at it.
    static func tryOpen(_ expected: ExpectedBytes, in directory: String) throws(ForgeError) -> PartialFile? {
        guard let file = try LockedFile.tryOpen("\(directory)/\(expected.hex)") else { return nil }
        return try PartialFile(expected, file)
    }

    private init(_ expected: ExpectedBytes, _ file: LockedFile) throws(ForgeError) {
        self.expected = expected
        self.file = file
        if let size = expected.size, try file.size() > size { try file.clear() }
        var hasher = SHA256()
        var second = SHA256()
        var count: Int64 = 0
        try file.readAll { piece in
            hasher.update(piece)
            if expected.size == nil { second.update(piece) }
            count += Int64(piece.count)
        }
        self.hasher = consume hasher
        self.count = count
        inherited = count
        if expected.size == nil, count > 0 { wasWhole = expected.matches(second.finish()) }
    }

    func append(_ bytes: UnsafeRawBufferPointer) throws(ForgeError) {
        hasher?.update(bytes)
        try file.append(bytes)
        count += Int64(bytes.count)
        wasWhole = false
    }

    func restart() throws(ForgeError) {
        try file.clear()
        hasher = SHA256()
        count = 0
        inherited = 0
        wasWhole = false
    }

    /// The digest of the bytes. Afterwards the file can only be adopted, restarted or removed.
    func finish() -> Digest? { hasher.take()?.finish() }

    func remove() throws(ForgeError) { try file.remove() }
}
