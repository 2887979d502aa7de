import ForgeBase
import ForgeSystem
import Testing

@testable import ForgeStore

@Suite struct HistoryTests {
    /// What a build had for each action: name → what its key is made from.
    typealias Values = [(name: String, value: String)]

    /// Records a build as the program does: rows for what ran, counts for the rest.
    @discardableResult
    func build(
        _ store: Store, _ recipe: String = "node", parameters: String = "{}", ran: Values, hits: Values = [],
        rest: Values = []
    ) throws -> Int64 {
        var record = BuildRecord(
            recipe: recipe, cell: "default", parameters: parameters, started: 5, seconds: 1.5, outcome: "done",
            details: .object([("n", .int(1))]))
        (record.ran, record.hits) = (ran.count, hits.count + rest.count)
        (record.savedSeconds, record.savedBytes, record.madeBytes, record.cpuSeconds) = (30, 1 << 40, 7, 0.5)
        var state = KeyState()
        for item in ran + hits + rest { state.add(Digest.of(item.value)) }
        var parts: [Digest: [KeyPart]] = [:]
        let actions = (ran.map { ($0, true) } + hits.map { ($0, false) }).enumerated().map { position, item in
            let key = Digest.of(item.0.value)
            parts[key] = [KeyPart(name: "setting stage", value: "s"), KeyPart(name: "option v", value: item.0.value)]
            return BuildAction(
                name: item.0.name, position: position, key: key, outcome: item.1 ? .ran : .hit, start: 0.25,
                seconds: 2, cpuSeconds: 3, maxMemory: 4, outputBytes: 5,
                sources: .object([("tree input", .string("node/base.tree"))]))
        }
        return try store.recordBuild(record, actions: actions, parts: parts, state: state)
    }

    func rows(_ store: Store, _ table: String) throws -> Int {
        Int(
            try store.database.use { connection throws(ForgeError) in
                try connection.int("SELECT count(*) FROM \(table)")
            } ?? -1)
    }

    @Test func everyColumnComesBack() throws {
        let space = try TestSpace()
        let store = try space.store()
        let first = try build(store, ran: [("node/base", "a"), ("node/iso", "i")])
        let second = try build(store, ran: [("node/base", "b")], rest: [("node/iso", "i")])
        try build(store, "other", ran: [("other/base", "a")])
        let records = try store.builds(recipe: "node")
        #expect(records.map(\.id) == [second, first])
        let record = try #require(try store.build(second))
        #expect(record == records.first)
        #expect(record.ran == 1 && record.hits == 1 && record.cpuSeconds == 0.5 && record.madeBytes == 7)
        #expect(record.savedSeconds == 30 && record.savedBytes == 1 << 40 && record.parameters == "{}")
        #expect(record.details["n"]?.int == 1 && record.seconds == 1.5)
        #expect(try store.builds().count == 3)
        #expect(try store.builds(lineage: record.lineage, before: second).map(\.id) == [first])
        let action = try #require(try store.actions(ofBuild: second).first)
        #expect(action.start == 0.25 && action.cpuSeconds == 3 && action.maxMemory == 4 && action.outputBytes == 5)
        #expect(action.sources["tree input"]?.string == "node/base.tree")
        #expect(try store.keyParts(of: Digest.of("a"))?.last == KeyPart(name: "option v", value: "a"))
        #expect(try store.outputBytes(ofKey: Digest.of("a")) == 5)
        #expect(try store.outputBytes(ofKey: Digest.of("never")) == nil)
    }

    @Test func whatABuildDidNotRecordIsAsItWasBefore() throws {
        let space = try TestSpace()
        let store = try space.store()
        let first = try build(store, ran: [("a", "1"), ("b", "1")])
        let second = try build(store, ran: [("a", "2")], rest: [("b", "1")])
        let back = try build(store, ran: [], hits: [("a", "1")], rest: [("b", "1")])
        let lineage = try #require(try store.build(first)).lineage
        func value(_ name: String, _ build: Int64) throws -> Digest? {
            try store.newest(name, lineage: lineage, upTo: build)?.action.key
        }
        #expect(try value("a", first) == Digest.of("1") && value("a", second) == Digest.of("2"))
        #expect(try value("a", back) == Digest.of("1"), "edited and back: the newest build had the first key")
        #expect(try value("b", back) == Digest.of("1"))
        #expect(try store.state(lineage: lineage, upTo: second).mapValues(\.build) == ["a": second, "b": first])
        #expect(try rows(store, "build_actions") == 4, "b was written once")
    }

    @Test func parametersMakeLineages() throws {
        let space = try TestSpace()
        let store = try space.store()
        try build(store, parameters: #"{"suite":"bookworm"}"#, ran: [("a", "1")])
        try build(store, parameters: #"{"suite":"trixie"}"#, ran: [("a", "2")])
        let lineage = try #require(
            try store.lineage(recipe: "node", cell: "default", parameters: #"{"suite":"bookworm"}"#))
        #expect(try store.newest("a", lineage: lineage.id)?.action.key == Digest.of("1"))
        #expect(try store.newest("a", lineage: nil)?.action.key == Digest.of("2"))
        #expect(try store.lineage(recipe: "node", cell: "default", parameters: "{}") == nil)
    }

    @Test func theStateTellsWhichKeysAreNew() throws {
        let space = try TestSpace()
        let store = try space.store()
        let keys = (0..<1000).map { Digest.of("\($0)") }
        var old = KeyState()
        for key in keys { old.add(key) }
        try store.recordBuild(
            BuildRecord(recipe: "r", cell: "", parameters: "", started: 0, seconds: 0, outcome: "done"), actions: [],
            parts: [:], state: old)
        let stored = try #require(try store.lineage(recipe: "r", cell: "", parameters: "")?.state)
        #expect(stored == old)
        var new = KeyState()
        for key in keys.dropFirst().reversed() { new.add(key) }
        let changed = Digest.of("changed")
        new.add(changed)
        #expect(new != old && new.mayDiffer(changed, from: old))
        // Two buckets of 256 differ: nearly all of the other keys are known to be the same.
        #expect(keys.dropFirst().count { new.mayDiffer($0, from: old) } < 30)
    }

    @Test func goneActionsAreNotInTheState() throws {
        let space = try TestSpace()
        let store = try space.store()
        let first = try build(store, ran: [("a", "1"), ("b", "1")])
        let lineage = try #require(try store.build(first)).lineage
        try store.recordBuild(
            BuildRecord(recipe: "node", cell: "default", parameters: "{}", started: 0, seconds: 0, outcome: "done"),
            actions: [BuildAction(name: "b", position: 0, key: nil, outcome: .gone)], parts: [:], state: KeyState())
        #expect(try store.names(lineage: lineage) == ["a"])
        #expect(try store.state(lineage: lineage, upTo: first).count == 2)
    }

    @Test func theOldestBuildsAreForgottenButNotWhatLaterOnesStillHad() throws {
        let space = try TestSpace()
        let store = try space.store()
        try build(store, ran: [("kept", "k"), ("a", "0")])
        for number in 1..<(Store.builds + 3) {
            try build(store, ran: [("a", "\(number)")], rest: [("kept", "k")])
        }
        #expect(try store.builds(recipe: "node", limit: 1000).count == Store.builds)
        let newest = try #require(try store.builds(limit: 1).first)
        let oldest = try #require(try store.builds(limit: 1000).last)
        #expect(oldest.id == 4)
        for number in 0..<3 { #expect(try store.keyParts(of: Digest.of("\(number)")) == nil) }
        #expect(try store.keyParts(of: Digest.of("3")) != nil)
        #expect(try store.state(lineage: newest.lineage, upTo: oldest.id).mapValues(\.build) == ["kept": 1, "a": 4])
        #expect(try rows(store, "build_actions") == Store.builds + 1)
        #expect(try rows(store, "key_parts") == Store.builds + 1)
        // A lineage without builds is forgotten as a whole.
        try build(store, parameters: "other", ran: [("x", "y")])
        for number in 0..<Store.builds { try build(store, ran: [("a", "new \(number)")], rest: [("kept", "k")]) }
        #expect(try rows(store, "lineages") == 1)
        #expect(try store.keyParts(of: Digest.of("y")) == nil)
    }

    /// The cost of a build with one change in a large graph is that of the change.
    @Test func oneChangeInALargeGraphWritesOneRow() throws {
        let space = try TestSpace()
        let store = try space.store()
        let values = (0..<20_000).map { (name: "r/a\($0)", value: "\($0)") }
        try build(store, ran: values)
        try build(store, ran: [("r/a7", "new")], rest: values.filter { $0.name != "r/a7" })
        #expect(try rows(store, "build_actions") == 20_001)
    }

    // MARK: Migration

    /// A database as the first released schema made it, with two builds in it.
    func oldDatabase(_ path: String) throws {
        try Files.makeDirectories(Files.parent(of: path))
        let database = try Database(path, schema: [Schema.versions[0]], readOnly: false)
        try database.transaction { connection throws(ForgeError) in
            for (id, seconds, outcome) in [(7, 2.5, "done"), (9, 1.0, "failed")] as [(Int64, Double, String)] {
                try connection.run(
                    "INSERT INTO builds(id, recipe, cell, started, seconds, outcome, details) VALUES(?,?,?,?,?,?,?)",
                    [.int(id), .text("node"), .text("default"), .int(100), .real(seconds), .text(outcome), .text("{}")])
            }
            let rows: [(Int64, Int64, String, String?, String)] = [
                (7, 0, "node/base", "a", "ran"), (7, 1, "node/iso", "i", "ran"),
                (9, 0, "node/base", "a", "hit"), (9, 1, "node/iso", "j", "failed"), (9, 2, "node/disk", nil, "skipped"),
            ]
            for row in rows {
                try connection.run(
                    "INSERT INTO build_actions(build, position, name, key, outcome, seconds) VALUES(?,?,?,?,?,?)",
                    [
                        .int(row.0), .int(row.1), .text(row.2), row.3.map { .blob(Digest.of($0).stored) } ?? .null,
                        .text(row.4), .real(1.25),
                    ])
            }
            try connection.run(
                "INSERT INTO key_parts(key, parts) VALUES(?,?)",
                [.blob(Digest.of("a").stored), .text(#"[["option v","a"]]"#)])
        }
    }

    @Test func aDatabaseOfTheFirstVersionIsBroughtForwardWithItsRows() throws {
        let space = try TestSpace()
        try oldDatabase(space("cache/forge.db"))
        let refused = #expect(throws: ForgeError.self) { try Store(directory: space("cache"), readOnly: true) }
        #expect(refused?.message.contains("was written by an older forge (schema 1") == true)
        let store = try space.store()
        let version = try store.database.use { connection throws(ForgeError) in
            try connection.int("PRAGMA user_version")
        }
        #expect(version == Int64(Schema.versions.count))
        let builds = try store.builds(recipe: "node")
        #expect(builds.map(\.id) == [9, 7] && builds.map(\.outcome) == ["failed", "done"])
        #expect(builds.map(\.ran) == [0, 2] && builds.map(\.hits) == [1, 0])
        #expect(builds.map(\.failed) == [1, 0] && builds.map(\.skipped) == [1, 0])
        #expect(builds.allSatisfy { $0.parameters == "" && $0.seconds > 0 && $0.savedSeconds == 0 })
        #expect(try store.actions(ofBuild: 9).map(\.name) == ["node/base", "node/iso", "node/disk"])
        #expect(try store.actions(ofBuild: 7).map(\.seconds) == [1.25, 1.25])
        #expect(try store.newest("node/iso", lineage: nil)?.action.key == Digest.of("j"))
        #expect(try store.keyParts(of: Digest.of("a")) == [KeyPart(name: "option v", value: "a")])
        // New builds go on in the same database.
        let next = try build(store, ran: [("node/base", "b")], rest: [("node/iso", "j")])
        #expect(next == 10)
        #expect(try store.newest("node/base", lineage: nil)?.build == 10)
    }
}
