import CLinux
package import ForgeBase
import Glibc

/// Signals as bytes in a pipe, so that one loop waits for them and for children.
package struct Signals: Sendable {
    /// For `Poller`. The same for every `Signals` of the process.
    package let fd: Int32

    /// Catches signals from now on, for the whole process; SIGPIPE becomes an error of the write.
    package init(catching signals: [Int32] = [SIGINT, SIGTERM, SIGHUP]) throws(ForgeError) {
        var fd: Int32 = -1
        for signal in signals {
            fd = forge_catch_signal(signal)
            guard fd >= 0 else { throw .system("cannot catch signal \(signal)") }
        }
        forge_ignore_broken_pipes()
        self.fd = fd
    }

    /// The next signal that has come; nil if none has. Does not block.
    package func next() -> Int32? {
        var byte: UInt8 = 0
        return read(fd, &byte, 1) == 1 ? Int32(byte) : nil
    }
}
