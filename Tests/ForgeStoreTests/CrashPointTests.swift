import ForgeBase
import ForgeSystem
import StoreSamples
import Testing

@testable import ForgeStore

/// Processes that are killed, or find the disk full, at every system call that changes a file: their own and SQLite's.
@Suite(.serialized, .enabled(if: Tools.canInject, "processes can't be stopped at system calls here"))
struct CrashPointTests {
    /// An operation on a cache, and what is true of it whatever has happened to it before.
    struct Scenario: Sendable, CustomTestStringConvertible {
        var name: String
        /// Results 0..<count are in the cache before.
        var count = 0
        /// Words for the probe; CACHE and SPACE are replaced.
        var words: [String]
        /// Prepares what `count` does not say.
        var prepare: @Sendable (TestSpace) throws -> Void = { _ in }
        /// Results that may be gone afterwards.
        var mayLose: Set<Int> = []
        /// What must be true after the operation was done to its end.
        var check: @Sendable (Store, TestSpace) throws -> Void = { _, _ in }

        var testDescription: String { name }
    }

    static let scenarios = [
        Scenario(
            name: "first result", words: ["work", "CACHE", "0", "1"],
            check: { (store: Store, _: TestSpace) throws in #expect(try store.lookup(Sample(0).key) != nil) }),
        Scenario(
            name: "build", count: 1, words: ["build", "CACHE", "1"],
            check: { (store: Store, _: TestSpace) throws in
                #expect(try store.lookup(Sample(1).key) != nil)
                #expect(try store.builds().first?.recipe == "sample")
                #expect(try store.memo("probe", [1]) == Array("remembered".utf8))
            }),
        Scenario(
            name: "collection", count: 3, words: ["collect", "CACHE", "45000"],
            prepare: { try $0.store().pin("kept", [], actions: [Sample(0).key]) }, mayLose: [1, 2]
        ) { (store: Store, _: TestSpace) throws in
            #expect(try store.lookup(Sample(0).key) != nil)
            #expect(try store.statistics().bytes < 45_000)
        },
        Scenario(
            name: "pin", count: 2, words: ["pin", "CACHE", "1"],
            check: { (store: Store, _: TestSpace) throws in
                #expect(try store.pinned("kept").actions == [Sample(1).key.stored])
            }),
        Scenario(
            name: "repair", count: 3, words: ["repair", "CACHE"], prepare: { try $0.harm(Sample(1).largeDigest) },
            mayLose: [1]
        ) { (store: Store, _: TestSpace) throws in
            #expect(try store.lookup(Sample(1).key) == nil)
        },
        Scenario(
            name: "repair of a database", count: 3, words: ["repair", "CACHE"],
            prepare: { space in
                var bytes = try Files.read(space("cache/forge.db"))
                bytes[18] = 77
                try Files.write(space("cache/forge.db"), bytes)
            }, mayLose: [0, 1, 2]
        ) { (_: Store, space: TestSpace) throws in
            #expect(Files.exists(space("cache/forge.db.damaged-1")))
        },
        Scenario(
            name: "healing", count: 2, words: ["heal", "CACHE", "1"], prepare: { try $0.harm(Sample(1).largeDigest) },
            mayLose: [1]
        ) { (store: Store, _: TestSpace) throws in
            #expect(try store.lookup(Sample(1).key) == nil)
            #expect(try !store.contains(Sample(1).largeDigest))
        },
        Scenario(
            name: "export", count: 2, words: ["export", "CACHE", "1", "SPACE/out.forge"],
            check: { (_: Store, space: TestSpace) throws in
                let other = try Store(directory: space("other"))
                #expect(try other.takeIn(space("out.forge")).objects == 3)
            }),
        Scenario(
            name: "import", count: 1, words: ["import", "CACHE", "SPACE/in.forge"],
            prepare: { space in
                let other = try Store(directory: space("maker"))
                try Sample(1).make(in: other)
                _ = try other.export(
                    BuildClosure(about: [], actions: [("1", Sample(1).key)], objects: []), to: space("in.forge"))
            }
        ) { (store: Store, _: TestSpace) throws in
            #expect(try store.lookup(Sample(1).key) != nil)
        },
        Scenario(
            name: "migration", count: 0, words: ["open", "CACHE"],
            prepare: { space in
                try MigrationTests.makeVersion1(space("cache"), results: 0..<2)
            }
        ) { (store: Store, _: TestSpace) throws in
            #expect(try store.lookup(Sample(0).key) != nil && store.lookup(Sample(1).key) != nil)
        },
    ]

    /// How often a program was stopped, for the report at the end.
    static let points = Locked(0)

    @Test(arguments: scenarios, ["--kill", "--full"]) func stoppedAtEveryPoint(
        _ scenario: Scenario, _ how: String
    ) throws {
        let space = try TestSpace(inMemory: true)
        if scenario.count > 0 {
            let store = try space.store()
            for number in 0..<scenario.count { try Sample(number).make(in: store) }
        }
        try scenario.prepare(space)
        if !Files.exists(space("cache")) { try Files.makeDirectories(space("cache")) }
        try Files.move(space("cache"), to: space("before"))
        let words = scenario.words.map { word in
            word == "CACHE" ? space("cache") : word.hasPrefix("SPACE/") ? space(String(word.dropFirst(6))) : word
        }
        var point = 0
        while true {
            point += 1
            try Tools.copy(space("before"), space("cache"))
            for name in ["out.forge", "out.forge.new", "other"] { try Directory.remove(space(name)) }
            let stopped = try Tools.run(
                Tools.inject, [how, "\(point)", "--count", space("count"), Tools.probe] + words)
            let seen = Int(String(decoding: try Files.read(space("count")), as: UTF8.self).dropLast()) ?? 0
            try Self.examine(space, scenario, "\(how) \(point), exit \(stopped.code): \(stopped.text)")
            // Again, undisturbed.
            let again = try Tools.run(Tools.probe, words)
            #expect(again.code == 0, "\(how) \(point): \(again.text)")
            let store = try space.store()
            try scenario.check(store, space)
            #expect(try store.verify().isEmpty)
            guard seen >= point else { break }
            if how == "--full" { #expect([0, 5].contains(stopped.code), "\(point): \(stopped.text)") }
            #expect(point < 1000)
        }
        #expect(point > 10)
        let all = Self.points.withLock { points in
            points += point - 1
            return points
        }
        print("\(scenario.name): \(how) at \(point - 1) points, all recovered (\(all) so far)")
    }

    /// What must be true wherever a program was stopped.
    static func examine(_ space: TestSpace, _ scenario: Scenario, _ place: String) throws {
        // A database that was damaged before may still be so.
        if scenario.name == "repair of a database" { return }
        let store = try space.store()
        let damage = try store.verify()
        if scenario.mayLose.isEmpty { #expect(damage.isEmpty, "\(place): \(damage)") }
        for number in 0..<scenario.count where !scenario.mayLose.contains(number) {
            guard let result = try store.lookup(Sample(number).key) else {
                Issue.record("\(place): result \(number) is lost")
                continue
            }
            for output in result.outputs {
                for object in try store.closure(output.digest, output.kind) ?? [output.digest] {
                    #expect(throws: Never.self, "\(place)") { try store.read(object) }
                }
            }
        }
        // Nothing wrong is ever given: what can be read has its hash, and the cache goes on working.
        try Sample(50).make(in: store)
        #expect(try store.lookup(Sample(50).key) != nil)
        #expect(try Files.list(space("cache/tmp")).allSatisfy { $0 == ".lock" || $0.description.hasPrefix("store-") })
    }
}

extension TestSpace {
    /// Flips a bit of an object's file.
    func harm(_ digest: Digest) throws {
        let path = self("cache/objects/\(digest.hex.prefix(2))/\(digest.hex.dropFirst(2))")
        var bytes = try Files.read(path)
        bytes[bytes.count / 2] ^= 4
        try Files.write(path, bytes)
    }
}
