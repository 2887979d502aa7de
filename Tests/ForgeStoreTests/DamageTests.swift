import ForgeBase
import ForgeSystem
import Glibc
import StoreSamples
import Testing

@testable import ForgeStore

/// Damage of every kind: found, named, never served, and made good.
@Suite struct DamageTests {
    static let count = 30

    /// A closed cache with results, memos, remembered files and history, as one file without a log.
    static func make(_ space: TestSpace, log: Bool = false) throws {
        let store = try space.store()
        for number in 0..<count {
            try Sample(number).make(in: store)
            store.setMemo("m", [UInt8(number)], Array("memo \(number)".utf8))
        }
        try store.recordBuild(
            BuildRecord(recipe: "r", cell: "default", parameters: "", started: 1, seconds: 1, outcome: "done"),
            actions: [], parts: [:], state: KeyState())
        try store.flush()
        if log {
            // As a killed process leaves it: some of it in the database, the rest in the log.
            try store.database.use { connection throws(ForgeError) in try connection.script("PRAGMA wal_checkpoint") }
            for number in count..<(count + 5) { try Sample(number).make(in: store) }
            try store.flush()
            try Tools.copy(space("cache"), space("killed"))
            try Files.remove(space("cache/forge.db-shm"))
        }
    }

    enum Harm: String, CaseIterable {
        case pageFlipped, bitsFlipped, headerFlipped, headerZeroed, fileTruncated, fileEmptied, logDeleted,
            logTruncated,
            logFlipped, indexDeleted
    }

    static func apply(_ harm: Harm, _ path: String) throws {
        var bytes = try Files.read(path)
        switch harm {
        case .pageFlipped:
            let page = bytes.count / 4096 / 2
            for i in 0..<4096 { bytes[page * 4096 + i] ^= 0xff }
        case .bitsFlipped: for i in stride(from: 5000, to: bytes.count, by: 4999) { bytes[i] ^= 0x10 }
        case .headerFlipped: for i in [3, 17, 19, 40, 44, 58] { bytes[i] ^= 0xff }
        case .headerZeroed: for i in 0..<24 { bytes[i] = 0 }
        case .fileTruncated: bytes = Array(bytes[..<(bytes.count / 8 * 7 / 4096 * 4096 + 100)])
        case .fileEmptied: bytes = []
        case .logDeleted: return try Files.remove(path + "-wal")
        case .logTruncated, .logFlipped:
            var log = try Files.read(path + "-wal")
            // Its beginning: behind it are frames that were folded in already.
            if harm == .logTruncated { log = Array(log[..<12_000]) } else { log[9000] ^= 1 }
            return try Files.write(path + "-wal", log)
        case .indexDeleted: return try Files.remove(path + "-shm")
        }
        try Files.write(path, bytes)
    }

    /// Nothing that a damaged cache gives is wrong: it is right, or absent, or an error.
    /// - Returns: how many results it still has.
    @discardableResult
    static func serve(_ store: Store, _ place: String) throws -> Int {
        var found = 0
        for number in 0..<(count + 5) {
            let sample = Sample(number)
            do {
                guard let result = try store.lookup(sample.key) else { continue }
                let tree = try Tree.load(try #require(result.outputs.first).digest, from: store)
                #expect(result.provides.isEmpty && result.outputs.map(\.name) == ["t", "f"], "\(place)")
                #expect(tree["large"]?.kind == .file(sample.largeDigest), "\(place)")
                #expect(tree["small"]?.mode == 0o644, "\(place)")
                #expect(try store.read(sample.largeDigest) == sample.large, "\(place)")
                #expect(try store.read(sample.smallDigest) == sample.small, "\(place)")
                found += 1
            } catch let error as ForgeError {
                #expect(error.remedy != nil, "\(place): \(error)")
            }
            do {
                if let memo = try store.memo("m", [UInt8(number)]) {
                    #expect(memo == Array("memo \(number)".utf8), "\(place)")
                }
            } catch let error as ForgeError { #expect(error.remedy != nil, "\(place): \(error)") }
        }
        return found
    }

    @Test(arguments: Harm.allCases) func aDamagedDatabase(_ harm: Harm) throws {
        let space = try TestSpace(inMemory: true)
        let onLog = [.logDeleted, .logTruncated, .logFlipped, .indexDeleted].contains(harm)
        try Self.make(space, log: onLog)
        if onLog {
            try Files.remove(space("cache"))
            try Files.move(space("killed"), to: space("cache"))
        }
        try Self.apply(harm, space("cache/forge.db"))
        if harm == .bitsFlipped || !onLog {
            for suffix in ["-wal", "-shm"] { try Files.remove(space("cache/forge.db" + suffix)) }
        }
        // A build that meets it: right, absent or an error.
        if let store = try? space.store() { try Self.serve(store, harm.rawValue) }
        let found = try Store.verify(directory: space("cache"))
        // A shorter log is an earlier moment of the same cache; an empty file is an empty cache.
        let whole = onLog || harm == .fileEmptied
        #expect(found.isEmpty == whole, "\(harm): \(found)")
        if !whole { #expect(found.contains { "\($0)".contains("forge.db") || "\($0)".contains("object") }, "\(found)") }
        let dropped = try Store.repair(directory: space("cache"))
        #expect(dropped.isEmpty == whole, "\(harm): \(dropped)")
        let store = try space.store()
        #expect(try store.verify().isEmpty)
        let left = try Self.serve(store, "\(harm), repaired")
        if harm == .headerZeroed || harm == .headerFlipped { #expect(left == Self.count, "a header can be made again") }
        // And it is all made again.
        for number in 0..<Self.count { try Sample(number).make(in: store) }
        #expect(try Self.serve(store, "\(harm), made again") >= Self.count)
        print(
            "\(harm): \(found.first.map { "\($0)" } ?? "nothing lost") → \(left) of \(Self.count + (onLog ? 5 : 0)) results left"
        )
    }

    /// One bit at a time, anywhere in the file: never a wrong answer, never a crash.
    @Test func noSingleBitOfTheDatabaseMakesAWrongAnswer() throws {
        let space = try TestSpace(inMemory: true)
        try Self.make(space)
        let path = space("cache/forge.db")
        let good = try Files.read(path)
        var dice = Dice(42)
        var (served, refused) = (0, 0)
        for round in 0..<150 {
            // The header and the schema more often than their size says.
            let place = Int.random(in: 0..<(round % 3 == 0 ? 8192 : good.count), using: &dice)
            var bytes = good
            bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &dice)
            for suffix in ["-wal", "-shm"] { try Files.remove(path + suffix) }
            try Files.write(path, bytes)
            if let store = try? Store(directory: space("cache"), readOnly: round % 2 == 0) {
                try Self.serve(store, "byte \(place)")
                served += 1
            } else {
                refused += 1
            }
        }
        #expect(served > 50)
        print("single bits: \(served) caches answered rightly or not at all, \(refused) were refused whole")
    }

    @Test func aChangedResultCountsForNothingAndIsNamed() throws {
        let space = try TestSpace(inMemory: true)
        let store = try space.store()
        let sample = Sample(0)
        try sample.make(in: store)
        // Still JSON, still a result, but of another file.
        try store.database.use { connection throws(ForgeError) in
            try connection.run("UPDATE actions SET result = replace(result, '\"f\"', '\"g\"')")
        }
        #expect(try store.lookup(sample.key) == nil)
        #expect(store.takeNotices().first?.contains(sample.key.hex) == true && store.takeNotices().isEmpty)
        #expect(try store.verify() == [StoreDamage(subject: .action(sample.key), reason: "its row has changed")])
        try sample.make(in: store)
        #expect(try store.lookup(sample.key) != nil)
        #expect(try store.verify().isEmpty)
    }

    @Test func changedMemosCountForNothing() throws {
        let space = try TestSpace(inMemory: true)
        let path = space("file")
        do {
            let store = try space.store()
            store.setMemo("kind", [1], [1, 2, 3])
            try Files.write(path, "text")
            try store.flush()
            let identity = try #require(try Files.status(path)?.identity)
            try store.database.use { connection throws(ForgeError) in
                let digest = Digest.of("other").stored
                try connection.run(
                    "INSERT INTO files(path, identity, digest, seal) VALUES(?, ?, ?, 5)",
                    [.text(path), .blob(identity.stored), .blob(digest)])
                try connection.run("UPDATE memo SET value = x'010204'")
            }
        }
        let store = try space.store()
        #expect(try store.memo("kind", [1]) == nil)
        #expect(try store.verify().count == 2)
        // This may put a right row in the place of the wrong one.
        #expect(try store.digest(ofFile: path) == Digest.of("text"))
        #expect(try (1...2).contains(Store.repair(directory: space("cache")).count))
        #expect(try space.store().verify().isEmpty)
    }

    // MARK: Objects

    /// Every way to read an object notices that its bytes are others, and says which.
    @Test func noWayToReadAnObjectGivesChangedBytes() throws {
        let space = try TestSpace(inMemory: true)
        let store = try space.store()
        let sample = Sample(0)
        let tree = try Tree.load(sample.make(in: store), from: store)
        try space.harm(sample.largeDigest)
        try store.database.use { connection throws(ForgeError) in
            try connection.run("UPDATE objects SET bytes = zeroblob(size) WHERE size = 200")
        }
        for digest in [sample.largeDigest, sample.smallDigest] {
            for read in [
                { _ = try store.read(digest) }, { try store.each(digest) { _ in } },
                { try store.export(digest, to: space("x"), mode: 0o644) },
                { try store.write(digest, to: FileDescriptor(opening: space("y"), flags: O_RDWR | O_CREAT)) },
                { try TreeWriter.checkOut(tree, from: store, to: space("t"), owner: .ignore) },
            ] {
                let error = #expect(throws: ForgeError.self) { try read() }
                #expect(error?.object == sample.largeDigest || error?.object == sample.smallDigest)
                #expect(error?.message.contains("bytes have another hash") == true)
                try Directory.remove(space("t"))
            }
        }
        #expect(!Files.exists(space("x")))
        // What the helper says of it reaches the main program.
        let error = StoreFault.damaged(sample.largeDigest, "here", "why")
        #expect(ForgeError(json: error.json) == error && ForgeError(json: error.json)?.object == sample.largeDigest)
    }

    @Test func healingDropsWhatIsDamagedAndResultsThatNeedIt() throws {
        let space = try TestSpace(inMemory: true)
        let store = try space.store()
        var trees: [Digest] = []
        for number in 0..<3 { trees.append(try Sample(number).make(in: store)) }
        try space.harm(Sample(1).largeDigest)
        // Two are suspected; one is sound.
        let lost = try store.heal([(Sample(0).largeDigest, .file), (trees[1], .tree)])
        #expect(lost == [Sample(1).largeDigest])
        #expect(try store.lookup(Sample(0).key) != nil && store.lookup(Sample(2).key) != nil)
        #expect(try store.lookup(Sample(1).key) == nil)
        #expect(try !store.contains(Sample(1).largeDigest) && store.contains(Sample(1).smallDigest))
        #expect(try store.verify().isEmpty)
        #expect(try store.heal([(trees[0], .tree)]).isEmpty)
        // A missing one; the tree of its result is still there, and does not save it.
        try store.database.use { connection throws(ForgeError) in
            try connection.run("DELETE FROM objects WHERE hash = ?", [.blob(Sample(2).smallDigest.hash)])
        }
        #expect(try store.heal([(Sample(2).smallDigest, .file)]) == [Sample(2).smallDigest])
        #expect(try store.lookup(Sample(2).key) == nil)
        for number in 0..<3 { try Sample(number).make(in: store) }
        #expect(try store.verify().isEmpty)
        #expect(try Contents(store, samples: 0..<3).results.count == 3)
    }

    @Test func aChangedCheckoutIsFoundAndDropped() throws {
        let space = try TestSpace(inMemory: true)
        let store = try space.store()
        let owner: OwnerPolicy = Tools.isRoot ? .apply : .ignore
        let tree = try Sample(0).make(in: store)
        let path: String
        do { path = try Checkouts(store, map: "root", owner: owner).open(tree).path }
        #expect(try store.verify().isEmpty)
        chmod(path + "/small", 0o644)
        let file = try FileDescriptor(opening: path + "/small", flags: O_WRONLY)
        try file.write([7])
        let found = try store.verify()
        #expect(found.map(\.subject) == [.checkout(path)] && found[0].reason.contains("small"), "\(found)")
        #expect(try Store.repair(directory: space("cache")) == found)
        #expect(!Files.exists(path))
        #expect(try Checkouts(store, map: "root", owner: owner).open(tree).path == path)
        #expect(try store.verify().isEmpty)
    }
}
