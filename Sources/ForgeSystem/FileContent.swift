import CLinux
package import ForgeBase
import Glibc

/// Bytes, attributes and durability of open files.
extension FileDescriptor {
    /// Makes a new file for reading and writing; fails if something has the path already.
    package init(creating path: String, mode: UInt32 = 0o600) throws(ForgeError) {
        try self.init(opening: path, flags: O_RDWR | O_CREAT | O_EXCL, mode: mode)
    }

    /// What `fstat` says.
    package func status() throws(ForgeError) -> FileStatus {
        var info = stat()
        guard fstat(raw, &info) == 0 else { throw .system("cannot look at an open file") }
        return FileStatus(info)
    }

    /// Copies everything from here to the end of this file to `other`: shared blocks where the file system has them,
    /// else a copy inside the kernel, else a copy through memory.
    package func copy(to other: borrowing FileDescriptor) throws {
        if forge_clone(other.raw, raw) == 0 { return }
        var copied = false
        while true {
            let count = forge_copy_file_range(raw, other.raw, 1 << 30)
            if count > 0 {
                copied = true
                continue
            }
            if count == 0 && copied { return }
            if count < 0 && errno == EINTR { continue }
            // Nothing at the first call: an empty file, or a file system (procfs) that only read(2) can ask.
            if count == 0 || [EXDEV, EINVAL, ENOSYS, EOPNOTSUPP, EPERM].contains(errno) { break }
            throw ForgeError.system("cannot copy")
        }
        try each { try other.write($0) }
    }

    /// Calls `body` with every piece of the file from here to its end.
    package func each(_ body: (UnsafeRawBufferPointer) throws -> Void) throws {
        let space = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 16)
        defer { space.deallocate() }
        while true {
            let count = Glibc.read(raw, space.baseAddress, space.count)
            if count == 0 { return }
            if count < 0 {
                if errno == EINTR { continue }
                throw ForgeError.system("cannot read")
            }
            try body(UnsafeRawBufferPointer(rebasing: space[..<count]))
        }
    }

    /// Moves the offset of the next read or write, in bytes from the start.
    package func seek(to offset: Int64) throws(ForgeError) {
        guard lseek(raw, off_t(offset), SEEK_SET) >= 0 else { throw .system("cannot seek") }
    }

    package func setMode(_ mode: UInt32) throws(ForgeError) {
        guard fchmod(raw, mode) == 0 else { throw .system("cannot set the mode") }
    }

    package func setOwner(uid: UInt32, gid: UInt32) throws(ForgeError) {
        guard fchown(raw, uid, gid) == 0 else { throw .system("cannot set the owner to \(uid):\(gid)") }
    }

    /// Sets both times, in seconds since 1970.
    package func setTimes(seconds: Int64) throws(ForgeError) {
        guard forge_set_times(raw, nil, seconds) == 0 else { throw .system("cannot set the times") }
    }

    /// Names of the extended attributes, in byte order. None where the file system has none.
    package func attributeNames() throws(ForgeError) -> [ByteString] { try ForgeSystem.attributeNames(raw) }

    package func attribute(_ name: ByteString) throws(ForgeError) -> [UInt8] { try ForgeSystem.attribute(raw, name) }

    package func setAttribute(_ name: ByteString, _ value: [UInt8]) throws(ForgeError) {
        try ForgeSystem.setAttribute(raw, name, value)
    }
}

extension Directory {
    /// Names of the directory's own extended attributes, in byte order.
    package func attributeNames() throws(ForgeError) -> [ByteString] { try ForgeSystem.attributeNames(raw) }

    package func attribute(_ name: ByteString) throws(ForgeError) -> [UInt8] { try ForgeSystem.attribute(raw, name) }

    package func setAttribute(_ name: ByteString, _ value: [UInt8]) throws(ForgeError) {
        try ForgeSystem.setAttribute(raw, name, value)
    }

    /// Sets the directory's own mode.
    package func setMode(_ mode: UInt32) throws(ForgeError) {
        guard fchmod(raw, mode) == 0 else { throw .system("cannot set the mode of \(path)") }
    }

    /// Sets the directory's own times, in seconds since 1970.
    package func setOwnTimes(seconds: Int64) throws(ForgeError) {
        guard forge_set_times(raw, nil, seconds) == 0 else { throw .system("cannot set the times of \(path)") }
    }

    /// Writes everything of the file system that the directory is on to its disk.
    package func syncFileSystem() throws(ForgeError) {
        guard forge_syncfs(raw) == 0 else { throw .system("cannot write \(path) to its disk") }
    }
}

extension Files {
    /// Free bytes for an ordinary user on the file system of `path`.
    package static func freeSpace(_ path: String) throws(ForgeError) -> Int64 {
        let free = forge_free_space(path)
        guard free >= 0 else { throw .system("cannot ask for the free space of \(path)") }
        return free
    }
}

private func attributeNames(_ raw: Int32) throws(ForgeError) -> [ByteString] {
    let size = forge_flistxattr(raw, nil, 0)
    if size == 0 { return [] }
    guard size > 0 else {
        if errno == EOPNOTSUPP { return [] }
        throw .system("cannot list extended attributes")
    }
    var names = [CChar](repeating: 0, count: size)
    let count = forge_flistxattr(raw, &names, size)
    guard count >= 0 else { throw .system("cannot list extended attributes") }
    return names[..<count].split(separator: 0).map { ByteString($0.map(UInt8.init(bitPattern:))) }.sorted()
}

private func attribute(_ raw: Int32, _ name: ByteString) throws(ForgeError) -> [UInt8] {
    // The kernel allows 64 KiB; almost all are far shorter.
    var value = [UInt8](repeating: 0, count: 256)
    var count = name.withCString { forge_fgetxattr(raw, $0, &value, value.count) }
    if count < 0 && errno == ERANGE {
        value = [UInt8](repeating: 0, count: 65536)
        count = name.withCString { forge_fgetxattr(raw, $0, &value, value.count) }
    }
    guard count >= 0 else { throw .system("cannot read the extended attribute \(name)") }
    return Array(value[..<count])
}

private func setAttribute(_ raw: Int32, _ name: ByteString, _ value: [UInt8]) throws(ForgeError) {
    guard name.withCString({ forge_fsetxattr(raw, $0, value, value.count) }) == 0 else {
        throw .system("cannot set the extended attribute \(name)")
    }
}
