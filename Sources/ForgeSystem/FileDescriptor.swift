package import ForgeBase
package import Glibc

/// An open file, closed when it goes out of scope. Never inherited by children (`O_CLOEXEC`).
package struct FileDescriptor: ~Copyable {
    package let raw: Int32

    /// Takes ownership of an open descriptor.
    package init(owning raw: Int32) { self.raw = raw }

    /// Opens a file.
    /// - Parameters:
    ///   - flags: `O_RDONLY` and friends; `O_CLOEXEC` is added.
    ///   - mode: permission bits of a file that is made, before the umask.
    package init(opening path: String, flags: Int32 = O_RDONLY, mode: mode_t = 0o644) throws(ForgeError) {
        var result: Int32
        repeat { result = open(path, flags | O_CLOEXEC, mode) } while result < 0 && errno == EINTR
        guard result >= 0 else { throw .system("cannot open \(path)") }
        raw = result
    }

    deinit { close(raw) }

    /// Gives the descriptor away; the caller closes it.
    package consuming func release() -> Int32 {
        let fd = raw
        discard self
        return fd
    }

    /// Up to `count` bytes; empty at the end of the file.
    package func read(upTo count: Int) throws(ForgeError) -> [UInt8] {
        var failed = false
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            var got: Int
            repeat { got = Glibc.read(raw, buffer.baseAddress, count) } while got < 0 && errno == EINTR
            failed = got < 0
            filled = max(0, got)
        }
        if failed { throw .system("cannot read") }
        return bytes
    }

    /// Everything up to the end of the file.
    package func readAll() throws(ForgeError) -> [UInt8] {
        var out: [UInt8] = []
        var info = stat()
        if fstat(raw, &info) == 0, info.st_size > 0 { out.reserveCapacity(Int(info.st_size)) }
        while true {
            let piece = try read(upTo: 1 << 16)
            if piece.isEmpty { return out }
            out += piece
        }
    }

    /// Writes every byte.
    package func write(_ bytes: UnsafeRawBufferPointer) throws(ForgeError) { try Self.write(bytes, to: raw) }

    /// Writes every byte to a descriptor that stays somebody else's.
    package static func write(_ bytes: UnsafeRawBufferPointer, to raw: Int32) throws(ForgeError) {
        var rest = bytes
        while rest.count > 0 {
            let done = Glibc.write(raw, rest.baseAddress, rest.count)
            if done < 0 {
                if errno == EINTR { continue }
                throw .system("cannot write")
            }
            rest = UnsafeRawBufferPointer(rebasing: rest[done...])
        }
    }

    /// Writes every byte.
    package func write(_ bytes: [UInt8]) throws(ForgeError) { try Self.write(bytes, to: raw) }

    /// Writes every byte to a descriptor that stays somebody else's.
    package static func write(_ bytes: [UInt8], to raw: Int32) throws(ForgeError) {
        let result: Result<Void, ForgeError> = bytes.withUnsafeBytes { buffer in
            do throws(ForgeError) { return .success(try write(buffer, to: raw)) } catch { return .failure(error) }
        }
        try result.get()
    }

    /// Waits until the file's bytes are on the disk.
    package func sync() throws(ForgeError) {
        guard fsync(raw) == 0 else { throw .system("cannot sync") }
    }
}

extension ForgeError {
    /// The error of the system call that has just failed (`errno`), with the next step where one is known.
    package static func system(_ message: String, code: Int32 = errno) -> ForgeError {
        let reason = String(cString: strerror(code))
        var error = ForgeError(.io, "\(message): \(reason)")
        switch code {
        case ENOSPC, EDQUOT:
            error.remedy = "free some space, run `forge cache gc`, or put the cache on another disk with --cache DIR"
        case EACCES, EPERM:
            error.remedy = "check who owns the file, and whether an earlier run as another user made it"
        case EMFILE: error.remedy = "raise the limit of open files (`ulimit -n`)"
        default: break
        }
        return error
    }
}
