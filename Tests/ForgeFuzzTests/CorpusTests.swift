import ForgeBase
import ForgeFuzz
import ForgeSystem
import Testing

/// The corpus of `ci/fuzz`, which holds every input that once broke something, without the fuzzer.
@Suite struct CorpusTests {
    static let corpus = Files.parent(of: Files.parent(of: #filePath)) + "/Fuzz/corpus"

    @Test(arguments: FuzzTarget.all.map(\.name)) func everyKnownInputIsReadAsItShould(name: String) throws {
        let target = try #require(FuzzTarget.named(name))
        let files = try Files.list("\(Self.corpus)/\(name)")
        #expect(!files.isEmpty)
        for file in files {
            let path = "\(Self.corpus)/\(name)/\(file)"
            do { try target.run(try Files.read(path)) } catch { Issue.record("\(name)/\(file): \(error)") }
        }
    }

    @Test func theCorpusIsSmallAndOfTargetsThatExist() throws {
        var size: Int64 = 0
        for folder in try Files.list(Self.corpus) {
            #expect(FuzzTarget.named(folder.description) != nil, "no target \(folder)")
            for file in try Files.list("\(Self.corpus)/\(folder)") {
                size += try Files.status("\(Self.corpus)/\(folder)/\(file)")?.size ?? 0
            }
        }
        #expect(size < 512 << 10, "\(size) bytes")
    }
}
