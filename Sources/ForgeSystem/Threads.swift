import Glibc

/// Blocking work spread over threads of its own; Swift's cooperative pool must never block.
package enum Threads {
    /// Calls `body` once for every number below `count`, on up to `width` threads at a time, and waits for all.
    /// After the first error no further call starts; that error is thrown. The order of calls is not defined.
    package static func forEach(
        _ count: Int, width: Int, _ body: @escaping @Sendable (Int) throws -> Void
    ) throws {
        let work = Work(count: count, body: body)
        var threads: [pthread_t] = []
        for _ in 1..<max(1, min(width, count)) {
            var thread = pthread_t()
            let argument = Unmanaged.passRetained(work)
            let failed = pthread_create(
                &thread, nil,
                { raw in
                    guard let raw else { return nil }
                    Unmanaged<Work>.fromOpaque(raw).takeRetainedValue().run()
                    return nil
                }, argument.toOpaque())
            if failed == 0 { threads.append(thread) } else { argument.release() }
        }
        // The calling thread works too, so the work is done even where no thread can be made.
        work.run()
        for thread in threads { pthread_join(thread, nil) }
        if let error = work.state.withLock({ $0.error }) { throw error }
    }

    private final class Work: Sendable {
        struct State {
            var next = 0
            var error: (any Error)?
        }

        let count: Int
        let body: @Sendable (Int) throws -> Void
        let state = Locked(State())

        init(count: Int, body: @escaping @Sendable (Int) throws -> Void) {
            self.count = count
            self.body = body
        }

        func run() {
            while true {
                let index = state.withLock { state -> Int? in
                    guard state.error == nil, state.next < count else { return nil }
                    state.next += 1
                    return state.next - 1
                }
                guard let index else { return }
                do { try body(index) } catch { state.withLock { if $0.error == nil { $0.error = error } } }
            }
        }
    }
}
