import ForgeBase
import ForgeSystem
import Glibc
import Synchronization
import Testing

@testable import ForgeStore

/// Processes that are killed, and many at once.
@Suite struct CrashTests {
    /// Puts objects of both kinds and commits results until the process is killed or all is done.
    static func work(_ store: Store, from first: Int, count: Int) throws {
        for number in first..<(first + count) {
            var dice = Dice(number)
            let small = try store.put(dice.bytes(200))
            let large = try store.put(dice.bytes(20_000 + number))
            let tree = try Tree(
                Tree.empty.entries + [
                    TreeEntry("large", .file(large), mode: 0o644), TreeEntry("small", .file(small), mode: 0o644),
                ])
            let digest = try tree.save(in: store)
            let result = ActionResult(outputs: [
                .init(name: "t", kind: .tree, digest: digest), .init(name: "f", kind: .file, digest: large),
            ])
            try store.commit(Digest.of("\(number)"), result)
        }
    }

    /// A process that dies at any step of a write leaves a cache in which everything that can be seen is whole.
    @Test(arguments: Store.WritePoint.allCases, [1, 4]) func killedBetweenTwoSteps(
        _ point: Store.WritePoint, _ times: Int
    ) async throws {
        let space = try TestSpace()
        let (path, name) = (space("cache"), "\(point)")
        await #expect(processExitsWith: .signal(SIGKILL)) {
            [path = path as String, name = name as String, times = times as Int] in
            let left = Atomic<Int>(times)
            let store = try Store(directory: path) { reached in
                if "\(reached)" == name, left.wrappingSubtract(1, ordering: .relaxed).newValue == 0 {
                    kill(getpid(), SIGKILL)
                }
            }
            try CrashTests.work(store, from: 0, count: 10)
        }
        let store = try space.store()
        #expect(try store.verify().isEmpty)
        // What the dead process was writing is gone with its scratch directory.
        #expect(try Files.list(space("cache/tmp")) == [".lock"])
        let done = try (0..<10).filter { try store.lookup(Digest.of("\($0)")) != nil }
        // Each result has one large object, and passes each step once. The file and the rows come before the result.
        #expect(done == Array(0..<(point == .actionCommitted ? times : times - 1)))
        try Self.work(store, from: 0, count: 10)
        #expect(try store.verify().isEmpty)
    }

    /// Killed at a moment that nobody chose.
    @Test func killedAnywhere() async throws {
        let space = try TestSpace()
        let path = space("cache")
        for round in 0..<4 {
            await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String, round = round as Int] in
                let store = try Store(directory: path)
                var killer = pthread_t()
                let delay = UnsafeMutableRawPointer(bitPattern: 20_000 + 190_000 * round)
                pthread_create(
                    &killer, nil,
                    { delay in
                        usleep(UInt32(UInt(bitPattern: delay)))
                        kill(getpid(), SIGKILL)
                        return nil
                    }, delay)
                try CrashTests.work(store, from: 1000 * round, count: 100_000)
            }
            let store = try space.store()
            #expect(try store.verify().isEmpty)
            // Killed early, it had not even made the directory.
            if Files.exists(space("cache/tmp")) {
                #expect(try Files.list(space("cache/tmp")).filter { $0 != ".lock" } == [])
            }
        }
        #expect(try space.store().statistics().actions > 0)
    }

    /// Eight processes that make the same and different objects, results and checkouts in one cache.
    @Test func eightProcessesAtOnce() async throws {
        let space = try TestSpace()
        let path = space("cache")
        await withTaskGroup(of: Void.self) { group in
            for number in 0..<8 {
                group.addTask {
                    await #expect(processExitsWith: .success) { [path = path as String, number = number as Int] in
                        let store = try Store(directory: path)
                        let use = try store.hold()
                        // Half of the numbers are everybody's.
                        try CrashTests.work(store, from: 0, count: 15)
                        try CrashTests.work(store, from: 100 * (number + 1), count: 15)
                        let checkouts = try Checkouts(store, map: "root", owner: .ignore)
                        for shared in 0..<3 {
                            let result = try store.lookup(Digest.of("\(shared)"))
                            guard let tree = result?.outputs.first?.digest else { exit(3) }
                            let made = try checkouts.open(tree)
                            guard try Files.read(made.path + "/large").count == 20_000 + shared else { exit(4) }
                        }
                        withExtendedLifetime(use) {}
                    }
                }
            }
        }
        let store = try space.store()
        #expect(try store.verify().isEmpty)
        #expect(try store.statistics().actions == 15 + 8 * 15)
        #expect(try store.statistics().checkouts == 3)
        #expect(try Files.list(space("cache/tmp")) == [".lock"])
    }

    /// Many threads on one store, and collections by another while no build holds the cache.
    @Test func manyThreadsOnOneStore() throws {
        let space = try TestSpace()
        let store = try space.store()
        try Threads.forEach(64, width: 8) { number in
            var dice = Dice(number / 2)
            let bytes = dice.bytes(number % 4 < 2 ? 300 : 30_000)
            let digest = try store.put(bytes)
            guard try store.read(digest) == bytes else { throw ForgeError(.bug, "lost \(number)") }
            if number % 8 == 0 { try store.flush() }
        }
        #expect(try store.verify().isEmpty)
        #expect(throws: ForgeError.self) {
            try Threads.forEach(100, width: 4) { if $0 == 50 { throw ForgeError(.interrupted, "planned") } }
        }
    }

    /// An error in the middle of a write, as a full disk gives it, leaves nothing that looks whole.
    @Test(arguments: Store.WritePoint.allCases) func failedBetweenTwoSteps(_ point: Store.WritePoint) throws {
        let space = try TestSpace()
        let failing = try space.store { if $0 == point { throw ForgeError(.interrupted, "planned") } }
        #expect(throws: ForgeError.self) { try Self.work(failing, from: 0, count: 1) }
        let store = try space.store()
        #expect(try store.verify().isEmpty)
        #expect(try (store.lookup(Digest.of("0")) != nil) == (point == .actionCommitted))
        try Self.work(store, from: 0, count: 1)
        #expect(try store.verify().isEmpty)
    }
}
