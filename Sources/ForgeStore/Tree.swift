package import ForgeBase

/// An extended attribute of a file or directory.
package struct Xattr: Sendable, Hashable {
    package var name: ByteString
    package var value: [UInt8]

    package init(name: ByteString, value: [UInt8]) {
        self.name = name
        self.value = value
    }
}

/// One name in a tree, with everything an image keeps of it. Times are not kept: every file has the epoch of the build.
package struct TreeEntry: Sendable, Hashable {
    package enum Kind: Sendable, Hashable {
        case directory
        /// Bytes in the object store.
        case file(Digest)
        /// The text of the link, not empty, without NUL.
        case symlink(ByteString)
        /// `major << 32 | minor`. 0:0 is a whiteout, see ``TreeEntry/whiteout(_:)``.
        case characterDevice(UInt64)
        /// `major << 32 | minor`.
        case blockDevice(UInt64)
        case fifo
    }

    /// Relative to the root of the tree, parts separated by one `/`; empty for the root itself.
    package var path: ByteString
    package var kind: Kind
    /// Permission bits with set-user-id, set-group-id and sticky: 12 bits. Always 0o777 for a link.
    package var mode: UInt32
    package var uid: UInt32
    package var gid: UInt32
    /// In byte order of their names, which are unique.
    package var xattrs: [Xattr]

    package init(
        _ path: ByteString, _ kind: Kind, mode: UInt32, uid: UInt32 = 0, gid: UInt32 = 0, xattrs: [Xattr] = []
    ) {
        self.path = path
        self.kind = kind
        if case .symlink = kind { self.mode = 0o777 } else { self.mode = mode }
        self.uid = uid
        self.gid = gid
        self.xattrs = xattrs.sorted { $0.name < $1.name }
    }

    /// A name that hides the same name in the layers below, as OverlayFS writes it: a character device 0:0.
    /// mksquashfs stores it like any device, and an unprivileged user namespace may make it, unlike other devices.
    package static func whiteout(_ path: ByteString) -> TreeEntry { TreeEntry(path, .characterDevice(0), mode: 0) }

    package var isWhiteout: Bool { kind == .characterDevice(0) }

    package var isDirectory: Bool { kind == .directory }

    /// The path of the directory that holds the entry; the root holds itself.
    package var parent: ByteString { path.parent }

    /// The last part of the path; empty for the root.
    package var name: ByteString { path.lastPart }
}

extension ByteString {
    /// The part of a relative path before its last `/`; empty if there is none.
    package var parent: ByteString {
        bytes.lastIndex(of: UInt8(ascii: "/")).map { ByteString(bytes[..<$0]) } ?? ByteString([])
    }

    /// The part of a relative path behind its last `/`.
    package var lastPart: ByteString {
        bytes.lastIndex(of: UInt8(ascii: "/")).map { ByteString(bytes[($0 + 1)...]) } ?? self
    }

    /// Whether a path is `directory` or below it; everything is below the root, "".
    package func isBelow(_ directory: ByteString) -> Bool {
        if directory.bytes.isEmpty || bytes == directory.bytes { return true }
        return bytes.count > directory.bytes.count && bytes[directory.bytes.count] == UInt8(ascii: "/")
            && bytes.starts(with: directory.bytes)
    }
}

/// A directory as a value: entries sorted by the bytes of their paths, unique, the root first, every parent a directory
/// that is present. Two names of one file (hard links) are two files with one digest.
package struct Tree: Sendable, Equatable {
    package let entries: [TreeEntry]

    /// A root directory of mode 0755 owned by root, and nothing in it.
    package static let empty = Tree(checked: [TreeEntry("", .directory, mode: 0o755)])

    init(checked entries: [TreeEntry]) { self.entries = entries }

    /// A tree of entries in any order.
    /// - Throws: if a path is not allowed, occurs twice, or lacks its parent directory.
    package init(_ entries: some Sequence<TreeEntry>) throws(ForgeError) {
        let sorted = entries.sorted { $0.path < $1.path }
        var check = TreeCheck()
        for entry in sorted {
            if let fault = check.add(entry) {
                throw ForgeError(.badInput, "a tree can't hold “\(TreeFormat.text(entry.path))”: \(fault)")
            }
        }
        if let fault = check.finish() { throw ForgeError(.badInput, "not a tree: \(fault)") }
        self.entries = sorted
    }

    /// The entry of a path, found by bisection.
    package subscript(path: ByteString) -> TreeEntry? {
        var (low, high) = (0, entries.count)
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].path < path { low = middle + 1 } else { high = middle }
        }
        return low < entries.count && entries[low].path == path ? entries[low] : nil
    }

    /// Bytes in all files together, a digest that occurs twice counted twice.
    package var size: Int64 {
        entries.reduce(0) { if case .file(let digest) = $1.kind { $0 + digest.size } else { $0 } }
    }

    /// Digests of all files, in byte order of the hashes, each once.
    package var objects: [Digest] {
        var seen: Set<Digest> = []
        for entry in entries { if case .file(let digest) = entry.kind { seen.insert(digest) } }
        return seen.sorted()
    }

    /// Stores the manifest (not the files) and gives its digest, which names the tree.
    package func save(in store: any ObjectStore) throws -> Digest { try store.put(text: encoded()) }

    /// The tree whose manifest has a digest.
    package static func load(_ digest: Digest, from store: any ObjectStore) throws -> Tree {
        let bytes = try store.read(digest)
        do throws(ForgeError) {
            return try Tree(parsing: bytes, file: "tree \(digest.hex)")
        } catch {
            var error = error
            if Digest.of(bytes) != digest { error.remedy = StoreFault.repair }
            throw error
        }
    }
}

/// The rules every tree keeps, checked entry by entry in sorted order.
struct TreeCheck {
    private var last: ByteString?
    private var directories: Set<ByteString> = []

    /// Takes the next entry; what is wrong with it, or nil.
    mutating func add(_ entry: TreeEntry) -> String? {
        let path = entry.path
        guard let previous = last else {
            guard path.bytes.isEmpty, entry.isDirectory else { return "the first entry must be the root directory" }
            directories.insert(path)
            last = path
            return TreeCheck.fault(inAttributesOf: entry)
        }
        if path == previous { return "the path occurs twice" }
        if path < previous { return "paths are not in byte order" }
        last = path
        if let fault = TreeCheck.fault(inPath: path) { return fault }
        guard directories.contains(path.parent) else { return "its parent is missing or no directory" }
        if entry.isDirectory { directories.insert(path) }
        return TreeCheck.fault(inAttributesOf: entry)
    }

    /// What is wrong with the whole, or nil.
    func finish() -> String? { last == nil ? "there is no root directory" : nil }

    /// What is wrong with a relative path, or nil.
    static func fault(inPath path: ByteString) -> String? {
        for part in path.bytes.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false) {
            if part.isEmpty { return "a path is relative, without empty parts" }
            if part.elementsEqual(".".utf8) || part.elementsEqual("..".utf8) { return "“.” and “..” are no names" }
            if part.contains(0) { return "a name can't contain a NUL byte" }
            if part.count > 255 { return "a name has at most 255 bytes" }
        }
        return nil
    }

    private static func fault(inAttributesOf entry: TreeEntry) -> String? {
        if entry.mode > 0o7777 { return "a mode has 12 bits" }
        if case .symlink(let target) = entry.kind {
            if target.bytes.isEmpty || target.bytes.contains(0) { return "a link needs a target without NUL bytes" }
            if entry.mode != 0o777 { return "the mode of a link is 0777" }
        }
        for (i, xattr) in entry.xattrs.enumerated() {
            if xattr.name.bytes.isEmpty || xattr.name.bytes.contains(0) { return "an extended attribute needs a name" }
            if i > 0, !(entry.xattrs[i - 1].name < xattr.name) { return "extended attributes are not in byte order" }
        }
        return nil
    }
}
