import ForgeBase
import ForgeScripts
import ForgeStore
import ForgeSystem
import Testing

@testable import ForgeStages

@Suite struct LayerStagesTests {
    private let bench: StageBench

    init() throws { bench = try StageBench() }

    @Test func anOverlayHasItsFilesAndTheDirectoriesAboveThem() throws {
        let source = try Tree(
            bench.directories("etc", "root") + [
                bench.file("etc/motd", "hi\n"), bench.file("root/run", "#!\n", mode: 0o755),
            ])
        let tree = try bench.tree(
            OverlayStage(
                context: bench.context(
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
        let error = try #require(throws: ForgeError.self) { try OverlayStage(context: bench.context(options)).run() }
        #expect(error.message.contains("/etc/no"))
    }

    @Test func aStackIsMergedAsOverlayFSShowsIt() throws {
        let lower = try Tree(
            bench.directories("etc", "usr", "usr/lib") + [bench.file("etc/a", "1"), bench.file("etc/b", "1")])
        let upper = try Tree(
            bench.directories("etc", "usr") + [bench.file("etc/a", "2"), .whiteout("etc/b"), .whiteout("usr/lib")])
        let tree = try bench.tree(MergeStage(context: bench.context([], [("layers", lower), ("layers", upper)])).run())
        #expect(try tree == Tree(bench.directories("etc", "usr") + [bench.file("etc/a", "2")]))
    }

    @Test func aDirectoryOverALinkToOneIsRefused() throws {
        let lower = try Tree(bench.directories("usr", "usr/lib") + [TreeEntry("lib", .symlink("usr/lib"), mode: 0o777)])
        let upper = try Tree(bench.directories("lib") + [bench.file("lib/x", "x")])
        let error = try #require(throws: ForgeError.self) {
            try MergeStage(context: bench.context([], [("layers", lower), ("layers", upper)])).run()
        }
        #expect(error.message.contains("/lib") && error.message.contains("usr/lib"), "\(error)")
    }

    @Test func aTarballIsTheSameEveryTime() throws {
        let tree = try Tree(bench.directories("etc") + [bench.file("etc/a", "1", mode: 0o4755)])
        func pack() throws -> [UInt8] {
            let made = try TarballStage(context: bench.context([("level", .int(3))], [("tree", tree)])).run()
            return try bench.store.read(try #require(made.outputs.first).digest)
        }
        let archive = try pack()
        #expect(try pack() == archive)
        try Files.write(bench.scratch + "/t.tar.zst", archive)
        let list = try Command("tar", ["-tvf", "t.tar.zst"], directory: bench.scratch).outputOrThrow()
        #expect(String(decoding: list, as: UTF8.self).contains("-rwsr-xr-x 0/0"))
    }
}
