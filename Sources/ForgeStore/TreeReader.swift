package import ForgeBase
import ForgeSystem
import Glibc

/// What happens to owners where this process may not set them, or should not record its own.
package enum OwnerPolicy: Sendable {
    /// Owners are recorded and set as they are: for uid 0 of a namespace.
    case apply
    /// Reading records root for everything; writing leaves everything to the running user.
    case ignore
}

/// Directories of the host to trees.
package enum TreeReader {
    /// Extended attributes that belong to a file rather than to the host: capabilities, access control lists, and
    /// users' own ones. Labels of the host's security module and marks of its overlays stay behind.
    static func keeps(_ attribute: ByteString) -> Bool {
        let name = attribute.description
        if name.hasPrefix("user.") { return !name.hasPrefix("user.overlay.") }
        return ["security.capability", "system.posix_acl_access", "system.posix_acl_default"].contains(name)
    }

    /// Stores all files below a directory and gives its tree. Links are recorded, never followed; sockets, which only
    /// live with their process, are left out. The result does not depend on the directory's order or on `jobs`.
    /// - Parameters:
    ///   - jobs: threads that read and hash.
    ///   - excluding: names a path to leave out, with everything below it. Called on one thread.
    package static func ingest(
        directory: String, into store: any ObjectStore, owner: OwnerPolicy = .apply, jobs: Int = 2,
        excluding: ((ByteString) -> Bool)? = nil
    ) throws -> Tree {
        let root = try Directory(directory)
        var walk = Walk(owner: owner, excluding: excluding)
        try walk.enter(root, at: ByteString([]))
        let found = walk.entries
        let groups = FileGroup.make(found.indices.filter { found[$0].size != nil }, path: { found[$0].entry.path }) {
            found[$0].size ?? 0
        }
        let read = Locked<[(Int, Digest, [Xattr])]>([])
        try Threads.forEach(groups.count, width: jobs) { number in
            let group = groups[number]
            let parent = try root.descend(group.directory)
            var results: [(Int, Digest, [Xattr])] = []
            for index in group.indices {
                let name = found[index].entry.name
                let file = try parent.open(name, flags: O_RDONLY)
                let xattrs = try attributes(file.attributeNames()) { name throws(ForgeError) in try file.attribute(name)
                }
                let digest = try store.put(descriptor: file, label: parent.label(name))
                results.append((index, digest, xattrs))
            }
            read.withLock { $0 += results }
        }
        var entries = found.map(\.entry)
        for (index, digest, xattrs) in read.withLock({ $0 }) {
            entries[index].kind = .file(digest)
            entries[index].xattrs = xattrs
        }
        return try Tree(entries)
    }

    fileprivate static func attributes(
        _ names: [ByteString], _ value: (ByteString) throws(ForgeError) -> [UInt8]
    ) throws(ForgeError) -> [Xattr] {
        var out: [Xattr] = []
        for name in names where keeps(name) { out.append(Xattr(name: name, value: try value(name))) }
        return out
    }

    /// The names below a directory, files still without their digests.
    private struct Walk {
        let owner: OwnerPolicy
        let excluding: ((ByteString) -> Bool)?
        /// With the size of those that are files, in bytes.
        var entries: [(entry: TreeEntry, size: Int64?)] = []

        init(owner: OwnerPolicy, excluding: ((ByteString) -> Bool)?) {
            self.owner = owner
            self.excluding = excluding
        }

        mutating func enter(_ directory: Directory, at path: ByteString) throws(ForgeError) {
            let status = try directory.status()
            let xattrs = try attributes(directory.attributeNames()) { name throws(ForgeError) in
                try directory.attribute(name)
            }
            add(path, .directory, status, xattrs)
            for name in try directory.list() {
                let path = path.appending(name)
                if let excluding, excluding(path) { continue }
                let status = try directory.status(name)
                switch status.kind {
                case .directory: try enter(directory.subdirectory(name), at: path)
                // The digest comes when the file is read.
                case .file: add(path, .file(Walk.unread), status, size: status.size)
                case .symlink: add(path, .symlink(try directory.target(ofLink: name)), status)
                case .characterDevice: add(path, .characterDevice(status.device), status)
                case .blockDevice: add(path, .blockDevice(status.device), status)
                case .fifo: add(path, .fifo, status)
                case .socket: break
                }
            }
        }

        private static let unread = Digest.of([UInt8]())

        private mutating func add(
            _ path: ByteString, _ kind: TreeEntry.Kind, _ status: FileStatus, _ xattrs: [Xattr] = [], size: Int64? = nil
        ) {
            let root = owner == .ignore
            let entry = TreeEntry(
                path, kind, mode: status.mode, uid: root ? 0 : status.uid, gid: root ? 0 : status.gid, xattrs: xattrs)
            entries.append((entry, size))
        }
    }
}

/// Files of one directory that one thread handles in one go.
struct FileGroup: Sendable {
    var directory: ByteString
    /// Into the caller's list.
    var indices: [Int]

    /// Groups of at most 128 files and about 16 MiB, in order of their directories.
    static func make(
        _ indices: some Sequence<Int>, path: (Int) -> ByteString, size: (Int) -> Int64
    ) -> [FileGroup] {
        var byDirectory: [ByteString: [Int]] = [:]
        for index in indices { byDirectory[path(index).parent, default: []].append(index) }
        var groups: [FileGroup] = []
        for (directory, indices) in byDirectory.sorted(by: { $0.key < $1.key }) {
            var (group, bytes) = (FileGroup(directory: directory, indices: []), Int64(0))
            for index in indices {
                group.indices.append(index)
                bytes += size(index)
                if group.indices.count >= 128 || bytes >= 16 << 20 {
                    groups.append(group)
                    (group.indices, bytes) = ([], 0)
                }
            }
            if !group.indices.isEmpty { groups.append(group) }
        }
        return groups
    }
}
