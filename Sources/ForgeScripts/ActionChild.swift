package import ForgeBase
package import ForgeEngine
package import ForgeStore
import ForgeSystem
import Glibc

/// The side of the child in the talk between `forge` and the process of an action: a request on standard input, the log on
/// standard output and error, events on descriptor 3.
package enum ActionChild {
    /// Does something and reports what it throws, to `forge` and to the log.
    /// - Returns: the exit status.
    package static func reporting(to events: Events = Events(), _ body: (Events) throws -> Int32) -> Int32 {
        do {
            return try body(events)
        } catch {
            let known = error as? ForgeError ?? (error as? ForgeErrors)?.errors.first
            let said = known ?? ForgeError(.bug, "\(error)")
            let text = Array("\(said)\n".utf8)
            _ = text.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
            events.send(HelperEvent.error(said).json)
            return said.code.rawValue
        }
    }

    /// What `forge` asks for.
    package static func message() throws -> JSON {
        try JSON(parsing: try FileDescriptor(owning: dup(STDIN_FILENO)).readAll(), file: "request")
    }

    /// Does one action and reports its outputs.
    package static func run(
        _ events: Events, _ request: HelperRequest, in store: Store,
        _ perform: (HelperRequest, Store, Events) throws -> StageResult
    ) throws {
        let result = try perform(request, store, events)
        for output in request.outputs where !result.outputs.contains(where: { $0.name == output.name }) {
            throw ForgeError(.bug, "stage “\(request.stage)” made no output “\(output.name)”")
        }
        // The other process must see every object before it hears of it.
        try store.flush()
        events.send(HelperEvent.result(outputs: result.outputs, provides: result.provides).json)
    }
}

/// Descriptor 3: lines of JSON to `forge`. Safe from any thread.
package final class Events: Sendable {
    private let lock = Locked(())

    package func send(_ json: JSON) {
        let line = Array((json.description + "\n").utf8)
        lock.withLock { _ in
            var rest = line[...]
            while !rest.isEmpty {
                let done = rest.withUnsafeBytes { write(3, $0.baseAddress, $0.count) }
                // Nobody listens: the exit status still tells.
                if done < 0 {
                    guard errno == EINTR || errno == EAGAIN else { return }
                    continue
                }
                rest = rest.dropFirst(done)
            }
        }
    }
}
