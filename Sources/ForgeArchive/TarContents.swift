import CArchive
package import ForgeBase
package import ForgeStore
import ForgeSystem
import Glibc

/// A tar archive put into an object store: a tree, and the names in the archive's own order.
package struct TarContents: Sendable {
    package let tree: Tree
    /// Every path that the archive names, in its order, the root as "". What the tree adds (parents that the archive
    /// does not name) is not here.
    package let order: [ByteString]

    /// Reads one member of an open file.
    /// - Parameters:
    ///   - archive: what errors call it.
    /// - Throws: `.verification`, naming archive, entry and cause, for everything that could write outside of the
    ///   tree or that no honest packer makes: absolute names, `..`, an entry below a link of the same archive, the same
    ///   name twice, sizes beyond `limits`.
    package init(
        descriptor: Int32, offset: Int64, count: Int64, archive: String, limits: Archive.Limits,
        into store: any ObjectStore
    ) throws {
        var reading = TarReading(archive: archive, limits: limits, store: store)
        let reader = try ArchiveReader(tarIn: descriptor, offset: offset, count: count, name: archive)
        while let entry = try reader.next() { try reading.add(entry, of: reader) }
        order = reading.order
        tree = try reading.tree()
    }
}

/// The state of one reading: entries so far by path.
private struct TarReading {
    let archive: String
    let limits: Archive.Limits
    let store: any ObjectStore
    var order: [ByteString] = []
    private var entries: [ByteString: TreeEntry] = [:]
    /// Paths that have an entry below them.
    private var parents: Set<ByteString> = []
    /// Paths of directories that only names below them tell of.
    private var implied: Set<ByteString> = []
    private var bytes: Int64 = 0
    private var headerBytes = 0

    init(archive: String, limits: Archive.Limits, store: any ObjectStore) {
        self.archive = archive
        self.limits = limits
        self.store = store
    }

    mutating func add(_ entry: OpaquePointer, of reader: ArchiveReader) throws {
        guard let raw = archive_entry_pathname(entry) else { throw fault(nil, "an entry has no readable name") }
        let path = try relative(ByteString(bytes(of: raw)))
        guard order.count < limits.entries else { throw fault(path, "more than \(limits.entries) entries") }
        if let old = entries[path], !(old.isDirectory && kindBits(entry) == S_IFDIR && old.path.bytes.isEmpty) {
            throw fault(path, "the name occurs twice")
        }
        try checkParents(of: path)
        try count(path, path.bytes.count)
        try addParents(of: path)
        let kind = try kind(of: entry, path: path, reader: reader)
        guard kind == .directory || !parents.contains(path) else {
            throw fault(path, "no directory, but the archive has entries below it")
        }
        let xattrs = attributes(of: entry)
        if case .symlink(let target) = kind { try count(path, target.bytes.count) }
        try count(path, xattrs.reduce(0) { $0 + $1.name.bytes.count + $1.value.count })
        let mode = UInt32(archive_entry_mode(entry)) & 0o7777
        guard let uid = id(archive_entry_uid(entry)), let gid = id(archive_entry_gid(entry)) else {
            throw fault(path, "its owner is no number below 2^32 - 1")
        }
        order.append(path)
        parents.insert(path.parent)
        entries[path] = TreeEntry(path, kind, mode: mode, uid: uid, gid: gid, xattrs: xattrs)
    }

    /// The finished tree: parents that the archive does not name are directories of root, mode 0755.
    func tree() throws -> Tree {
        var all = entries
        if all[""] == nil { all[""] = TreeEntry("", .directory, mode: 0o755) }
        for path in implied where all[path] == nil { all[path] = TreeEntry(path, .directory, mode: 0o755) }
        do throws(ForgeError) { return try Tree(all.values) } catch { throw fault(nil, error.message) }
    }

    private func fault(_ entry: ByteString?, _ cause: String) -> ForgeError {
        Archive.fault(archive, entry: entry, cause)
    }

    private func bytes(of text: UnsafePointer<CChar>) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: text, count: strlen(text))
    }

    private func id(_ number: Int64) -> UInt32? { number >= 0 && number < 0xFFFF_FFFF ? UInt32(number) : nil }

    private func kindBits(_ entry: OpaquePointer) -> mode_t { archive_entry_filetype(entry) & S_IFMT }

    /// A name as a path of the tree: `./` in front and `/` behind taken away.
    private func relative(_ name: ByteString) throws -> ByteString {
        guard name.bytes.count <= limits.nameBytes else { throw fault(nil, "a name of \(name.bytes.count) bytes") }
        guard name.bytes.first != UInt8(ascii: "/") else { throw fault(name, "its name is absolute") }
        let parts = name.bytes.split(separator: UInt8(ascii: "/")).filter { !$0.elementsEqual(".".utf8) }
        guard !parts.contains(where: { $0.elementsEqual("..".utf8) }) else {
            throw fault(name, "its name leads out of the archive (“..”)")
        }
        return ByteString(parts.joined(separator: [UInt8(ascii: "/")]))
    }

    /// A parent may be a directory or not named yet; anything else would make the entry land elsewhere.
    private func checkParents(of path: ByteString) throws {
        var parent = path.parent
        while !parent.bytes.isEmpty {
            if let above = entries[parent] {
                guard above.isDirectory else { throw fault(path, "it is below “\(parent)”, which is no directory") }
                return
            }
            parent = parent.parent
        }
    }

    /// Notes the parents that the archive has not named yet. One name can have two thousand.
    private mutating func addParents(of path: ByteString) throws {
        var parent = path.parent
        while !parent.bytes.isEmpty, entries[parent] == nil, implied.insert(parent).inserted {
            try count(path, parent.bytes.count)
            parent = parent.parent
        }
    }

    private mutating func count(_ path: ByteString, _ more: Int) throws {
        headerBytes += more
        guard headerBytes <= limits.headerBytes else {
            throw fault(path, "names and attributes of more than \(limits.headerBytes) bytes")
        }
    }

    private mutating func kind(
        of entry: OpaquePointer, path: ByteString, reader: ArchiveReader
    ) throws -> TreeEntry.Kind {
        if let link = archive_entry_hardlink(entry) {
            let text = ByteString(bytes(of: link))
            guard let target = try? relative(text) else {
                throw fault(path, "a hard link to “\(text)”, which leads out of the archive")
            }
            guard case .file(let digest)? = entries[target]?.kind else {
                throw fault(path, "a hard link to “\(target)”, which is no earlier file of the archive")
            }
            return .file(digest)
        }
        let device =
            UInt64(UInt32(truncatingIfNeeded: archive_entry_rdevmajor(entry))) << 32
            | UInt64(UInt32(truncatingIfNeeded: archive_entry_rdevminor(entry)))
        switch kindBits(entry) {
        case S_IFREG: return .file(try put(entry, path, reader))
        case S_IFDIR: return .directory
        case S_IFLNK:
            guard let text = archive_entry_symlink(entry), text.pointee != 0 else {
                throw fault(path, "a link to nothing")
            }
            let target = ByteString(bytes(of: text))
            guard target.bytes.count <= limits.nameBytes else { throw fault(path, "a link target that is too long") }
            return .symlink(target)
        case S_IFCHR: return .characterDevice(device)
        case S_IFBLK: return .blockDevice(device)
        case S_IFIFO: return .fifo
        default: throw fault(path, "its kind can't be in an image")
        }
    }

    /// Stores a file's bytes as they come.
    private mutating func put(_ entry: OpaquePointer, _ path: ByteString, _ reader: ArchiveReader) throws -> Digest {
        let size = archive_entry_size_is_set(entry) != 0 ? archive_entry_size(entry) : 0
        guard size >= 0, size <= limits.bytes - bytes else {
            throw fault(path, "\(size) bytes, where \(limits.bytes) are allowed for the archive")
        }
        bytes += size
        let digest: Digest
        if size <= 1 << 16 {
            var whole: [UInt8] = []
            whole.reserveCapacity(Int(size))
            try reader.each { whole.append(contentsOf: $0) }
            digest = try store.put(whole)
        } else {
            let writer = try store.writer()
            try reader.each { try writer.write($0) }
            digest = try writer.finish()
        }
        guard digest.size == size else { throw fault(path, "\(digest.size) bytes, \(size) announced") }
        return digest
    }

    private func attributes(of entry: OpaquePointer) -> [Xattr] {
        var found: [Xattr] = []
        archive_entry_xattr_reset(entry)
        var name: UnsafePointer<CChar>?
        var value: UnsafeRawPointer?
        var size = 0
        while archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK, let text = name {
            found.append(
                Xattr(
                    name: ByteString(bytes(of: text)), value: Array(UnsafeRawBufferPointer(start: value, count: size))))
        }
        return found
    }
}
