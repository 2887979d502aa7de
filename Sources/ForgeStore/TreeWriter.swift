import ForgeBase
import ForgeSystem
import Glibc

/// Trees to directories of the host.
package enum TreeWriter {
    /// Makes everything of a tree below a directory: bytes, owners, modes, extended attributes, and one time for all.
    /// Nothing outside the directory is touched, whatever the tree says, because every name is opened in its parent
    /// without following links and nothing that exists is opened.
    /// - Parameters:
    ///   - directory: made if it is not there; must be empty.
    ///   - epoch: the time of every file, in seconds since 1970.
    ///   - jobs: threads that write.
    package static func checkOut(
        _ tree: Tree, from store: any ObjectStore, to directory: String, epoch: Int64 = 0, owner: OwnerPolicy = .apply,
        jobs: Int = 2
    ) throws {
        try Files.makeDirectories(directory)
        let root = try Directory(directory)
        guard try root.list().isEmpty else {
            throw ForgeError(.io, "\(directory) is not empty", remedy: "name a new or empty directory")
        }
        let entries = tree.entries
        var open = OpenDirectories(root: root)
        var files: [Int] = []
        for (index, entry) in entries.enumerated() where !entry.path.bytes.isEmpty {
            switch entry.kind {
            case .directory: try open[entry.parent].makeDirectory(entry.name, mode: 0o700)
            case .file: files.append(index)
            default: try makeSpecial(entry, in: open[entry.parent], epoch: epoch, owner: owner)
            }
        }
        let groups = FileGroup.make(files, path: { entries[$0].path }) {
            if case .file(let digest) = entries[$0].kind { digest.size } else { 0 }
        }
        try Threads.forEach(groups.count, width: jobs) { number in
            let parent = try root.descend(groups[number].directory)
            for index in groups[number].indices {
                try makeFile(entries[index], in: parent, from: store, epoch: epoch, owner: owner)
            }
        }
        // Last and from the leaves up: making a name changes the time of its directory, and a mode may forbid it.
        for entry in entries.reversed() where entry.isDirectory {
            let made = try open[entry.path]
            if owner == .apply { try made.setOwner(".", uid: entry.uid, gid: entry.gid) }
            for xattr in entry.xattrs { try made.setAttribute(xattr.name, xattr.value) }
            try made.setMode(entry.mode)
            try made.setOwnTimes(seconds: epoch)
        }
    }

    private static func makeFile(
        _ entry: TreeEntry, in parent: Directory, from store: any ObjectStore, epoch: Int64, owner: OwnerPolicy
    ) throws {
        guard case .file(let digest) = entry.kind else { return }
        let file = try parent.open(entry.name, flags: O_WRONLY | O_CREAT | O_EXCL, mode: 0o600)
        if digest.size > 0 { try store.write(digest, to: file) }
        // Owner first: changing it drops set-user-id bits and capabilities.
        if owner == .apply { try file.setOwner(uid: entry.uid, gid: entry.gid) }
        for xattr in entry.xattrs { try file.setAttribute(xattr.name, xattr.value) }
        try file.setMode(entry.mode)
        try file.setTimes(seconds: epoch)
    }

    private static func makeSpecial(
        _ entry: TreeEntry, in parent: Directory, epoch: Int64, owner: OwnerPolicy
    ) throws(ForgeError) {
        switch entry.kind {
        case .symlink(let target): try parent.makeLink(entry.name, to: target)
        case .characterDevice(let device):
            try parent.makeNode(entry.name, type: UInt32(S_IFCHR), mode: entry.mode, device: device)
        case .blockDevice(let device):
            try parent.makeNode(entry.name, type: UInt32(S_IFBLK), mode: entry.mode, device: device)
        case .fifo: try parent.makeNode(entry.name, type: UInt32(S_IFIFO), mode: entry.mode, device: 0)
        case .directory, .file: return
        }
        if owner == .apply {
            try parent.setOwner(entry.name, uid: entry.uid, gid: entry.gid)
            // Changing the owner may have dropped bits.
            if case .symlink = entry.kind {} else { try parent.setMode(entry.name, entry.mode) }
        }
        try parent.setTimes(entry.name, seconds: epoch)
    }
}

/// The directories on the way to the last one asked for, so that neighbours cost one open.
private struct OpenDirectories {
    private var stack: [(path: ByteString, directory: Directory)]

    init(root: Directory) { stack = [(ByteString([]), root)] }

    subscript(path: ByteString) -> Directory {
        mutating get throws(ForgeError) {
            while let last = stack.last, !path.isBelow(last.path) { stack.removeLast() }
            guard let last = stack.last else { throw ForgeError(.bug, "“\(path)” is below no directory") }
            if last.path == path { return last.directory }
            let skip = last.path.bytes.isEmpty ? 0 : last.path.bytes.count + 1
            var (current, made) = (last.path, last.directory)
            for part in path.bytes[skip...].split(separator: UInt8(ascii: "/")) {
                made = try made.subdirectory(ByteString(part))
                current = current.appending(ByteString(part))
                stack.append((current, made))
            }
            return made
        }
    }
}
