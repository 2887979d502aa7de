import ForgeBase
import ForgeStore
import ForgeSystem
import Glibc

/// Puts the files of packages where dpkg would: through links of the root, at the places that diversions and
/// statoverrides name, with declared replacements and nothing else overwriting.
final class FilePlacement {
    let root: RootDirectory
    let packages: [DebPackage]
    private let store: Store
    private let filter: PathFilter
    private let epoch: Int64
    private let jobs: Int
    /// Whose file is at a real path.
    private var owners: [ByteString: Int] = [:]
    /// Paths (as shipped) that are no longer a package's, because another replaces them.
    private(set) var lost: [Int: Set<ByteString>] = [:]
    /// Devices, which the namespace can't make: they join the tree at the end.
    private(set) var devices: [TreeEntry] = []
    private var diversions: [ByteString: Diversion] = [:]
    private var overrides: [ByteString: (uid: UInt32, gid: UInt32, mode: UInt32)] = [:]
    /// Files to write, by real path.
    private var waiting: [ByteString: TreeEntry] = [:]

    private struct Diversion {
        var target: ByteString
        /// The package whose own file is not diverted; `:` for a local diversion.
        var owner: String
    }

    init(root: RootDirectory, packages: [DebPackage], store: Store, filter: PathFilter, epoch: Int64, jobs: Int) {
        self.root = root
        self.packages = packages
        self.store = store
        self.filter = filter
        self.epoch = epoch
        self.jobs = jobs
    }

    /// Places the files of some packages.
    /// - Returns: Absolute paths as shipped, for file triggers.
    @discardableResult
    func place(_ indices: [Int]) throws -> [ByteString] {
        root.forget()
        try readDiversions()
        try readOverrides()
        var shipped: [ByteString] = []
        for index in indices {
            let conffiles = Set(packages[index].conffiles.filter { !$0.isObsolete }.map(\.path))
            for entry in packages[index].tree.entries where !entry.path.bytes.isEmpty {
                let path = ByteString([UInt8(ascii: "/")] + entry.path.bytes)
                if filter.skips(path, keepsWay: isDirectoryOrLink(entry)) { continue }
                try place(entry, path, of: index, isConffile: conffiles.contains(path))
                shipped.append(path)
            }
        }
        try writeWaiting()
        return shipped
    }

    private func isDirectoryOrLink(_ entry: TreeEntry) -> Bool {
        switch entry.kind {
        case .directory, .symlink: true
        default: false
        }
    }

    private func place(_ entry: TreeEntry, _ path: ByteString, of index: Int, isConffile: Bool) throws {
        var entry = entry
        if let diversion = diversions[path], diversion.owner != packages[index].name {
            entry.path = ByteString(diversion.target.bytes.dropFirst())
        }
        if let override = overrides[path] {
            (entry.uid, entry.gid, entry.mode) = (override.uid, override.gid, override.mode)
        }
        let place = try root.locate(entry.path)
        let old = waiting[place] != nil ? nil : root.status(place)
        if entry.isDirectory { return try makeDirectory(entry, at: place, old, of: index) }
        if case .symlink = entry.kind, let old, try isDirectory(place, old) { return }
        guard try mayPlace(entry, path, at: place, of: index) else { return }
        if old?.kind == .directory {
            throw clash(path, index, "there is a directory of that name")
        }
        owners[place] = index
        var target = place
        if isConffile { target = ByteString(place.bytes + Array(".dpkg-new".utf8)) }
        if old != nil, !isConffile { try root.handle.remove(place) }
        waiting[place] = nil
        try put(entry, at: target)
    }

    private func put(_ entry: TreeEntry, at target: ByteString) throws {
        let handle = root.handle
        switch entry.kind {
        case .file:
            var file = entry
            file.path = target
            waiting[target] = file
        case .symlink(let text):
            try handle.makeLink(target, to: text)
            try handle.setOwner(target, uid: entry.uid, gid: entry.gid)
            try handle.setTimes(target, seconds: epoch)
        case .characterDevice, .blockDevice:
            devices.append(
                TreeEntry(target, entry.kind, mode: entry.mode, uid: entry.uid, gid: entry.gid, xattrs: entry.xattrs))
        case .fifo:
            try handle.makeNode(target, type: UInt32(S_IFIFO), mode: entry.mode, device: 0)
            try handle.setOwner(target, uid: entry.uid, gid: entry.gid)
            try handle.setMode(target, entry.mode)
        case .directory: break
        }
    }

    /// A directory that is there keeps its owner and mode, as with dpkg.
    private func makeDirectory(_ entry: TreeEntry, at place: ByteString, _ old: FileStatus?, of index: Int) throws {
        if let old {
            guard try isDirectory(place, old) else {
                throw clash(ByteString("/\(entry.path)"), index, "there is a file of that name")
            }
            return
        }
        try root.handle.makeDirectory(place, mode: 0o700)
        try root.handle.setOwner(place, uid: entry.uid, gid: entry.gid)
        try root.handle.setMode(place, entry.mode)
    }

    private func isDirectory(_ place: ByteString, _ status: FileStatus) throws -> Bool {
        if status.kind == .directory { return true }
        guard status.kind == .symlink, let end = try root.follow(place) else { return false }
        return root.status(end)?.kind == .directory
    }

    /// Whether the file may be placed: nobody has the path, or one of the two packages declares that it replaces the
    /// other.
    private func mayPlace(_ entry: TreeEntry, _ path: ByteString, at place: ByteString, of index: Int) throws -> Bool {
        guard let other = owners[place], other != index else { return true }
        let (mine, theirs) = (packages[index], packages[other])
        if FilePlacement.replaces(mine, theirs) {
            lost[other, default: []].insert(path)
            return true
        }
        if FilePlacement.replaces(theirs, mine) {
            lost[index, default: []].insert(path)
            return false
        }
        if mine.name == theirs.name, waiting[place]?.kind == entry.kind { return false }
        throw clash(path, index, "it is also in \(theirs.name) \(theirs.version), and neither replaces the other")
    }

    private static func replaces(_ one: DebPackage, _ other: DebPackage) -> Bool {
        one.replaces.contains { relation in
            (relation.name == other.name && relation.accepts(other.version))
                || other.provides.contains { $0.name == relation.name && relation.version == nil }
        }
    }

    private func clash(_ path: ByteString, _ index: Int, _ why: String) -> ForgeError {
        ForgeError(
            .stageFailed, "\(packages[index].name) \(packages[index].version) can't place \(path): \(why)",
            remedy: "leave one of the packages out, or choose versions that agree")
    }

    // MARK: Writing

    private func writeWaiting() throws {
        let files = waiting.values.sorted { $0.path < $1.path }
        waiting = [:]
        let (handle, store, epoch) = (root.handle, store, epoch)
        // Runs of neighbours, so that threads seldom meet in one directory.
        let run = 64
        try Threads.forEach((files.count + run - 1) / run, width: jobs) { number in
            for entry in files[(number * run)..<min(files.count, (number + 1) * run)] {
                guard case .file(let digest) = entry.kind else { continue }
                let file = try handle.open(entry.path, flags: O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600)
                if digest.size > 0 { try store.write(digest, to: file) }
                // Owner first: changing it drops set-user-id bits and capabilities.
                try file.setOwner(uid: entry.uid, gid: entry.gid)
                for xattr in entry.xattrs { try file.setAttribute(xattr.name, xattr.value) }
                try file.setMode(entry.mode)
                try file.setTimes(seconds: epoch)
            }
        }
    }

    // MARK: What scripts have asked of dpkg

    /// /var/lib/dpkg/diversions: three lines each: path, new path, package.
    private func readDiversions() throws {
        let lines = try root.text("var/lib/dpkg/diversions").split(separator: "\n")
        diversions = [:]
        for i in stride(from: 0, to: lines.count - lines.count % 3, by: 3) {
            diversions[ByteString(lines[i].utf8)] = Diversion(
                target: ByteString(lines[i + 1].utf8), owner: String(lines[i + 2]))
        }
    }

    /// /var/lib/dpkg/statoverride: user, group, mode in octal, path.
    private func readOverrides() throws {
        overrides = [:]
        for line in try root.text("var/lib/dpkg/statoverride").split(separator: "\n") {
            let fields = line.split(separator: " ", maxSplits: 3)
            guard fields.count == 4, let mode = UInt32(fields[2], radix: 8),
                let uid = try Accounts.id(String(fields[0]), in: "etc/passwd", of: root),
                let gid = try Accounts.id(String(fields[1]), in: "etc/group", of: root)
            else {
                throw ForgeError(.stageFailed, "/var/lib/dpkg/statoverride has a line that dpkg can't read: \(line)")
            }
            overrides[ByteString(fields[3].utf8)] = (uid, gid, mode & 0o7777)
        }
    }
}
