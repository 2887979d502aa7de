import ForgeBase
import ForgeSystem
import Glibc
import Testing

@testable import ForgeStore

@Suite struct NoteFileTests {
    let cache: TestSpace

    init() throws { cache = try TestSpace() }

    private func note(_ key: String) -> NoteFile {
        NoteFile(cache: cache.path, folder: "up-to-date", key: Array(key.utf8))
    }

    /// The only file there is.
    private func file() throws -> String {
        let folder = cache.path + "/up-to-date"
        return "\(folder)/\(try #require(Files.list(folder).first))"
    }

    @Test func whatWasWrittenIsReadUnderItsKeyAlone() throws {
        #expect(try note("a").read() == nil)
        try note("a").write([1, 2, 3])
        try note("b").write([])
        #expect(try note("a").read().map(Array.init) == [1, 2, 3])
        #expect(try note("b").read().map(Array.init) == [])
        try note("a").write([4])
        #expect(try note("a").read().map(Array.init) == [4])
        #expect(try note("c").read() == nil)
    }

    @Test func whatIsDamagedIsMissing() throws {
        try note("a").write(Array(0..<100))
        let path = try file()
        let good = try Files.read(path)
        for at in good.indices {
            var bad = good
            bad[at] ^= 1
            try Files.write(path, bad)
            #expect(try note("a").read() == nil, "byte \(at)")
        }
        for count in [0, 1, 15, 16, 17, good.count - 1] {
            try Files.write(path, Array(good.prefix(count)))
            #expect(try note("a").read() == nil, "\(count) bytes")
        }
        try Files.write(path, good)
        #expect(try note("a").read() != nil)
    }

    /// Two keys of one name: the seal of the wanted key does not save a value that is another's.
    @Test func aValueOfAnotherKeyIsMissing() throws {
        try note("a").write([1])
        let path = try file()
        let bytes = try Files.read(path)
        try note("b").write([2])
        let folder = cache.path + "/up-to-date"
        for name in try Files.list(folder) { try Files.write("\(folder)/\(name)", bytes) }
        #expect(try note("b").read() == nil)
    }

    @Test func collectionRemovesWhatIsTooOld() throws {
        let store = try Store(directory: cache.path)
        try note("a").write([1])
        _ = try store.collect(CollectionPolicy())
        #expect(try note("a").read() != nil)
        let path = try file()
        var times = [
            timespec(tv_sec: time(nil) - 90_000, tv_nsec: 0), timespec(tv_sec: time(nil) - 90_000, tv_nsec: 0),
        ]
        #expect(utimensat(AT_FDCWD, path, &times, 0) == 0)
        _ = try store.collect(CollectionPolicy())
        #expect(try note("a").read() == nil)
    }
}
