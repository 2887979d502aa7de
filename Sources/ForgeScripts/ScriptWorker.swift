import ForgeBase
import ForgeEngine
import ForgeStore
import ForgeSystem
import Glibc

/// `forge run-scripts`: runs the scripts of one action after the other, each in a sandbox of its own.
///
/// A script needs none of the libraries of built-in stages, which take longer to load than many a script runs, so `forge`
/// is its own child here. And it stays: the start of a process, a user namespace and an open cache would cost more than a
/// sandbox does. Nothing of one script is there for the next: processes, mounts, network and temporary files are the
/// sandbox's.
///
/// Standard input has one request a line; the log of each is a file that the request names; events are on descriptor 3. An
/// action has ended with its result or error.
package final class ScriptWorker {
    private let events = Events()
    private let input = FileDescriptor(owning: STDIN_FILENO)
    private var received: [UInt8] = []
    private var store: Store?

    /// - Returns: the exit status.
    package static func main() -> Int32 {
        let worker = ScriptWorker()
        return ActionChild.reporting(to: worker.events) { _ in
            while let line = try worker.line() { try worker.perform(line) }
            return 0
        }
    }

    /// The next line of standard input, without its end; nil if there will be no more.
    private func line() throws(ForgeError) -> [UInt8]? {
        while true {
            if let end = received.firstIndex(of: UInt8(ascii: "\n")) {
                defer { received.removeFirst(end + 1) }
                return Array(received[..<end])
            }
            let piece = try input.read(upTo: 1 << 16)
            if piece.isEmpty { return nil }
            received += piece
        }
    }

    /// Does what one line asks for. What goes wrong with a script is told; only what concerns this process is thrown.
    private func perform(_ line: [UInt8]) throws {
        let request = try HelperRequest(json: try JSON(parsing: line, file: "request"))
        if let log = request.log { try ScriptWorker.redirectOutput(to: log) }
        let store = try self.store ?? Store(directory: request.cache, sweeping: false)
        self.store = store
        let usage = Usage()
        _ = ActionChild.reporting(to: events) { events in
            try ActionChild.run(events, request, in: store) { request, store, events in
                // Here, because files of mapped users can only be removed by a process that is all of them. What can't be
                // removed is left to forge.
                defer { try? Files.remove(request.scratch) }
                let (result, memory) = try ScriptStage(request, store).run()
                events.send(HelperEvent.used(cpuSeconds: usage.seconds(), maxMemory: memory).json)
                return result
            }
            return 0
        }
    }

    private static func redirectOutput(to path: String) throws(ForgeError) {
        let log = try FileDescriptor(opening: path, flags: O_WRONLY | O_CREAT | O_TRUNC)
        guard dup2(log.raw, STDOUT_FILENO) >= 0, dup2(log.raw, STDERR_FILENO) >= 0 else {
            throw .system("cannot write to \(path)")
        }
    }
}

/// Processor time of this process and of what it has waited for, from when the value was made.
private struct Usage {
    private let before = Usage.total()

    func seconds() -> Double { Usage.total() - before }

    private static func total() -> Double {
        [RUSAGE_SELF, RUSAGE_CHILDREN].map { Int32($0.rawValue) }.reduce(0) { sum, who in
            var used = rusage()
            getrusage(who, &used)
            let times = [used.ru_utime, used.ru_stime]
            return times.reduce(sum) { $0 + Double($1.tv_sec) + Double($1.tv_usec) / 1e6 }
        }
    }
}
