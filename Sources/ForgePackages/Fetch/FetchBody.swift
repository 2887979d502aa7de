import ForgeBase
import ForgeSystem

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

/// An object under way, `partial/<hex>`: a prefix of the object's bytes, nothing else, so that it is worth something
/// whenever the process dies. The digest is computed on the way.
final class PartialFile: FetchBody {
    let digest: Digest
    /// Bytes that were there before this transfer. If the whole is wrong, they may be what is wrong.
    private(set) var inherited: Int64
    private(set) var count: Int64
    private let file: LockedFile
    private var hasher: SHA256? = SHA256()

    var exactSize: Int64? { digest.size }
    var limit: Int64 { digest.size }
    var isComplete: Bool { count == digest.size }
    var path: String { file.path }

    /// Takes over what is there of an object; nil if another process is at it.
    static func tryOpen(_ digest: Digest, in directory: String) throws(ForgeError) -> PartialFile? {
        guard let file = try LockedFile.tryOpen("\(directory)/\(digest.hex)") else { return nil }
        return try PartialFile(digest, file)
    }

    private init(_ digest: Digest, _ file: LockedFile) throws(ForgeError) {
        self.digest = digest
        self.file = file
        if try file.size() > digest.size { try file.clear() }
        var hasher = SHA256()
        var count: Int64 = 0
        try file.readAll { piece in
            hasher.update(piece)
            count += Int64(piece.count)
        }
        self.hasher = consume hasher
        self.count = count
        inherited = count
    }

    func append(_ bytes: UnsafeRawBufferPointer) throws(ForgeError) {
        hasher?.update(bytes)
        try file.append(bytes)
        count += Int64(bytes.count)
    }

    func restart() throws(ForgeError) {
        try file.clear()
        hasher = SHA256()
        count = 0
        inherited = 0
    }

    /// The digest of the bytes. Afterwards the file can only be adopted, restarted or removed.
    func finish() -> Digest? { hasher.take()?.finish() }

    func remove() throws(ForgeError) { try file.remove() }
}
