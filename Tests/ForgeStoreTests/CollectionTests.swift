import ForgeBase
import ForgeSystem
import Glibc
import Testing

@testable import ForgeStore

/// Garbage collection, verification and repair.
@Suite struct CollectionTests {
    /// A store with results `0..<count`; result n has a tree with a row of 100 bytes and a file of 50,000, last used at n.
    func filled(_ space: TestSpace, _ count: Int) throws -> (Store, [Digest]) {
        let store = try space.store()
        var trees: [Digest] = []
        for number in 0..<count {
            let small = try store.put(Array("\(number)".utf8) + [UInt8](repeating: 1, count: 100))
            let large = try store.put(Array("\(number)".utf8) + [UInt8](repeating: 2, count: 50_000))
            let tree = try Tree(
                Tree.empty.entries + [
                    TreeEntry("large", .file(large), mode: 0o644), TreeEntry("small", .file(small), mode: 0o644),
                ])
            trees.append(try tree.save(in: store))
            try store.commit(
                Digest.of("\(number)"), ActionResult(outputs: [.init(name: "t", kind: .tree, digest: trees[number])]))
            try store.database.use { connection throws(ForgeError) in
                try connection.run(
                    "UPDATE actions SET last_used = ? WHERE key = ?",
                    [.int(Int64(number) + 1000), .blob(Digest.of("\(number)").stored)])
            }
        }
        return (store, trees)
    }

    func kept(_ store: Store, _ count: Int) throws -> [Int] {
        try (0..<count).filter { try store.lookup(Digest.of("\($0)")) != nil }
    }

    @Test func whatNothingNeedsGoes() throws {
        let space = try TestSpace()
        let (store, _) = try filled(space, 3)
        let junk = try [store.put([9]), store.put([UInt8](repeating: 9, count: 60_000))]
        let report = try store.collect(CollectionPolicy())
        #expect(report.objectsRemoved == 2 && report.actionsRemoved == 0 && report.bytesRemoved == 60_001)
        for digest in junk { #expect(try !store.contains(digest)) }
        #expect(try kept(store, 3) == [0, 1, 2])
        #expect(try store.verify().isEmpty)
        #expect(try store.collect(CollectionPolicy()).objectsRemoved == 0)
    }

    @Test func overTheLimitTheLongestUnusedGoFirst() throws {
        let space = try TestSpace()
        let (store, trees) = try filled(space, 5)
        let report = try store.collect(CollectionPolicy(maxSize: 110_000))
        #expect(try kept(store, 5) == [3, 4])
        #expect(report.actionsRemoved == 3 && report.objectsRemoved == 9)
        #expect(report.bytesKept < 110_000)
        for tree in trees[3...] { #expect(try Tree.load(tree, from: store).entries.count == 3) }
        #expect(try store.verify().isEmpty)
    }

    @Test func oldResultsGoAndPinsStay() throws {
        let space = try TestSpace()
        let (store, trees) = try filled(space, 3)
        try store.pin("lock:recipes/node", [(trees[0], .tree)])
        #expect(try store.pins() == ["lock:recipes/node"])
        let report = try store.collect(CollectionPolicy(maxSize: 0, maxAge: 3600))
        #expect(report.actionsRemoved == 3)
        let tree = try Tree.load(trees[0], from: store)
        for object in tree.objects { #expect(try store.contains(object)) }
        #expect(try !store.contains(trees[1]))
        try store.pin("lock:recipes/node", [])
        _ = try store.collect(CollectionPolicy())
        #expect(try !store.contains(trees[0]))
        #expect(try store.statistics().rows == 0 && store.statistics().files == 0)
    }

    @Test func keepsTheDiskAsFreeAsAsked() throws {
        let space = try TestSpace()
        let (store, _) = try filled(space, 3)
        let report = try store.collect(CollectionPolicy(minFree: .max / 2))
        #expect(report.actionsRemoved == 3 && report.bytesKept == 0)
    }

    @Test func aRunningBuildHoldsItOff() throws {
        let space = try TestSpace()
        let (store, _) = try filled(space, 1)
        var use: [StoreUse] = [try store.hold(), try store.hold()]
        let error = #expect(throws: ForgeError.self) { try store.collect(CollectionPolicy(maxSize: 0)) }
        #expect(error?.message.contains("a build is using the cache") == true)
        #expect(throws: ForgeError.self) { try Store.repair(directory: space("cache")) }
        #expect(try kept(store, 1) == [0])
        use = []
        #expect(try store.collect(CollectionPolicy(maxSize: 0)).actionsRemoved == 1)
        withExtendedLifetime(use) {}
    }

    @Test func checkoutsOfDroppedTreesGo() throws {
        let space = try TestSpace()
        let (store, trees) = try filled(space, 2)
        let checkouts = try Checkouts(store, map: "root", owner: .ignore)
        let paths = try trees.map { try checkouts.open($0).path }
        // Room for the objects of both, not for a second copy of either.
        _ = try store.collect(CollectionPolicy(maxSize: 150_800))
        #expect(try kept(store, 2) == [0, 1])
        #expect(paths.count(where: Files.exists) == 1)
        _ = try store.collect(CollectionPolicy(maxSize: 0))
        #expect(paths.allSatisfy { !Files.exists($0) })
    }

    // MARK: Damage

    enum Harm: CaseIterable { case changedFile, truncatedFile, deletedFile, changedRow, deletedRow, changedManifest }

    @Test(arguments: Harm.allCases) func damageIsFoundAndRepaired(_ harm: Harm) throws {
        let space = try TestSpace()
        var (store, trees) = try filled(space, 3)
        let tree = try Tree.load(trees[1], from: store)
        guard case .file(let large)? = tree["large"]?.kind, case .file(let small)? = tree["small"]?.kind else { return }
        let path = try #require(try store.path(of: large))
        func sql(_ text: String, _ digest: Digest) throws {
            try store.database.use { connection throws(ForgeError) in
                try connection.run(text, [.blob(digest.hash)])
            }
        }
        switch harm {
        case .changedFile:
            chmod(path, 0o644)
            var bytes = try Files.read(path)
            bytes[777] ^= 1
            try Files.write(path, bytes)
            #expect(throws: ForgeError.self) { try store.read(large) }
        case .truncatedFile:
            chmod(path, 0o644)
            #expect(truncate(path, 40_000) == 0)
            let error = #expect(throws: ForgeError.self) { try store.read(large) }
            #expect(error?.description.contains(large.hex) == true && error?.description.contains(path) == true)
            #expect(throws: ForgeError.self) { try store.export(large, to: space("x"), mode: 0o644) }
        case .deletedFile: try Files.remove(path)
        case .changedRow: try sql("UPDATE objects SET bytes = zeroblob(size) WHERE hash = ?", small)
        case .deletedRow: try sql("DELETE FROM objects WHERE hash = ?", small)
        case .changedManifest: try sql("UPDATE objects SET bytes = zeroblob(size) WHERE hash = ?", trees[1])
        }
        let found = try store.verify()
        #expect(found.contains { $0.subject == .action(Digest.of("1")) }, "\(found)")
        #expect(!found.contains { $0.subject == .action(Digest.of("0")) || $0.subject == .action(Digest.of("2")) })
        let dropped = try Store.repair(directory: space("cache"))
        #expect(dropped == found)
        store = try space.store()
        #expect(try store.verify().isEmpty)
        #expect(try kept(store, 3) == [0, 2])
    }

    @Test func aDamagedDatabaseIsPutAsideAndSaved() throws {
        let space = try TestSpace()
        do { _ = try filled(space, 40) }
        // A page in the middle is overwritten, as a failing disk does it.
        var bytes = try Files.read(space("cache/forge.db"))
        for i in 0..<4096 { bytes[bytes.count / 4096 / 2 * 4096 + i] = 0xa5 }
        try Files.write(space("cache/forge.db"), bytes)
        for suffix in ["-wal", "-shm"] { try Files.remove(space("cache/forge.db\(suffix)")) }
        let dropped = try Store.repair(directory: space("cache"))
        #expect(!dropped.isEmpty)
        #expect(Files.exists(space("cache/forge.db.damaged-1")))
        let store = try space.store()
        #expect(try store.verify().isEmpty)
        #expect(try store.put([1]) == Digest.of([1]))
    }

    @Test func aFileThatIsNoDatabaseNamesTheRemedy() throws {
        let space = try TestSpace()
        try Files.makeDirectories(space("cache"))
        try Files.write(space("cache/forge.db"), [UInt8](repeating: 65, count: 8192))
        let error = #expect(throws: ForgeError.self) { try space.store() }
        #expect(error?.message.contains("forge.db") == true)
        #expect(error?.remedy?.contains("forge cache repair") == true)
        #expect(try Store.repair(directory: space("cache")).count == 1)
        #expect(try space.store().statistics().rows == 0)
    }

    @Test func aFullDiskIsAnErrorAndLeavesNothing() throws {
        // A tmpfs would need root; a limit on the size of files of this process would hit the other tests.
        guard Files.exists("/dev/full") else { return }
        let space = try TestSpace()
        defer { withExtendedLifetime(space) {} }
        let store = try space.store()
        let digest = try store.put([UInt8](repeating: 5, count: 100_000))
        let full = try FileDescriptor(opening: "/dev/full", flags: O_WRONLY)
        let error = #expect(throws: ForgeError.self) { try store.write(digest, to: full) }
        #expect(error?.remedy?.contains("forge cache gc") == true)
    }
}
