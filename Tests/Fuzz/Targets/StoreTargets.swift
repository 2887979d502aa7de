import CSQLite
import ForgeArchive
import ForgeBase
import ForgeStore
import ForgeSystem
import Glibc

/// What fuzzing allows an archive: far less than a package may have, so that bombs are met early.
private let limits = Archive.Limits(entries: 2000, bytes: 4 << 20)

/// A package (`!<arch>`), or a tar archive and a compressed stream: what is taken is written and read again as the same.
func fuzzArchive(_ input: [UInt8]) throws {
    let file = try MemoryFile(input)
    let store = MemoryStore()
    if input.starts(with: "!<arch>".utf8) {
        let package = try Refusal().unless {
            try DebArchive(path: file.path, name: "f", limits: limits, into: store)
        }
        try require(package.map { $0.tree.size <= 4 << 20 } ?? true, "more bytes than allowed")
        return
    }
    let plain = try Refusal().unless { try Archive.decompress(input, limit: 1 << 20) }
    try require(plain.map { $0.count <= 1 << 20 } ?? true, "more bytes than allowed")
    func read(_ file: MemoryFile) throws -> TarContents {
        try TarContents(
            descriptor: file.descriptor, offset: 0, count: file.size, archive: "f", limits: limits, into: store)
    }
    guard let contents = try Refusal().unless({ try read(file) }) else { return }
    // A hard link is a second file of the same bytes.
    try require(contents.tree.size <= Int64(contents.order.count) * (4 << 20), "more bytes than allowed")
    try require(Set(contents.order).count <= contents.tree.entries.count, "names that are not in the tree")
    let copy = try MemoryFile([])
    try TarWriter.write(contents.tree, from: store, to: copy.path, compression: .none, epoch: 0)
    try require(try read(copy).tree == contents.tree, "written and read again it is another tree")
}

/// A file without a directory: archives are read from descriptors.
private final class MemoryFile {
    let descriptor: Int32
    var path: String { "/proc/self/fd/\(descriptor)" }

    init(_ bytes: [UInt8]) throws {
        var template = Array("\(RowBench.memory)/forge-fuzz-XXXXXX".utf8CString)
        descriptor = mkstemp(&template)
        guard descriptor >= 0, unlink(template) == 0 else { throw ForgeError.system("cannot make a file") }
        let done = bytes.withUnsafeBytes { pwrite(descriptor, $0.baseAddress, $0.count, 0) }
        guard done == bytes.count else { throw ForgeError.system("cannot write a file") }
    }

    deinit { close(descriptor) }

    var size: Int64 {
        var info = stat()
        return fstat(descriptor, &info) == 0 ? Int64(info.st_size) : 0
    }
}

/// A manifest: nothing is taken but what `encoded` writes.
func fuzzTree(_ input: [UInt8]) throws {
    var refusal = Refusal.of(input, file: "f")
    refusal.codes = [.io]
    guard let tree = try refusal.unless({ try Tree(parsing: input, file: "f") }) else { return }
    try require(tree.encoded() == input, "it is not what is written for this tree")
    try require(try Tree(tree.entries) == tree, "its entries make another tree")
    for entry in tree.entries { try require(tree[entry.path] == entry, "“\(entry.path)” is not found") }
}

/// Rows of the database, as a flipped bit or another program may leave them: the first byte says in which column the
/// rest stands. A damaged row is refused or counts as absent.
func fuzzRows(_ input: [UInt8]) throws {
    guard let table = input.first else { return }
    let value = Array(input.dropFirst())
    try RowBench.shared.get().lock.withLock { bench in try bench.put(value, table: table) }
}
