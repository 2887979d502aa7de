import ForgeArchive
import ForgeBase
import ForgeEngine
import ForgeScripts
import ForgeStore
import ForgeSystem
import Glibc
import Testing

@testable import ForgeStages

@Suite final class LayerStagesTests {
    private let scratch: String
    private let store: Store

    init() throws {
        var template = Array("/tmp/forge-layers-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        scratch = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        store = try Store(directory: scratch + "/cache")
    }

    deinit { try? Directory.remove(scratch) }

    private func context(_ options: [(String, JSON)], _ inputs: [(String, Tree)] = []) throws -> StageContext {
        StageContext(
            store: store, scratch: scratch,
            inputs: try inputs.enumerated().map { index, input in
                .init(name: input.0, label: "layer \(index)", kind: .tree, digest: try input.1.save(in: store))
            }, options: .object(options), epoch: 1_700_000_000, architecture: "amd64", jobs: 2)
    }

    private func result(_ result: StageResult) throws -> Tree {
        try Tree.load(try #require(result.outputs.first).digest, from: store)
    }

    private func file(_ path: String, _ text: String, mode: UInt32 = 0o644) throws -> TreeEntry {
        TreeEntry(ByteString(path), .file(try store.put(Array(text.utf8))), mode: mode)
    }

    private func directories(_ paths: String...) -> [TreeEntry] {
        ([""] + paths).map { TreeEntry(ByteString($0), .directory, mode: 0o755) }
    }

    @Test func anOverlayHasItsFilesAndTheDirectoriesAboveThem() throws {
        let source = try Tree(
            directories("etc", "root") + [file("etc/motd", "hi\n"), file("root/run", "#!\n", mode: 0o755)])
        let tree = try result(
            OverlayStage(
                context: context(
                    [
                        (
                            "files",
                            .array([
                                .object([("path", .string("/opt/a/b")), ("content", .string("b")), ("uid", .int(7))]),
                                .object([("path", .string("/opt/l")), ("link", .string("a/b"))]),
                                .object([("path", .string("/var/tmp/x")), ("content", .string(""))]),
                            ])
                        ),
                        ("attributes", .array([.object([("path", .string("/etc/motd")), ("mode", .string("0600"))])])),
                        ("remove", .array([.string("/usr/share/doc/thing")])),
                    ], [("source", source)])
            ).run())
        #expect(tree["etc/motd"]?.mode == 0o600)
        #expect(tree["root/run"]?.mode == 0o755)
        // The uppermost layer decides a directory's mode: these must stay what they are everywhere.
        #expect(tree["root"]?.mode == 0o700)
        #expect(tree["var/tmp"]?.mode == 0o1777)
        #expect(tree["opt/a"]?.mode == 0o755)
        #expect(tree["opt/a/b"]?.uid == 7)
        #expect(tree["opt/l"]?.kind == .symlink("a/b"))
        #expect(tree["usr/share/doc/thing"]?.isWhiteout == true)
    }

    @Test func attributesOfNothingAreAnError() throws {
        let options = [
            ("attributes", JSON.array([.object([("path", .string("/etc/no")), ("mode", .string("0600"))])]))
        ]
        let error = try #require(throws: ForgeError.self) { try OverlayStage(context: context(options)).run() }
        #expect(error.message.contains("/etc/no"))
    }

    @Test func aStackIsMergedAsOverlayFSShowsIt() throws {
        let lower = try Tree(directories("etc", "usr", "usr/lib") + [file("etc/a", "1"), file("etc/b", "1")])
        let upper = try Tree(
            directories("etc", "usr") + [file("etc/a", "2"), .whiteout("etc/b"), .whiteout("usr/lib")])
        let tree = try result(MergeStage(context: context([], [("layers", lower), ("layers", upper)])).run())
        #expect(try tree == Tree(directories("etc", "usr") + [file("etc/a", "2")]))
    }

    @Test func aDirectoryOverALinkToOneIsRefused() throws {
        let lower = try Tree(directories("usr", "usr/lib") + [TreeEntry("lib", .symlink("usr/lib"), mode: 0o777)])
        let upper = try Tree(directories("lib") + [file("lib/x", "x")])
        let error = try #require(throws: ForgeError.self) {
            try MergeStage(context: context([], [("layers", lower), ("layers", upper)])).run()
        }
        #expect(error.message.contains("/lib") && error.message.contains("usr/lib"), "\(error)")
    }

    @Test func aTarballIsTheSameEveryTime() throws {
        let tree = try Tree(directories("etc") + [file("etc/a", "1", mode: 0o4755)])
        func pack() throws -> [UInt8] {
            let made = try TarballStage(context: context([("level", .int(3))], [("tree", tree)])).run()
            return try store.read(try #require(made.outputs.first).digest)
        }
        let archive = try pack()
        #expect(try pack() == archive)
        try Files.write(scratch + "/t.tar.zst", archive)
        let list = try Command("tar", ["-tvf", "t.tar.zst"], directory: scratch).outputOrThrow()
        #expect(String(decoding: list, as: UTF8.self).contains("-rwsr-xr-x 0/0"))
    }
}
