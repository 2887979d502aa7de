import ForgeBase
import ForgeSystem
import Glibc
import Testing

@testable import ForgeStore

/// Limits of collections, pins, and full disks.
@Suite struct LimitTests {
    /// Results `0..<count`, each of some 20 kB, last used at `used(number)` seconds since 1970.
    func filled(_ space: TestSpace, _ count: Int, used: (Int) -> Int64 = { 1000 + Int64($0) }) throws -> Store {
        let store = try space.store()
        for number in 0..<count {
            try Sample(number).make(in: store)
            let at = used(number)
            try store.database.use { connection throws(ForgeError) in
                try connection.run(
                    "UPDATE actions SET last_used = ? WHERE key = ?", [.int(at), .blob(Sample(number).key.stored)])
            }
        }
        return store
    }

    func kept(_ store: Store, _ count: Int) throws -> [Int] {
        try (0..<count).filter { try store.lookup(Sample($0).key) != nil }
    }

    @Test func aPinnedBuildSurvivesEveryLimit() throws {
        let space = try TestSpace()
        let store = try filled(space, 4)
        let source = try store.put([UInt8](repeating: 6, count: 30_000))
        try store.pin("v1", [(source, .file)], actions: [Sample(1).key])
        let report = try store.collect(CollectionPolicy(maxSize: 0, minFree: .max / 4, maxAge: 0))
        #expect(try kept(store, 4) == [1])
        #expect(report.actionsRemoved == 3 && report.bytesPinned == report.bytesKept && report.bytesKept > 50_000)
        #expect(try store.contains(source) && store.verify().isEmpty)
        let summary = try #require(try store.pinSummaries().first)
        #expect(summary.name == "v1" && summary.actions == 1 && summary.missingActions == 0 && summary.objects == 4)
        #expect(summary.bytes == report.bytesPinned)
        // Pinned again by the same name: what it kept before is free.
        try store.pin("v1", [])
        #expect(try store.collect(CollectionPolicy(maxSize: 0)).actionsRemoved == 1)
        #expect(try store.statistics().bytes == 0)
        #expect(try !store.unpin("v1"))
    }

    @Test func ofToolCachesTheLongestUnusedFilesGo() throws {
        let space = try TestSpace()
        let store = try filled(space, 1)
        let folder = ToolCaches.folder(in: space("cache"), map: "root", name: "ccache", buildRoot: Digest.of("root"))
        try Files.makeDirectories(folder + "/a/b")
        for (number, name) in ["a/old", "a/b/middle", "new"].enumerated() {
            try Files.write("\(folder)/\(name)", [UInt8](repeating: 1, count: 1000))
            var times = [
                timeval(tv_sec: 1000 * (number + 1), tv_usec: 0), timeval(tv_sec: 1000 * (number + 1), tv_usec: 0),
            ]
            #expect(utimes("\(folder)/\(name)", &times) == 0)
        }
        func left() throws -> [String] {
            try ["a/old", "a/b/middle", "new"].filter { Files.exists("\(folder)/\($0)") }
        }
        let found = try store.statistics()
        #expect(found.toolFiles == 3 && found.toolBytes == 3000)
        // Only their own limit reaches them, and it reaches nothing else.
        try store.trimToolCachesIfFree(to: 3000)
        #expect(try store.collect(CollectionPolicy(maxSize: 1 << 30, maxToolSize: 2999)).toolBytesRemoved == 1000)
        #expect(try left() == ["a/b/middle", "new"] && kept(store, 1) == [0])
        #expect(try store.collect(CollectionPolicy()).toolBytesRemoved == 0)
        // While a build runs, nothing goes.
        let build = try store.hold()
        try store.trimToolCachesIfFree(to: 100)
        #expect(try left().count == 2)
        withExtendedLifetime(build) {}
        _ = consume build
        #expect(try store.collect(CollectionPolicy(maxAge: Int64(time(nil)) - 2500)).toolBytesRemoved == 1000)
        #expect(try left() == ["new"])
        try store.trimToolCachesIfFree(to: 100)
        #expect(try left() == [] && store.statistics().toolBytes == 0)
    }

    @Test func aPinTellsWhatARepairHasTakenFromIt() throws {
        let space = try TestSpace()
        do {
            let store = try filled(space, 2)
            try store.pin("v1", [], actions: [Sample(0).key, Sample(1).key])
            try space.harm(Sample(0).largeDigest)
        }
        _ = try Store.repair(directory: space("cache"))
        let store = try space.store()
        #expect(try store.pinSummaries().first?.missingActions == 1)
        try Sample(0).make(in: store)
        #expect(try store.pinSummaries().first?.missingActions == 0)
    }

    @Test func thePinOfALockGoesWithTheLock() throws {
        let space = try TestSpace()
        let store = try space.store()
        let package = try store.put([UInt8](repeating: 6, count: 30_000))
        let never = Digest.of([UInt8](repeating: 7, count: 1 << 20))
        try Files.write(space("forge.lock"), "lock")
        try store.pin(space("forge.lock"), [(package, .file), (never, .file)])
        // What was never fetched takes no room from what was.
        try Sample(0).make(in: store)
        let report = try store.collect(CollectionPolicy(maxSize: 100_000))
        #expect(report.actionsRemoved == 0 && report.bytesPinned == 30_000)
        #expect(try store.contains(package))
        try Files.remove(space("forge.lock"))
        _ = try store.collect(CollectionPolicy())
        #expect(try !store.contains(package) && store.pins().isEmpty)
    }

    @Test func whatIsTooOldGoesWhateverTheSize() throws {
        let space = try TestSpace()
        let now = Int64(time(nil))
        let store = try filled(space, 4) { now - Int64(4 - $0) * 86_400 }
        let policy = CollectionPolicy(maxAge: 2 * 86_400 + 3600)
        #expect(try store.exceeds(policy))
        #expect(try store.collect(policy).actionsRemoved == 2)
        #expect(try kept(store, 4) == [2, 3])
        #expect(try !store.exceeds(policy))
    }

    @Test func usingAResultKeepsIt() throws {
        let space = try TestSpace()
        var store = try filled(space, 3)
        // The oldest is used now.
        #expect(try store.lookup(Sample(0).key) != nil)
        try store.flush()
        store = try space.store()
        _ = try store.collect(CollectionPolicy(maxSize: 45_000))
        #expect(try kept(store, 3) == [0, 2])
    }

    @Test func exceedingIsToldWithoutCollecting() throws {
        let space = try TestSpace()
        let store = try filled(space, 3)
        let bytes = try store.statistics().bytes
        #expect(try !store.exceeds(CollectionPolicy()))
        #expect(try !store.exceeds(CollectionPolicy(maxSize: bytes)))
        #expect(try store.exceeds(CollectionPolicy(maxSize: bytes - 1)))
        #expect(try !store.exceeds(CollectionPolicy(minFree: 1)))
        #expect(try store.exceeds(CollectionPolicy(minFree: .max)))
        let use = try store.hold()
        #expect(try store.collectIfFree(CollectionPolicy(maxSize: 0)) == nil)
        #expect(try kept(store, 3) == [0, 1, 2])
        withExtendedLifetime(use) {}
    }

    // MARK: Small disks

    @Test(.enabled(if: Tools.isRoot, "only root can mount a small file system"))
    func asMuchOfTheDiskIsLeftFreeAsAsked() throws {
        let space = try TestSpace()
        guard let disk = try Tools.mountSmall(space("cache"), bytes: 8 << 20) else { return }
        let store = try filled(space, 40)
        let free = try Files.freeSpace(space("cache"))
        let report = try store.collect(CollectionPolicy(minFree: free + 200_000))
        #expect((8...16).contains(report.actionsRemoved), "\(report)")
        #expect(try Files.freeSpace(space("cache")) >= free + 200_000)
        #expect(try kept(store, 40) == Array(report.actionsRemoved..<40))
        withExtendedLifetime(disk) {}
    }

    @Test(.enabled(if: Tools.isRoot, "only root can mount a small file system"))
    func aFullDiskIsAnErrorAndLeavesNothingWrong() throws {
        let space = try TestSpace()
        guard let disk = try Tools.mountSmall(space("cache"), bytes: 2 << 20) else { return }
        var made = 0
        do {
            let store = try space.store()
            let error = #expect(throws: ForgeError.self) {
                while made < 1000 {
                    try Sample(made).make(in: store)
                    made += 1
                }
            }
            #expect(error?.code == .io && error?.remedy?.contains("forge cache gc") == true)
        }
        #expect(made > 10)
        do {
            // Still full: what was there is there, and whole.
            let store = try Store(directory: space("cache"), readOnly: true)
            #expect(try kept(store, made).count == made)
            for number in 0..<made { #expect(try store.read(Sample(number).largeDigest) == Sample(number).large) }
        }
        // A collection needs room in the log of the database, and finds it: nothing was lost but room.
        #expect(disk.resize(4 << 20))
        let store = try space.store()
        #expect(try store.verify().isEmpty)
        try Sample(made).make(in: store)
        _ = try store.collect(CollectionPolicy(maxSize: 100_000))
        #expect(try store.verify().isEmpty)
        for number in 0..<5 { try Sample(number).make(in: store) }
        #expect(try Contents(store, samples: 0..<5).results.count == 5)
    }
}
