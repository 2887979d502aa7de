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
                #expect(try later.read(digest, verify: true) == bytes)
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
                #expect(try again().read(digest, verify: true) == bytes)

                let other = dice.bytes(size) + [1]
                try Files.write(space("in"), other)
                try store.adopt(file: space("in"), as: Digest.of(other))
                #expect(!Files.exists(space("in")))
                #expect(try again().read(Digest.of(other), verify: true) == other)

                let writer = try store.writer()
                for start in stride(from: 0, to: size, by: 4097) {
                    try writer.write(Array(bytes[start..<min(size, start + 4097)]))
                }
                #expect(try writer.finish() == digest)

                let text = Array(String(repeating: "line \(size)\n", count: size / 8 + 1).utf8)
                let textDigest = try store.put(text: text)
                #expect(textDigest == Digest.of(text))
                #expect(try again().contains(textDigest))
                #expect(try again().read(textDigest, verify: true) == text)
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
}
