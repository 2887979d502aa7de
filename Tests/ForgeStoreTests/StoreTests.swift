import ForgeBase
import ForgeSystem
import Glibc
import Testing

@testable import ForgeStore

/// What the store on disk does beyond what every store does.
@Suite struct StoreTests {
    @Test func smallObjectsAreRowsAndLargeOnesReadOnlyFiles() throws {
        let space = try TestSpace()
        let store = try space.store()
        let small = try store.put([UInt8](repeating: 1, count: Store.inlineLimit))
        let large = try store.put([UInt8](repeating: 1, count: Store.inlineLimit + 1))
        #expect(try store.path(of: small) == nil)
        let path = try #require(try store.path(of: large))
        #expect(path == space("cache/objects/\(large.hex.prefix(2))/\(large.hex.dropFirst(2))"))
        #expect(try Files.status(path)?.mode == 0o444)
        try store.flush()
        #expect(try store.statistics().rows == 1)
        #expect(try store.statistics().files == 1)
    }

    @Test func rowsAreSharedAfterFlushAndWhenTheStoreCloses() throws {
        let space = try TestSpace()
        var store: Store? = try space.store()
        let other = try space.store()
        let first = try #require(try store?.put([1]))
        #expect(try !other.contains(first))
        try store?.flush()
        #expect(try other.contains(first))
        let second = try #require(try store?.put([2]))
        store = nil
        #expect(try other.contains(second))
    }

    @Test func manyLookUpsAreOneLook() throws {
        let space = try TestSpace()
        let store = try space.store()
        let other = try space.store()
        func result(_ store: Store, _ byte: UInt8) throws -> ActionResult {
            ActionResult(outputs: [.init(name: "out", kind: .file, digest: try store.put([byte]))])
        }
        let (early, late, own) = (Digest.of("early"), Digest.of("late"), Digest.of("own"))
        try other.commit(early, result(other, 1))
        try store.reading {
            #expect(try store.lookup(early) != nil)
            try other.commit(late, result(other, 2))
            #expect(try store.lookup(late) == nil, "all of it sees one moment")
            // A write ends it, and sees what others wrote.
            try store.commit(own, result(store, 3))
            #expect(try store.lookup(own) != nil && store.lookup(late) != nil)
        }
        struct Stop: Error {}
        #expect(throws: Stop.self) {
            try store.reading {
                _ = try store.lookup(early)
                throw Stop()
            }
        }
        try other.commit(late, result(other, 4))
        #expect(try store.lookup(late)?.outputs.first?.digest == Digest.of([4]), "nothing of it is left open")
    }

    @Test func manifestsAreCompressedAndReadBack() throws {
        let space = try TestSpace()
        let store = try space.store()
        var dice = Dice(3)
        let tree = dice.tree(2000)
        let digest = try tree.save(in: store)
        try store.flush()
        #expect(digest == Digest.of(tree.encoded()))
        #expect(try store.statistics().rowBytes < digest.size / 2)
        #expect(try Tree.load(digest, from: space.store()) == tree)
    }

    @Test func readOnlyLooksAndChangesNothing() throws {
        let space = try TestSpace()
        let empty = try Store(directory: space("absent"), readOnly: true)
        #expect(try empty.lookup(Digest.of("key")) == nil)
        #expect(!Files.exists(space("absent")))
        let store = try space.store()
        let digest = try store.put([1, 2, 3])
        try store.commit(Digest.of("key"), ActionResult(outputs: [.init(name: "a", kind: .file, digest: digest)]))
        let reader = try Store(directory: space("cache"), readOnly: true)
        #expect(try reader.lookup(Digest.of("key"))?.outputs.first?.digest == digest)
        #expect(throws: ForgeError.self) { try reader.put([4]) }
        #expect(throws: ForgeError.self) { try reader.commit(Digest.of("k"), ActionResult(outputs: [])) }
    }

    @Test func aNewerSchemaIsRefusedInWords() throws {
        let space = try TestSpace()
        _ = try space.store()
        let database = try Database(space("cache/forge.db"), schema: Schema.versions, readOnly: false)
        try database.use { connection throws(ForgeError) in try connection.script("PRAGMA user_version = 99") }
        let error = #expect(throws: ForgeError.self) { try space.store() }
        #expect(error?.message.contains("newer forge") == true)
        #expect(error?.remedy?.contains("--cache") == true)
        #expect(throws: ForgeError.self) { try Store.repair(directory: space("cache")) }
    }

    @Test func lastUseIsWrittenOncePerHour() throws {
        let space = try TestSpace()
        let store = try space.store()
        let key = Digest.of("key")
        try store.commit(key, ActionResult(outputs: []))
        _ = try store.lookup(key)
        #expect(store.pending.withLock { $0.touched.isEmpty })
        try store.database.use { connection throws(ForgeError) in
            try connection.run("UPDATE actions SET last_used = 1000")
        }
        _ = try store.lookup(key)
        try store.flush()
        #expect(try #require(try store.actionsByUse().first).used > 1_000_000)
        try store.forget(key)
        #expect(try store.lookup(key) == nil)
    }

    /// The page people read shows the tables that there are.
    @Test func readmeShowsTheSchema() throws {
        let readme = Files.parent(of: #filePath) + "/../../cache/README.md"
        let text = String(decoding: try Files.read(readme), as: UTF8.self)
        let shown = try #require(text.split(separator: "```sql\n").last?.split(separator: "```").first)
        let space = try TestSpace()
        /// Every column of every table: name, type, whether it may be null, place in the primary key.
        func columns(_ name: String, _ schema: [String]) throws -> [String] {
            let database = try Database(space(name), schema: schema, readOnly: false)
            return try database.use { connection throws(ForgeError) in
                var found: [String] = []
                try connection.rows(
                    """
                    SELECT m.name || '.' || c.name || ' ' || c.type || ' ' || c."notnull" || ' ' || c.pk
                    FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' ORDER BY 1
                    """
                ) { row throws(ForgeError) in
                    found.append(row.text(0))
                    return true
                }
                return found
            }
        }
        #expect(try columns("shown", [String(shown)]) == columns("real", Schema.versions))
        #expect(text.contains("`PRAGMA user_version` is \(Schema.versions.count)."))
    }

    // MARK: Memos

    @Test func memosAreSeenAtOnceAndByLaterProcesses() throws {
        let space = try TestSpace()
        let store = try space.store()
        #expect(try store.memo("kind", [1]) == nil)
        store.setMemo("kind", [1], [])
        store.setMemo("kind", [], [9])
        #expect(try store.memo("kind", [1]) == [])
        try store.flush()
        #expect(try space.store().memo("kind", [1]) == [])
        #expect(try space.store().memo("kind", []) == [9])
        #expect(try store.memo("other", [1]) == nil)
        store.setMemo("kind", [1], [7])
        #expect(try store.memo("kind", [1]) == [7])
    }

    @Test func unchangedFilesAreNotReadAgain() throws {
        let space = try TestSpace()
        let store = try space.store()
        try Files.write(space("f"), "one")
        // Just written: another write in the same tick of the clock would leave no trace, so nothing is remembered.
        #expect(try store.digest(ofFile: space("f")) == Digest.of("one"))
        let status = try #require(try Files.status(space("f")))
        #expect(try store.rememberedDigest(ofFile: space("f"), status.identity) == nil)
        var old = status.identity
        old.modified -= 5_000_000_000
        old.changed -= 5_000_000_000
        store.remember(Digest.of("one"), ofFile: space("f"), old)
        #expect(try store.rememberedDigest(ofFile: space("f"), old) == Digest.of("one"))
        try store.flush()
        #expect(try space.store().rememberedDigest(ofFile: space("f"), old) == Digest.of("one"))
        var changed = old
        changed.changed += 1
        #expect(try store.rememberedDigest(ofFile: space("f"), changed) == nil)
        #expect(throws: ForgeError.self) { try store.digest(ofFile: space("absent")) }
    }

    // MARK: Scratch

    @Test func scratchGoesWithItsUserOrWithTheNextProcess() throws {
        let space = try TestSpace()
        let store = try space.store()
        var scratch: ScratchDirectory? = try store.makeScratch("action")
        let path = try #require(scratch?.path)
        try Files.makeDirectories(path + "/deep")
        try Files.write(path + "/deep/file", "x", mode: 0o400)
        chmod(path + "/deep", 0)
        // What a killed process leaves: a directory and a lock that nobody holds.
        try Files.makeDirectories(space("cache/tmp/dead-1-1/sub"))
        try Files.write(space("cache/tmp/dead-1-1.lock"), "")
        let other = try space.store()
        #expect(!Files.exists(space("cache/tmp/dead-1-1")) && !Files.exists(space("cache/tmp/dead-1-1.lock")))
        #expect(Files.exists(path))
        scratch = nil
        #expect(try Files.list(space("cache/tmp")) == [".lock"])
        withExtendedLifetime(other) {}
    }
}
