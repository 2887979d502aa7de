package import ForgeBase
import Glibc

/// Waits for descriptors: pipes of children, their ends, signals.
package enum Poller {
    /// Waits until a descriptor can be read, or its other end is closed.
    /// - Parameters:
    ///   - fds: descriptors; -1 stands for one that is closed and never ready.
    ///   - timeoutMilliseconds: nil waits for ever, 0 only looks.
    /// - Returns: For each descriptor whether it is ready; none is after the timeout.
    package static func wait(fds: [Int32], timeoutMilliseconds: Int32? = nil) throws(ForgeError) -> [Bool] {
        var entries = fds.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        let start = SystemTime().monotonic()
        while true {
            var patience: Int32 = -1
            if let timeoutMilliseconds {
                let passed = (SystemTime().monotonic() - start) / 1_000_000
                patience = Int32(clamping: max(0, Int64(timeoutMilliseconds) - passed))
            }
            if poll(&entries, nfds_t(entries.count), patience) >= 0 { break }
            guard errno == EINTR else { throw .system("cannot wait for children") }
        }
        return entries.map { $0.revents != 0 }
    }
}
