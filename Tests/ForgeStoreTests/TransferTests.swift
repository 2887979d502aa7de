import ForgeBase
import ForgeSystem
import StoreSamples
import Testing

@testable import ForgeStore

/// Builds as files: export and import.
@Suite struct TransferTests {
    static func closure(_ numbers: [Int], objects: [(Digest, ActionResult.Output.Kind)] = []) -> BuildClosure {
        BuildClosure(
            about: [("recipe", .string("sample"))], actions: numbers.map { ("sample \($0)", Sample($0).key) },
            objects: objects.map { ($0.0, $0.1) })
    }

    @Test func whatIsExportedCanBeImportedElsewhere() throws {
        let space = try TestSpace(inMemory: true)
        let store = try space.store()
        for number in 0..<4 { try Sample(number).make(in: store) }
        let source = try store.put([UInt8](repeating: 3, count: 70_000))
        let sources = try Tree(Tree.empty.entries + [TreeEntry("a", .file(source), mode: 0o644)]).save(in: store)
        let closure = Self.closure([0, 2], objects: [(sources, .tree)])
        let report = try store.export(closure, to: space("a.forge"))
        #expect(report.actions == 2 && report.objects == 8)
        let other = try Store(directory: space("other"))
        let taken = try other.takeIn(space("a.forge"))
        #expect(taken.about["recipe"]?.string == "sample")
        #expect((taken.actions, taken.objects, taken.known, taken.bytes) == (2, 8, 0, report.bytes))
        for number in [0, 2] {
            var result = try #require(try store.lookup(Sample(number).key))
            // How long it took says nothing elsewhere.
            (result.seconds, result.cpuSeconds, result.maxMemory) = (0, 0, 0)
            #expect(try other.lookup(Sample(number).key) == result)
        }
        #expect(try other.lookup(Sample(1).key) == nil)
        #expect(try Tree.load(sources, from: other).objects == [source] && other.contains(source))
        #expect(try other.verify().isEmpty)
        // Again changes nothing.
        #expect(try other.takeIn(space("a.forge")).known == 8)
        #expect(!Files.exists(space("a.forge.new")))
    }

    @Test func equalClosuresAreEqualFiles() throws {
        let space = try TestSpace(inMemory: true)
        for (i, order) in [[0, 1, 2], [2, 1, 0]].enumerated() {
            let store = try Store(directory: space("cache\(i)"))
            for number in order {
                try Sample(number).make(in: store)
                var result = try #require(try store.lookup(Sample(number).key))
                result.seconds = Double(i)
                try store.commit(Sample(number).key, result)
            }
            _ = try store.export(Self.closure(order), to: space("\(i).forge"))
        }
        #expect(try Files.read(space("0.forge")) == Files.read(space("1.forge")))
    }

    /// The format is what its description says: other programs can read it.
    @Test func itIsATarArchiveInZstandard() throws {
        guard Files.exists("/usr/bin/zstd") else { return }
        let space = try TestSpace(inMemory: true)
        let store = try space.store()
        try Sample(0).make(in: store)
        _ = try store.export(Self.closure([0]), to: space("a.forge"))
        let listed = try Tools.run("/bin/sh", ["-c", "zstd -dcq <\(space("a.forge")) | tar -tvf -"])
        let lines = listed.text.split(separator: "\n")
        #expect(listed.code == 0 && lines.count == 5, "\(listed.text)")
        #expect(lines.first?.hasSuffix("forge-closure") == true && lines[0].hasPrefix("-r--r--r-- 0/0"))
        #expect(lines[1...3].allSatisfy { $0.contains(" objects/") } && lines[4].contains(" actions/"))
        let large = try Tools.run(
            "/bin/sh",
            [
                "-c",
                "zstd -dcq <\(space("a.forge")) | tar -xOf - objects/\(Sample(0).largeDigest.hex) | sha256sum",
            ])
        #expect(large.text.hasPrefix(Sample(0).largeDigest.hex))
    }

    @Test func largeSizesHaveTheirHeader() throws {
        for size in [0, 1, 511, 512, 8_589_934_591, 8_589_934_592, 1 << 50] as [Int64] {
            let header = ClosureFile.header("objects/x", size: size)
            #expect(header.count == 512)
            let parsed = ClosureFile.parse(header)
            #expect(parsed?.name == "objects/x" && parsed?.size == size)
            for i in stride(from: 0, to: 512, by: 7) {
                var changed = header
                changed[i] ^= 1
                #expect(ClosureFile.parse(changed) == nil)
            }
        }
    }

    @Test func aFileThatIsCutOffIsRefusedWhole() throws {
        let space = try TestSpace(inMemory: true)
        let store = try space.store()
        try Sample(0).make(in: store)
        _ = try store.export(Self.closure([0]), to: space("a.forge"))
        let bytes = try Files.read(space("a.forge"))
        for count in Array(stride(from: 0, to: bytes.count, by: bytes.count / 40)) + [bytes.count - 1] {
            try Files.write(space("cut.forge"), Array(bytes[..<count]))
            let other = try Store(directory: space("other\(count)"))
            let error = #expect(throws: ForgeError.self) { try other.takeIn(space("cut.forge")) }
            #expect(error?.code == .verification && error?.message.contains("cut.forge") == true)
            #expect(
                error?.message.contains(count == 0 ? "cut off" : "cut off") == true, "\(count): \(error?.message ?? "")"
            )
            #expect(error?.remedy != nil)
            try expectNothingTaken(other)
        }
    }

    @Test func aChangedFileIsRefusedWhole() throws {
        let space = try TestSpace(inMemory: true)
        let store = try space.store()
        try Sample(0).make(in: store)
        _ = try store.export(Self.closure([0]), to: space("a.forge"))
        let bytes = try Files.read(space("a.forge"))
        for place in stride(from: 0, to: bytes.count, by: bytes.count / 60) {
            var changed = bytes
            changed[place] ^= 0x20
            try Files.write(space("changed.forge"), changed)
            let other = try Store(directory: space("other\(place)"))
            // A bit of the stream's own header may mean nothing.
            if let report = try? other.takeIn(space("changed.forge")) {
                #expect(report.actions == 1 && place < 16)
                continue
            }
            try expectNothingTaken(other)
        }
        try Files.write(space("b.forge"), bytes + [0])
        #expect(throws: ForgeError.self) { try store.takeIn(space("b.forge")) }
        try Files.write(space("b.forge"), "no export at all")
        let error = #expect(throws: ForgeError.self) { try store.takeIn(space("b.forge")) }
        #expect(error?.message.contains("no export") == true)
    }

    /// Nothing wrong is in the cache, and no result is: neither is half an import.
    private func expectNothingTaken(_ store: Store) throws {
        #expect(try store.statistics().actions == 0)
        #expect(try store.verify().isEmpty)
    }

    /// Archives that are well-formed, and lie.
    @Test(arguments: ["object", "missing", "key", "format", "name", "path", "count"]) func aLyingFileIsRefused(
        _ lie: String
    ) throws {
        let space = try TestSpace(inMemory: true)
        let sample = Sample(0)
        let writer = try ClosureWriter(space("lie.forge"))
        let tree = try Tree(
            Tree.empty.entries + [
                TreeEntry("large", .file(sample.largeDigest), mode: 0o644),
                TreeEntry("small", .file(sample.smallDigest), mode: 0o644),
            ])
        let count = lie == "count" ? 9 : lie == "missing" ? 2 : lie == "name" || lie == "path" ? 4 : 3
        try writer.add(
            "forge-closure", Array("{\"format\":\(lie == "format" ? 2 : 1),\"actions\":1,\"objects\":\(count)}\n".utf8))
        for bytes in [sample.large, sample.small, tree.encoded()] {
            if lie == "missing", bytes == sample.small { continue }
            var stored = bytes
            if lie == "object", bytes == sample.large { stored[5] ^= 1 }
            try writer.add("objects/\(Digest.of(bytes).hex)", stored)
        }
        if lie == "name" { try writer.add("objects/short", [1]) }
        if lie == "path" { try writer.add("../../etc/passwd", [1]) }
        let result = ActionResult(outputs: [.init(name: "t", kind: .tree, digest: Digest.of(tree.encoded()))])
        let key = lie == "key" ? Sample(1).key : sample.key
        let json = JSON.object([("key", .string(sample.key.description)), ("result", result.json)])
        try writer.add("actions/\(key.hex)", Array(json.description.utf8))
        try writer.finish()
        let store = try space.store()
        let error = #expect(throws: ForgeError.self) { try store.takeIn(space("lie.forge")) }
        #expect(error?.code == .verification)
        if lie == "object" { #expect(error?.message.contains(sample.largeDigest.hex) == true) }
        try expectNothingTaken(store)
        #expect(try !store.contains(sample.largeDigest) || lie != "object")
    }

    @Test func whatIsNotThereCannotBeExported() throws {
        let space = try TestSpace(inMemory: true)
        let store = try space.store()
        try Sample(0).make(in: store)
        let unbuilt = #expect(throws: ForgeError.self) { try store.export(Self.closure([0, 1]), to: space("a.forge")) }
        #expect(unbuilt?.message.contains("sample 1") == true)
        try space.harm(Sample(0).largeDigest)
        let damaged = #expect(throws: ForgeError.self) { try store.export(Self.closure([0]), to: space("a.forge")) }
        #expect(damaged?.object == Sample(0).largeDigest)
        #expect(!Files.exists(space("a.forge")) && !Files.exists(space("a.forge.new")))
    }
}
