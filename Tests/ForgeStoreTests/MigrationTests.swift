import ForgeBase
import ForgeSystem
import StoreSamples
import Testing

@testable import ForgeStore

/// Databases of other versions of the schema.
@Suite struct MigrationTests {
    /// A cache as the first schema had it.
    static func makeVersion1(_ directory: String, results: Range<Int>) throws {
        try Files.makeDirectories(directory)
        do {
            // The objects are the same in every version.
            let store = try Store(directory: directory)
            for number in results { try Sample(number).make(in: store) }
        }
        for suffix in ["", "-wal", "-shm"] {
            try? Files.move("\(directory)/forge.db\(suffix)", to: "\(directory)/new.db\(suffix)")
        }
        let database = try Database(directory + "/forge.db", schema: [Schema.versions[0]], readOnly: false)
        try database.use { connection throws(ForgeError) in
            try connection.script(
                """
                ATTACH '\(directory)/new.db' AS new;
                INSERT INTO objects SELECT hash, size, encoding, bytes FROM new.objects;
                INSERT INTO actions SELECT key, result, created, last_used FROM new.actions;
                INSERT INTO memo VALUES('kind', x'01', x'02');
                INSERT INTO files VALUES('/a', x'03', zeroblob(40));
                DETACH new;
                """)
        }
        for suffix in ["", "-wal", "-shm"] { try Files.remove("\(directory)/new.db\(suffix)") }
    }

    private func version(_ path: String) throws -> Int64? {
        // Without a schema nothing is brought forward.
        try Database(path, schema: [], readOnly: false, salvage: true).use { connection throws(ForgeError) in
            try connection.int("PRAGMA user_version")
        }
    }

    @Test func theFirstVersionIsBroughtForward() throws {
        let space = try TestSpace()
        try Self.makeVersion1(space("cache"), results: 0..<3)
        #expect(try version(space("cache/forge.db")) == 1)
        let error = #expect(throws: ForgeError.self) { try Store(directory: space("cache"), readOnly: true) }
        #expect(error?.message.contains("an older forge (schema 1") == true)
        let store = try space.store()
        for number in 0..<3 { #expect(try store.lookup(Sample(number).key) != nil) }
        #expect(try store.memo("kind", [1]) == [2])
        #expect(try store.verify().isEmpty)
        #expect(try version(space("cache/forge.db")) == Int64(Schema.versions.count))
    }

    @Test func aNewerOneIsRefusedAndLeftAlone() throws {
        let space = try TestSpace()
        do {
            let store = try space.store()
            try Sample(0).make(in: store)
            try store.database.use { connection throws(ForgeError) in
                try connection.script("PRAGMA user_version = \(Schema.versions.count + 1)")
            }
        }
        for attempt in [
            { _ = try space.store() }, { _ = try Store.repair(directory: space("cache")) },
            { _ = try Store.verify(directory: space("cache")) },
        ] {
            let error = #expect(throws: ForgeError.self) { try attempt() }
            #expect(error?.message.contains("newer forge (schema \(Schema.versions.count + 1)") == true)
            #expect(error?.remedy?.contains("--cache") == true)
        }
        #expect(try version(space("cache/forge.db")) == Int64(Schema.versions.count + 1))
        #expect(!Files.exists(space("cache/forge.db.damaged-1")))
    }

    @Test func aVersionThatCannotBeIsDamage() throws {
        let space = try TestSpace()
        do { try Sample(0).make(in: try space.store()) }
        // The field of the header, at byte 60.
        var bytes = try Files.read(space("cache/forge.db"))
        bytes[60] ^= 0x40
        try Files.write(space("cache/forge.db"), bytes)
        let error = #expect(throws: ForgeError.self) { try space.store() }
        #expect(error?.remedy?.contains("forge cache repair") == true)
        #expect(try Store.repair(directory: space("cache")).count == 1)
        #expect(try space.store().lookup(Sample(0).key) != nil)
    }

    @Test func processesThatOpenAnOldCacheAtOnceAllFindItNew() throws {
        let space = try TestSpace()
        try Self.makeVersion1(space("cache"), results: 0..<3)
        try Threads.forEach(8, width: 8) { _ in
            let done = try Tools.run(Tools.probe, ["open", space("cache")])
            guard done.code == 0 else { throw ForgeError(.bug, done.text) }
        }
        #expect(try space.store().verify().isEmpty)
    }

    /// A script that fails half way leaves the version before it.
    @Test func aMigrationIsAllOrNothing() throws {
        let space = try TestSpace()
        let path = space("some.db")
        let first = "CREATE TABLE a(x INTEGER); INSERT INTO a VALUES(1);"
        _ = try Database(path, schema: [first], readOnly: false)
        let bad = ["ALTER TABLE a ADD COLUMN y; UPDATE a SET y = 2;", "CREATE TABLE a(z);"]
        #expect(throws: ForgeError.self) { try Database(path, schema: [first] + bad, readOnly: false) }
        let again = try Database(path, schema: [first], readOnly: false)
        #expect(try again.use { connection throws(ForgeError) in try connection.int("SELECT count(*) FROM a") } == 1)
        #expect(try version(path) == 1)
    }
}
