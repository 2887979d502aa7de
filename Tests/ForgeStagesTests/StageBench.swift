import ForgeBase
import ForgeEngine
import ForgeScripts
import ForgeStore
import ForgeSystem
import Glibc
import Testing

@testable import ForgeStages

/// A store and a scratch directory that built-in stages run in, without a process of their own.
final class StageBench {
    let scratch: String
    let store: Store

    init() throws {
        var template = Array("/tmp/forge-stages-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        scratch = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        store = try Store(directory: scratch + "/cache")
    }

    deinit { try? Directory.remove(scratch) }

    func context(_ options: [(String, JSON)], _ inputs: [(String, Tree)] = []) throws -> StageContext {
        StageContext(
            store: store, scratch: scratch,
            inputs: try inputs.enumerated().map { index, input in
                .init(name: input.0, label: "layer \(index)", kind: .tree, digest: try input.1.save(in: store))
            }, options: .object(options), epoch: 1_700_000_000, architecture: "amd64", jobs: 2)
    }

    /// The tree that is a stage's first output.
    func tree(_ result: StageResult) throws -> Tree {
        try Tree.load(try #require(result.outputs.first).digest, from: store)
    }

    func file(_ path: String, _ text: String, mode: UInt32 = 0o644) throws -> TreeEntry {
        TreeEntry(ByteString(path), .file(try store.put(Array(text.utf8))), mode: mode)
    }

    /// The root and directories below it.
    func directories(_ paths: String...) -> [TreeEntry] {
        ([""] + paths).map { TreeEntry(ByteString($0), .directory, mode: 0o755) }
    }
}
