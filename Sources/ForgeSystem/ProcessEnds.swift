import CLinux
import ForgeBase
import Glibc

/// Both sides of a child's descriptors while it is being started.
final class ChildEnds {
    /// Become 0, 1, 2, 3 of the child; -1 is closed.
    private(set) var childSide: (Int32, Int32, Int32, Int32) = (-1, -1, -1, -1)
    private var parent = ParentEnds()
    /// Opened here, of no use once the child has them.
    private var borrowed: [Int32] = []

    deinit {
        borrowed.forEach { close($0) }
        parent.closeAll()
    }

    init(_ command: Command) throws(ForgeError) {
        childSide.0 = try input(command.input)
        (childSide.1, parent.output) = try output(command.output)
        if command.errors == .merged {
            childSide.2 = childSide.1
        } else {
            (childSide.2, parent.errors) = try output(command.errors)
        }
        if command.events { (childSide.3, parent.events) = try output(.pipe) }
    }

    /// The parent's side, which the caller closes.
    func take() -> ParentEnds {
        defer { parent = ParentEnds() }
        return parent
    }

    private func input(_ input: Command.Input) throws(ForgeError) -> Int32 {
        switch input {
        case .null: return try null()
        case .descriptor(let fd): return fd
        case .pipe:
            var readEnd: Int32 = -1
            guard forge_pipe(&readEnd, &parent.input, 1) == 0 else { throw .system("cannot make a pipe") }
            borrowed.append(readEnd)
            return readEnd
        case .bytes(let bytes):
            let fd = forge_memory_file("forge-input")
            guard fd >= 0 else { throw .system("cannot make a file in memory") }
            borrowed.append(fd)
            try FileDescriptor.write(bytes, to: fd)
            lseek(fd, 0, SEEK_SET)
            return fd
        }
    }

    private func output(_ output: Command.Output) throws(ForgeError) -> (child: Int32, parent: Int32) {
        switch output {
        case .null, .merged: return (try null(), -1)
        case .descriptor(let fd): return (fd, -1)
        case .pipe:
            var (readEnd, writeEnd): (Int32, Int32) = (-1, -1)
            guard forge_pipe(&readEnd, &writeEnd, 0) == 0 else { throw .system("cannot make a pipe") }
            borrowed.append(writeEnd)
            return (writeEnd, readEnd)
        }
    }

    private func null() throws(ForgeError) -> Int32 {
        let fd = try FileDescriptor(opening: "/dev/null", flags: O_RDWR).release()
        borrowed.append(fd)
        return fd
    }
}

/// The other ends of a child's pipes; -1 where there is none.
struct ParentEnds {
    var input: Int32 = -1
    var output: Int32 = -1
    var errors: Int32 = -1
    var events: Int32 = -1

    func closeAll() {
        for fd in [input, output, errors, events] where fd >= 0 { close(fd) }
    }
}
