import ForgeBase
import ForgeSystem
import Testing

@testable import ForgeStore

/// What every store does, whatever it keeps its objects in.
@Suite struct ConformanceTests {
    enum Backend: CaseIterable { case disk, reopened, memory }

    typealias Both = any ObjectStore & ActionCache

    /// Calls `body` with a store, and a function that gives the same store as a later process sees it.
    func each(_ backend: Backend, _ body: (Both, () throws -> Both, TestSpace) throws -> Void) throws {
        let space = try TestSpace()
        switch backend {
        case .disk:
            let store = try space.store()
            try body(store, { store }, space)
        case .reopened:
            let store = try space.store()
            try body(
                store,
                {
                    try store.flush(); return try space.store()
                }, space)
        case .memory:
            let store = MemoryStore()
            try body(store, { store }, space)
        }
    }

    static let sizes = [0, 1, 1000, Store.inlineLimit, Store.inlineLimit + 1, 1_000_003]

    @Test(arguments: Backend.allCases) func givesBackWhatWasPut(_ backend: Backend) throws {
        try each(backend) { store, again, space in
            var dice = Dice(1)
            for size in Self.sizes {
                let bytes = dice.bytes(size)
                let digest = try store.put(bytes)
                #expect(digest == Digest.of(bytes))
                let later = try again()
                #expect(try later.contains(digest))
                #expect(try later.read(digest) == bytes)
                try later.export(digest, to: space("out-\(size)"), mode: 0o640)
                #expect(try Files.read(space("out-\(size)")) == bytes)
                #expect(try Files.status(space("out-\(size)"))?.mode == 0o640)
            }
        }
    }

    @Test(arguments: Backend.allCases) func storesFilesTextsAndPieces(_ backend: Backend) throws {
        try each(backend) { store, again, space in
            var dice = Dice(2)
            for size in Self.sizes {
                let bytes = dice.bytes(size)
                try Files.write(space("in"), bytes)
                let digest = try store.put(file: space("in"))
                #expect(digest == Digest.of(bytes))
                #expect(try again().read(digest) == bytes)

                let other = dice.bytes(size) + [1]
                try Files.write(space("in"), other)
                try store.adopt(file: space("in"), as: Digest.of(other))
                #expect(!Files.exists(space("in")))
                #expect(try again().read(Digest.of(other)) == other)

                let writer = try store.writer()
                for start in stride(from: 0, to: size, by: 4097) {
                    try writer.write(Array(bytes[start..<min(size, start + 4097)]))
                }
                #expect(try writer.finish() == digest)

                let text = Array(String(repeating: "line \(size)\n", count: size / 8 + 1).utf8)
                let textDigest = try store.put(text: text)
                #expect(textDigest == Digest.of(text))
                #expect(try again().contains(textDigest))
                #expect(try again().read(textDigest) == text)
            }
        }
    }

    @Test(arguments: Backend.allCases) func knowsWhatItLacks(_ backend: Backend) throws {
        try each(backend) { store, _, space in
            for size in [10, 100_000] {
                let absent = Digest.of([UInt8](repeating: 7, count: size))
                let (found, path) = (try store.contains(absent), try store.path(of: absent))
                #expect(!found && path == nil)
                let error = #expect(throws: ForgeError.self) { try store.read(absent) }
                #expect(error?.description.contains(absent.hex) == true)
                #expect(error?.remedy?.contains("forge cache repair") == true)
                #expect(throws: ForgeError.self) { try store.export(absent, to: space("x\(size)"), mode: 0o644) }
                #expect(!Files.exists(space("x\(size)")))
            }
        }
    }

    @Test(arguments: Backend.allCases) func exportRefusesAPathThatExists(_ backend: Backend) throws {
        try each(backend) { store, _, space in
            try Files.write(space("taken"), "mine")
            let digest = try store.put([1, 2, 3])
            #expect(throws: ForgeError.self) { try store.export(digest, to: space("taken"), mode: 0o644) }
            #expect(try Files.read(space("taken")) == Array("mine".utf8))
        }
    }

    @Test(arguments: Backend.allCases) func aWriterThatIsDroppedLeavesNothing(_ backend: Backend) throws {
        try each(backend) { store, _, _ in
            let bytes = [UInt8](repeating: 3, count: 100_000)
            do {
                let writer = try store.writer()
                try writer.write(bytes)
            }
            #expect(try !store.contains(Digest.of(bytes)))
        }
    }

    @Test(arguments: Backend.allCases) func remembersResultsWhoseOutputsExist(_ backend: Backend) throws {
        try each(backend) { store, again, _ in
            let key = Digest.of("key")
            #expect(try store.lookup(key) == nil)
            let file = try store.put([UInt8](repeating: 9, count: 50_000))
            let tree = try Tree.empty.save(in: store)
            let result = ActionResult(
                outputs: [.init(name: "a", kind: .file, digest: file), .init(name: "t", kind: .tree, digest: tree)],
                provides: [.object([("kernel", .string("6.1"))])], seconds: 3, cpuSeconds: 2.25, maxMemory: 1 << 33)
            try store.commit(key, result)
            #expect(try again().lookup(key) == result)
            let absent = ActionResult(outputs: [.init(name: "a", kind: .file, digest: Digest.of("never put"))])
            try store.commit(Digest.of("other"), absent)
            #expect(try again().lookup(Digest.of("other")) == nil)
        }
    }

    @Test(arguments: Backend.allCases) func piecesAreTheWhole(_ backend: Backend) throws {
        try each(backend) { store, again, _ in
            var dice = Dice(3)
            for size in Self.sizes {
                let bytes = dice.bytes(size)
                let digest = try store.put(bytes)
                var pieces: [UInt8] = []
                try again().each(digest) { pieces += $0 }
                #expect(pieces == bytes)
            }
            let error = #expect(throws: ForgeError.self) { try store.each(Digest.of("absent")) { _ in } }
            #expect(error?.object == Digest.of("absent"))
        }
    }

    @Test(arguments: Backend.allCases) func aWriterThatIsToldWhatToExpectTakesNothingElse(_ backend: Backend) throws {
        try each(backend) { store, again, _ in
            for size in [100, 100_000] {
                let bytes = [UInt8](repeating: 4, count: size)
                let wrong = try store.writer()
                try wrong.write(bytes)
                let error = #expect(throws: ForgeError.self) { try wrong.finish(as: Digest.of("something else")) }
                #expect(error?.code == .verification)
                #expect(try !store.contains(Digest.of(bytes)))
                let right = try store.writer()
                try right.write(bytes)
                #expect(try right.finish(as: Digest.of(bytes)) == Digest.of(bytes))
                #expect(try again().read(Digest.of(bytes)) == bytes)
            }
        }
    }

    @Test(arguments: Backend.allCases) func theSameBytesTwiceAreOneObject(_ backend: Backend) throws {
        try each(backend) { store, again, space in
            for size in [10, 50_000] {
                let bytes = [UInt8](repeating: 5, count: size)
                let first = try store.put(bytes)
                try Files.write(space("in"), bytes)
                #expect(try again().put(file: space("in")) == first)
                let later = try again()
                try Files.write(space("in"), bytes)
                try later.adopt(file: space("in"), as: first)
                #expect(try later.put(text: bytes) == first)
                #expect(try again().read(first) == bytes)
            }
        }
    }

    @Test(arguments: Backend.allCases) func theLastResultOfAKeyCounts(_ backend: Backend) throws {
        try each(backend) { store, again, _ in
            let key = Digest.of("key")
            for number in 0..<3 {
                let digest = try store.put([UInt8](repeating: UInt8(number), count: 30_000))
                let result = ActionResult(outputs: [.init(name: "a", kind: .file, digest: digest)], seconds: 0.5)
                try store.commit(key, result)
                #expect(try again().lookup(key) == result)
            }
            let none = ActionResult(outputs: [])
            try store.commit(Digest.of("none"), none)
            #expect(try again().lookup(Digest.of("none")) == none)
        }
    }

    @Test(arguments: Backend.allCases) func treesComeBackEqual(_ backend: Backend) throws {
        try each(backend) { store, again, space in
            for seed in 0..<20 {
                var dice = Dice(seed)
                let digests = try [0, 5, 20_000].map { try store.put(dice.bytes($0)) }
                let tree = dice.tree(60, digests: digests, special: false)
                let digest = try tree.save(in: store)
                #expect(try Tree.load(digest, from: again()) == tree)
                try TreeWriter.checkOut(tree, from: again(), to: space("t\(seed)"), owner: .ignore)
                let read = try TreeReader.ingest(directory: space("t\(seed)"), into: store, owner: .ignore)
                #expect(read == DirectoryTests.expected(tree) || DirectoryTests.isRoot)
            }
            #expect(throws: ForgeError.self) { try Tree.load(try store.put([1, 2, 3]), from: store) }
        }
    }

    @Test(arguments: Backend.allCases) func manyThreadsSeeWholeObjectsOnly(_ backend: Backend) throws {
        try each(backend) { store, _, _ in
            try Threads.forEach(64, width: 8) { number in
                var dice = Dice(number / 4)
                let bytes = dice.bytes(number % 8 < 4 ? 300 : 30_000)
                let digest = Digest.of(bytes)
                if try store.contains(digest), try store.read(digest) != bytes {
                    throw ForgeError(.bug, "half of \(number)")
                }
                guard try store.put(bytes) == digest, try store.read(digest) == bytes else {
                    throw ForgeError(.bug, "lost \(number)")
                }
                let result = ActionResult(outputs: [.init(name: "a", kind: .file, digest: digest)])
                try store.commit(digest, result)
                guard try store.lookup(digest) == result else { throw ForgeError(.bug, "lost result \(number)") }
            }
        }
    }
}
