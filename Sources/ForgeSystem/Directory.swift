import CLinux
package import ForgeBase
import Glibc

/// An open directory: names in it are bytes, and no operation follows a link out of it. Closed with its last reference.
package final class Directory: Sendable {
    package let raw: Int32
    /// For messages.
    package let path: String

    private init(raw: Int32, path: String) {
        self.raw = raw
        self.path = path
    }

    deinit { close(raw) }

    /// Opens a directory by path; links in the path are followed.
    package convenience init(_ path: String) throws(ForgeError) {
        let file = try FileDescriptor(opening: path, flags: O_RDONLY | O_DIRECTORY)
        self.init(raw: file.release(), path: path)
    }

    /// A directory in this one; not a link to one.
    package func subdirectory(_ name: ByteString) throws(ForgeError) -> Directory {
        let file = try open(name, flags: O_RDONLY | O_DIRECTORY)
        return Directory(raw: file.release(), path: label(name))
    }

    /// A directory below this one by relative path, empty for a second handle of this one; no part may be a link.
    package func descend(_ relative: ByteString) throws(ForgeError) -> Directory {
        guard !relative.bytes.isEmpty else { return try subdirectory(".") }
        var directory = self
        for part in relative.bytes.split(separator: UInt8(ascii: "/")) {
            directory = try directory.subdirectory(ByteString(part))
        }
        return directory
    }

    /// Opens a file in the directory. `O_NOFOLLOW | O_CLOEXEC` is added.
    package func open(_ name: ByteString, flags: Int32, mode: UInt32 = 0) throws(ForgeError) -> FileDescriptor {
        let raw = name.withCString { name in
            var result: Int32
            repeat {
                result = openat(self.raw, name, flags | O_NOFOLLOW | O_CLOEXEC, mode)
            } while result < 0 && errno == EINTR
            return result
        }
        guard raw >= 0 else { throw .system("cannot open \(label(name))") }
        return FileDescriptor(owning: raw)
    }

    /// Names in the directory, in byte order, without `.` and `..`.
    package func list() throws(ForgeError) -> [ByteString] {
        let again = try open(".", flags: O_RDONLY | O_DIRECTORY).release()
        guard let handle = fdopendir(again) else {
            let code = errno
            close(again)
            throw .system("cannot list \(path)", code: code)
        }
        defer { closedir(handle) }
        var names: [ByteString] = []
        while true {
            errno = 0
            guard let entry = readdir(handle) else { break }
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                ByteString(
                    UnsafeRawBufferPointer(
                        start: pointer, count: strlen(UnsafeRawPointer(pointer).assumingMemoryBound(to: CChar.self))))
            }
            if name != "." && name != ".." { names.append(name) }
        }
        guard errno == 0 else { throw .system("cannot list \(path)") }
        return names.sorted()
    }

    /// What `lstat` says of a name.
    package func status(_ name: ByteString) throws(ForgeError) -> FileStatus {
        var info = stat()
        guard name.withCString({ fstatat(raw, $0, &info, AT_SYMLINK_NOFOLLOW) }) == 0 else {
            throw .system("cannot look at \(label(name))")
        }
        return FileStatus(info)
    }

    /// What `fstat` says of the directory.
    package func status() throws(ForgeError) -> FileStatus { try status(".") }

    /// What a link names.
    package func target(ofLink name: ByteString) throws(ForgeError) -> ByteString {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = name.withCString { readlinkat(raw, $0, &buffer, buffer.count) }
        guard count >= 0 else { throw .system("cannot read the link \(label(name))") }
        return ByteString(buffer[..<count].map(UInt8.init(bitPattern:)))
    }

    package func makeDirectory(_ name: ByteString, mode: UInt32) throws(ForgeError) {
        try check("make directory", name) { mkdirat(raw, $0, mode) }
    }

    package func makeLink(_ name: ByteString, to target: ByteString) throws(ForgeError) {
        try check("make link", name) { name in target.withCString { symlinkat($0, raw, name) } }
    }

    /// A device, FIFO or other special file.
    /// - Parameters:
    ///   - type: `S_IFCHR`, `S_IFBLK` or `S_IFIFO`.
    ///   - device: `major << 32 | minor`.
    package func makeNode(_ name: ByteString, type: UInt32, mode: UInt32, device: UInt64) throws(ForgeError) {
        try check("make special file", name) {
            forge_mknodat(
                raw, $0, type | mode, UInt32(truncatingIfNeeded: device >> 32), UInt32(truncatingIfNeeded: device))
        }
        // mknod is subject to the umask.
        try setMode(name, mode)
    }

    /// Sets owner and group of a name, of a link itself.
    package func setOwner(_ name: ByteString, uid: UInt32, gid: UInt32) throws(ForgeError) {
        try check("set the owner of", name) { fchownat(raw, $0, uid, gid, AT_SYMLINK_NOFOLLOW) }
    }

    /// Sets the mode of a name that is no link.
    package func setMode(_ name: ByteString, _ mode: UInt32) throws(ForgeError) {
        try check("set the mode of", name) { fchmodat(raw, $0, mode, 0) }
    }

    /// Sets both times of a name, of a link itself, in seconds since 1970.
    package func setTimes(_ name: ByteString, seconds: Int64) throws(ForgeError) {
        try check("set the times of", name) { forge_set_times(raw, $0, seconds) }
    }

    /// Removes a name with everything below it; follows no link. What can't be entered is made accessible first.
    package func remove(_ name: ByteString) throws(ForgeError) {
        if name.withCString({ unlinkat(raw, $0, 0) }) == 0 || errno == ENOENT { return }
        guard errno == EISDIR || errno == EPERM else { throw .system("cannot remove \(label(name))") }
        let status = try status(name)
        guard status.kind == .directory else { throw .system("cannot remove \(label(name))", code: EPERM) }
        if status.mode & 0o700 != 0o700 { _ = name.withCString { fchmodat(raw, $0, 0o700, 0) } }
        let inner = try subdirectory(name)
        for child in try inner.list() { try inner.remove(child) }
        guard name.withCString({ unlinkat(raw, $0, AT_REMOVEDIR) }) == 0 || errno == ENOENT else {
            throw .system("cannot remove \(label(name))")
        }
    }

    /// Removes a file or a directory with everything in it, whatever the names below it are.
    package static func remove(_ path: String) throws(ForgeError) {
        guard try Files.status(path) != nil else { return }
        try Directory(Files.parent(of: path)).remove(ByteString(Files.name(of: path)))
    }

    /// The path of a name, for messages.
    package func label(_ name: ByteString) -> String { name == "." ? path : "\(path)/\(name)" }

    private func check(
        _ what: String, _ name: ByteString, _ call: (UnsafePointer<CChar>) -> Int32
    ) throws(ForgeError) {
        guard name.withCString(call) == 0 else { throw .system("cannot \(what) \(label(name))") }
    }
}

extension ByteString {
    /// The bytes with a NUL behind them, for the kernel.
    package func withCString<R>(_ body: (UnsafePointer<CChar>) -> R) -> R {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: bytes.count + 1) { space in
            for (i, byte) in bytes.enumerated() { space[i] = CChar(bitPattern: byte) }
            space[bytes.count] = 0
            guard let start = UnsafePointer(space.baseAddress) else { preconditionFailure("BUG: no space for a name") }
            return body(start)
        }
    }
}
