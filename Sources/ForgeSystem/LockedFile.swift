package import ForgeBase
import Glibc

/// A file that this process alone writes, while the value lives: open for reading and writing, and locked.
///
/// The kernel gives the lock back when the process dies, however it dies; what was written stays in the file. No lock
/// file is left behind, because the file itself is what is locked.
package final class LockedFile {
    package let path: String
    private let file: FileDescriptor

    private init(path: String, file: consuming FileDescriptor) {
        self.path = path
        self.file = file
    }

    /// Opens a file, which is made if it is not there, and takes its lock; nil if somebody else has it.
    package static func tryOpen(_ path: String) throws(ForgeError) -> LockedFile? {
        let raw = try FileLock.acquire(path, LOCK_EX | LOCK_NB)
        return raw < 0 ? nil : LockedFile(path: path, file: FileDescriptor(owning: raw))
    }

    /// Size in bytes.
    package func size() throws(ForgeError) -> Int64 {
        var info = stat()
        guard fstat(file.raw, &info) == 0 else { throw .system("cannot look at \(path)") }
        return Int64(info.st_size)
    }

    /// Reads the file from its start, piece by piece; afterwards `append` goes on at its end.
    package func readAll(_ piece: (UnsafeRawBufferPointer) -> Void) throws(ForgeError) {
        guard lseek(file.raw, 0, SEEK_SET) == 0 else { throw .system("cannot read \(path)") }
        var rest = try size()
        while rest > 0 {
            let bytes = try file.read(upTo: Int(min(rest, 1 << 18)))
            guard !bytes.isEmpty else { throw ForgeError(.io, "\(path) became shorter while it was read") }
            bytes.withUnsafeBytes(piece)
            rest -= Int64(bytes.count)
        }
    }

    /// Makes the file empty.
    package func clear() throws(ForgeError) {
        guard ftruncate(file.raw, 0) == 0, lseek(file.raw, 0, SEEK_SET) == 0 else {
            throw .system("cannot empty \(path)")
        }
    }

    /// Writes every byte behind what was read or written before.
    package func append(_ bytes: UnsafeRawBufferPointer) throws(ForgeError) {
        do throws(ForgeError) {
            try file.write(bytes)
        } catch {
            throw ForgeError(error.code, "\(error.message) (writing \(path))", remedy: error.remedy)
        }
    }

    /// Removes the file's name.
    package func remove() throws(ForgeError) {
        guard unlink(path) == 0 || errno == ENOENT else { throw .system("cannot remove \(path)") }
    }
}
