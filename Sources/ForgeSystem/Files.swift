import CLinux
package import ForgeBase
package import Glibc

/// What `lstat` says of a file.
package struct FileStatus: Sendable, Equatable {
    package enum Kind: Sendable { case file, directory, symlink, characterDevice, blockDevice, fifo, socket }

    package var kind: Kind
    /// Permission bits, with set-user-id and sticky: 12 bits.
    package var mode: UInt32
    package var uid: UInt32
    package var gid: UInt32
    /// Bytes.
    package var size: Int64
    package var links: UInt64
    /// `major << 32 | minor` of a device.
    package var device: UInt64
    package var identity: FileIdentity

    package init(_ info: stat) {
        kind =
            switch info.st_mode & S_IFMT {
            case S_IFDIR: .directory
            case S_IFLNK: .symlink
            case S_IFCHR: .characterDevice
            case S_IFBLK: .blockDevice
            case S_IFIFO: .fifo
            case S_IFSOCK: .socket
            default: .file
            }
        mode = info.st_mode & 0o7777
        uid = info.st_uid
        gid = info.st_gid
        size = Int64(info.st_size)
        links = UInt64(info.st_nlink)
        device = UInt64(forge_major(UInt64(info.st_rdev))) << 32 | UInt64(forge_minor(UInt64(info.st_rdev)))
        identity = FileIdentity(
            device: UInt64(info.st_dev), inode: UInt64(info.st_ino), size: Int64(info.st_size),
            modified: Int64(info.st_mtim.tv_sec) * 1_000_000_000 + Int64(info.st_mtim.tv_nsec),
            changed: Int64(info.st_ctim.tv_sec) * 1_000_000_000 + Int64(info.st_ctim.tv_nsec))
    }
}

/// What changes when a file's bytes change, without reading them. Times in nanoseconds since 1970.
package struct FileIdentity: Sendable, Hashable {
    package var device: UInt64
    package var inode: UInt64
    package var size: Int64
    package var modified: Int64
    package var changed: Int64
}

/// Files of the host by path. Trees of images are handled by `ForgeStore`, which keeps names as bytes.
package enum Files {
    /// What `lstat` says, or nil if there is no such file.
    package static func status(_ path: String) throws(ForgeError) -> FileStatus? {
        FileJournal.note(path, .link)
        var info = stat()
        guard lstat(path, &info) == 0 else {
            if errno == ENOENT || errno == ENOTDIR { return nil }
            throw .system("cannot look at \(path)")
        }
        return FileStatus(info)
    }

    package static func exists(_ path: String) -> Bool {
        FileJournal.note(path, .kind)
        return access(path, F_OK) == 0
    }

    /// Whether this process may write to a file.
    package static func isWritable(_ path: String) -> Bool { access(path, W_OK) == 0 }

    package static func isDirectory(_ path: String) -> Bool {
        FileJournal.note(path, .kind)
        var info = stat()
        return stat(path, &info) == 0 && info.st_mode & S_IFMT == S_IFDIR
    }

    package static func read(_ path: String) throws(ForgeError) -> [UInt8] {
        FileJournal.note(path, .content)
        return try FileDescriptor(opening: path).readAll()
    }

    /// The bytes, or nil if there is no such file.
    package static func readIfPresent(_ path: String) throws(ForgeError) -> [UInt8]? {
        exists(path) ? try read(path) : nil
    }

    /// Replaces a file in one step: a reader sees the old bytes or the new ones.
    /// - Parameter durably: also after a crash of the machine, which takes a wait for the disk.
    package static func write(
        _ path: String, _ bytes: [UInt8], mode: UInt32 = 0o644, durably: Bool = true
    ) throws(ForgeError) {
        let temporary = "\(path).\(getpid()).tmp"
        do throws(ForgeError) {
            let file = try FileDescriptor(opening: temporary, flags: O_WRONLY | O_CREAT | O_TRUNC, mode: mode)
            try file.write(bytes)
            if durably { try file.sync() }
        } catch {
            unlink(temporary)
            throw ForgeError(error.code, "\(error.message) (writing \(path))", remedy: error.remedy)
        }
        try move(temporary, to: path)
    }

    package static func write(_ path: String, _ text: String, mode: UInt32 = 0o644) throws(ForgeError) {
        try write(path, Array(text.utf8), mode: mode)
    }

    package static func move(_ from: String, to: String) throws(ForgeError) {
        guard rename(from, to) == 0 else { throw .system("cannot rename \(from) to \(to)") }
    }

    /// Makes a directory and those above it; an existing one is fine.
    package static func makeDirectories(_ path: String) throws(ForgeError) {
        if mkdir(path, 0o755) == 0 || (errno == EEXIST && isDirectory(path)) { return }
        guard errno == ENOENT else { throw .system("cannot make directory \(path)") }
        try makeDirectories(parent(of: path))
        guard mkdir(path, 0o755) == 0 || errno == EEXIST else { throw .system("cannot make directory \(path)") }
    }

    /// Names in a directory, in byte order, without `.` and `..`.
    package static func list(_ path: String) throws(ForgeError) -> [ByteString] {
        FileJournal.note(path, .content)
        guard let handle = opendir(path) else { throw .system("cannot list \(path)") }
        defer { closedir(handle) }
        var names: [ByteString] = []
        while let entry = readdir(handle) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { ByteString($0.prefix { $0 != 0 }) }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// Removes a file, or a directory with everything in it; what is not there is fine. Follows no link. Where files
    /// may belong to ids of a user namespace, use `Removal`.
    package static func remove(_ path: String) throws(ForgeError) {
        guard forge_remove_tree(path) == 0 else { throw .system("cannot remove \(path)") }
    }

    /// Makes a file of zeros that takes no space.
    package static func makeSparse(_ path: String, size: Int64) throws(ForgeError) {
        let file = try FileDescriptor(opening: path, flags: O_WRONLY | O_CREAT | O_EXCL)
        guard ftruncate(file.raw, off_t(size)) == 0 else { throw .system("cannot make \(path) \(size) bytes long") }
    }

    /// The text of a symbolic link.
    package static func readLink(_ path: String) throws(ForgeError) -> ByteString {
        FileJournal.note(path, .link)
        var length = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: Int(PATH_MAX)) { buffer, count in
            length = buffer.withMemoryRebound(to: CChar.self) { text in
                text.baseAddress.map { readlink(path, $0, text.count) } ?? -1
            }
            count = max(0, length)
        }
        guard length >= 0 else { throw .system("cannot read the link \(path)") }
        return ByteString(bytes)
    }

    /// The path with links resolved; nil if it does not exist.
    package static func absolute(_ path: String) -> String? {
        FileJournal.note(path, .content)
        guard let resolved = realpath(path, nil) else { return nil }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    /// The part before the last `/`.
    package static func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// The part after the last `/`.
    package static func name(of path: String) -> String {
        path.lastIndex(of: "/").map { String(path[path.index(after: $0)...]) } ?? path
    }
}

/// A lock between processes, held while the value lives; the kernel gives it back when the process dies.
package struct FileLock: ~Copyable {
    private let raw: Int32

    deinit { close(raw) }

    /// Waits for the lock on a file, which is made if it is not there.
    /// - Parameter exclusive: alone, or together with other holders that are not exclusive.
    package init(_ path: String, exclusive: Bool = true) throws(ForgeError) {
        raw = try FileLock.acquire(path, exclusive ? LOCK_EX : LOCK_SH)
    }

    /// Takes the lock if it is free; nil if somebody has it.
    /// - Parameter patience: how long to wait for somebody who is about to end, in milliseconds.
    package static func tryLock(
        _ path: String, exclusive: Bool = true, patience: Int = 0
    ) throws(ForgeError) -> FileLock? {
        var waited = 0
        while true {
            let raw = try acquire(path, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB)
            if raw >= 0 { return FileLock(raw: raw) }
            guard waited < patience else { return nil }
            SystemTime.sleep(milliseconds: 20)
            waited += 20
        }
    }

    private init(raw: Int32) { self.raw = raw }

    /// The locked descriptor, open for reading and writing; -1 if `operation` says not to wait and somebody has the lock.
    static func acquire(_ path: String, _ operation: Int32) throws(ForgeError) -> Int32 {
        while true {
            let file = try FileDescriptor(opening: path, flags: O_RDWR | O_CREAT)
            while flock(file.raw, operation) != 0 {
                if errno == EWOULDBLOCK { return -1 }
                guard errno == EINTR else { throw .system("cannot lock \(path)") }
            }
            // Between opening and locking, another process may have moved the file away or removed it: then what is
            // locked is no longer what the path names.
            var opened = stat()
            var named = stat()
            guard fstat(file.raw, &opened) == 0 else { throw .system("cannot look at \(path)") }
            if stat(path, &named) == 0, opened.st_dev == named.st_dev, opened.st_ino == named.st_ino {
                return file.release()
            }
        }
    }
}
