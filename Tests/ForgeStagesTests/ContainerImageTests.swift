import ForgeBase
import ForgeEngine
import ForgeScripts
import ForgeStore
import ForgeSystem
import Testing

@testable import ForgeStages

/// Container images of trees, looked at with tar and by their digests.
@Suite struct ContainerImageTests {
    private let bench: StageBench

    init() throws { bench = try StageBench() }

    private func image(_ names: [String], _ layers: [Tree], _ more: [(String, JSON)] = []) throws -> Tree {
        let options = [("names", JSON.array(names.map(JSON.string)))] + more
        return try bench.tree(
            OCIImageStage(context: bench.context(options, layers.map { ("layers", $0) })).run())
    }

    private func json(_ tree: Tree, _ path: String) throws -> JSON {
        guard case .file(let digest)? = tree[ByteString(path)]?.kind else { throw Missing(path: path) }
        return try JSON(parsing: try bench.store.read(digest), file: path)
    }

    private struct Missing: Error { let path: String }

    private func blob(_ descriptor: JSON?) throws -> String {
        let text = try #require(descriptor?["digest"]?.string)
        return "blobs/sha256/\(text.dropFirst(7))"
    }

    @Test func anImageHasItsLayersConfigurationAndNames() throws {
        let lower = try Tree(bench.directories("bin") + [bench.file("bin/hello", "#!\n", mode: 0o755)])
        let upper = try Tree(bench.directories("bin") + [.whiteout("bin/old")])
        let layout = try image(
            ["localhost/hello:2", "localhost/hello:1"], [lower, upper],
            [
                ("entrypoint", .array([.string("/bin/hello")])), ("user", .string("65535:65535")),
                ("environment", .object([("B", .string("2")), ("A", .string("1"))])),
            ])
        let index = try json(layout, "index.json")
        let names = index["manifests"]?.array?.map { $0["annotations"]?["io.containerd.image.name"]?.string }
        #expect(names == ["localhost/hello:1", "localhost/hello:2"])
        let manifest = try json(layout, blob(index["manifests"]?.array?.first))
        let config = try json(layout, blob(manifest["config"]))
        #expect(config["created"]?.string == "2023-11-14T22:13:20Z")
        #expect(config["config"]?["User"]?.string == "65535:65535")
        #expect(config["config"]?["Env"]?.array == [.string("A=1"), .string("B=2")])
        let layers = try #require(manifest["layers"]?.array)
        #expect(config["rootfs"]?["diff_ids"]?.array == layers.compactMap { $0["digest"] })
        // What hides a file of the layer below has the form that images use.
        guard case .file(let digest)? = layout[ByteString(try blob(layers.last))]?.kind else {
            throw Missing(path: "layer")
        }
        try bench.store.export(digest, to: bench.scratch + "/layer.tar", mode: 0o644)
        let list = try Command("tar", ["-tf", "layer.tar"], directory: bench.scratch).outputOrThrow()
        #expect(String(decoding: list, as: UTF8.self).contains("bin/.wh.old"))
    }

    @Test func everyBlobHasTheBytesOfItsName() throws {
        let layout = try image(["localhost/a:1"], [Tree(bench.directories("etc") + [bench.file("etc/a", "1")])])
        let blobs = layout.entries.filter { $0.path.isBelow("blobs/sha256") && !$0.isDirectory }
        #expect(blobs.count == 3)
        for entry in blobs {
            guard case .file(let digest) = entry.kind else { throw Missing(path: "\(entry.path)") }
            #expect(digest.hex == "\(entry.name)")
        }
    }

    @Test func anImageIsTheSameEveryTime() throws {
        let tree = try Tree(bench.directories("etc") + [bench.file("etc/a", "1")])
        #expect(try image(["localhost/a:1"], [tree]) == image(["localhost/a:1"], [tree]))
    }

    @Test(arguments: ["hello:1", "localhost/hello", "localhost/Hello:1", "localhost/hello:1/2"])
    func aBadNameIsRefused(_ name: String) throws {
        let error = try #require(throws: ForgeError.self) { try image([name], [Tree.empty]) }
        #expect(error.message.contains("“\(name)” is no name"), "\(error.message)")
    }

    private func archive(_ layouts: [Tree]) throws -> Digest {
        let result = try OCIArchiveStage(context: bench.context([], layouts.map { ("layouts", $0) })).run()
        return try #require(result.outputs.first).digest
    }

    @Test func anArchiveHasAllImagesAndEachBlobOnce() throws {
        let tree = try Tree(bench.directories("etc") + [bench.file("etc/a", "1")])
        let (a, b) = (try image(["localhost/a:1"], [tree]), try image(["localhost/b:1"], [tree]))
        try bench.store.export(archive([a, b]), to: bench.scratch + "/images.tar", mode: 0o644)
        let list = try Command("tar", ["-tf", "images.tar"], directory: bench.scratch).outputOrThrow()
        let lines = String(decoding: list, as: UTF8.self).split(separator: "\n")
        #expect(lines.filter { $0.hasPrefix("blobs/sha256/") && !$0.hasSuffix("/") }.count == 3)
        #expect(try archive([b, a]) == archive([a, b]), "the order of the inputs has no meaning")
    }

    @Test func twoImagesOfOneNameAreRefused() throws {
        let one = try image(["localhost/a:1"], [Tree.empty])
        let other = try image(["localhost/a:1"], [Tree(bench.directories("etc"))])
        let error = try #require(throws: ForgeError.self) { try archive([one, other]) }
        #expect(error.message.contains("localhost/a:1"))
    }

    @Test func whatIsNoLayoutIsRefused() throws {
        let layout = try image(["localhost/a:1"], [Tree.empty])
        let blob = try #require(layout.entries.first { $0.path.isBelow("blobs/sha256") && !$0.isDirectory })
        let other = TreeEntry(blob.path, .file(try bench.store.put(Array("other".utf8))), mode: 0o644)
        let cases: [(Tree, String)] = [
            (Tree.empty, "no index.json"),
            (try Tree(layout.entries.map { $0.path == blob.path ? other : $0 }), "other bytes"),
            (try Tree(layout.entries.filter { !$0.path.isBelow("blobs/sha256") || $0.isDirectory }), "not there"),
        ]
        for (tree, words) in cases {
            let error = try #require(throws: ForgeError.self) { try archive([tree]) }
            #expect(error.message.contains(words), "\(error.message)")
        }
    }
}
