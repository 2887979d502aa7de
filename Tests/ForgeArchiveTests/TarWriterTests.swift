import ForgeBase
import ForgeStore
import ForgeSystem
import Glibc
import Testing

@testable import ForgeArchive

@Suite struct TarWriterTests {
    let shop: Workshop

    init() throws { shop = try Workshop() }

    /// A tree with everything that an image may have.
    private func tree() throws -> Tree {
        let long = String(repeating: "n", count: 120)
        return try Tree([
            TreeEntry("", .directory, mode: 0o755),
            TreeEntry("bin", .directory, mode: 0o755),
            TreeEntry(
                "bin/ping", .file(try shop.store.put(Array("ping".utf8))), mode: 0o755,
                xattrs: [
                    Xattr(
                        name: "security.capability",
                        value: [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
                ]),
            TreeEntry("bin/su", .file(try shop.store.put(Array("su".utf8))), mode: 0o4755),
            TreeEntry("dev", .directory, mode: 0o755),
            TreeEntry("dev/null", .characterDevice(1 << 32 | 3), mode: 0o666),
            TreeEntry("dev/vda", .blockDevice(254 << 32), mode: 0o660, gid: 6),
            TreeEntry("etc", .directory, mode: 0o755),
            TreeEntry(ByteString("etc/\(long)"), .directory, mode: 0o700, uid: 1000, gid: 1000),
            TreeEntry(ByteString("etc/\(long)/\(long)"), .file(try shop.store.put(Array("deep".utf8))), mode: 0o600),
            TreeEntry(ByteString("etc/\(long)/link"), .symlink(ByteString("/\(long)")), mode: 0o777),
            TreeEntry("etc/é", .file(try shop.store.put([])), mode: 0o644, uid: 3_000_000),
            TreeEntry("large", .file(try shop.store.put([UInt8](repeating: 7, count: 3_000_000))), mode: 0o644),
            TreeEntry("pipe", .fifo, mode: 0o644),
            TreeEntry("tmp", .directory, mode: 0o1777),
        ])
    }

    private func pack(_ tree: Tree, _ compression: TarWriter.Compression, as name: String) throws -> [UInt8] {
        let path = "\(shop.path)/\(name)"
        try TarWriter.write(tree, from: shop.store, to: path, compression: compression, epoch: 1_700_000_000)
        return try Files.read(path)
    }

    @Test func whatIsReadIsWhatWasWritten() throws {
        let tree = try tree()
        _ = try pack(tree, .none, as: "t.tar")
        let file = try FileDescriptor(opening: shop.path + "/t.tar")
        let size = try file.status().size
        let back = try TarContents(
            descriptor: file.raw, offset: 0, count: size, archive: "t.tar", limits: Archive.Limits(), into: shop.store)
        #expect(back.tree == tree)
        #expect(back.order == tree.entries.map(\.path))
        withExtendedLifetime(file) {}
    }

    @Test func tarReadsIt() throws {
        _ = try pack(try tree(), .zstd(level: 3), as: "t.tar.zst")
        let list = try shop.shell("tar --numeric-owner --full-time -tvf t.tar.zst")
        let lines = list.split(separator: "\n")
        #expect(lines.contains { $0.hasPrefix("crw-rw-rw- 0/0") && $0.contains(" 1,3 ") && $0.hasSuffix(" dev/null") })
        #expect(lines.contains { $0.hasPrefix("brw-rw---- 0/6") && $0.contains("254,0") })
        #expect(lines.contains { $0.hasPrefix("-rwsr-xr-x 0/0") && $0.hasSuffix(" bin/su") })
        #expect(lines.contains { $0.hasPrefix("drwxrwxrwt") && $0.hasSuffix(" tmp/") })
        #expect(lines.contains { $0.contains("3000000/0") })
        #expect(lines.contains { $0.hasPrefix("prw-r--r--") })
        let entries = try tree().entries
        #expect(lines.filter { $0.contains("2023-11-14 22:13:20") }.count == entries.count)
        let xattrs = try shop.shell("tar --xattrs --xattrs-include='*' -tvvf t.tar.zst")
        #expect(xattrs.contains("security.capability"))
    }

    @Test(arguments: [
        TarWriter.Compression.none, .zstd(level: 3), .zstd(level: 19), .gzip(level: 6), .xz(level: 1),
    ])
    func theSameTreeGivesTheSameBytes(_ compression: TarWriter.Compression) throws {
        let first = try pack(try tree(), compression, as: "a")
        #expect(try pack(try tree(), compression, as: "b") == first)
        let plain = try pack(try tree(), .none, as: "c")
        #expect(try Archive.decompress(first, limit: 1 << 30) == plain)
    }

    @Test func aMissingObjectIsNamed() throws {
        let digest = Digest.of("not there")
        let tree = try Tree([TreeEntry("", .directory, mode: 0o755), TreeEntry("a", .file(digest), mode: 0o644)])
        let error = try #require(throws: ForgeError.self) { try pack(tree, .none, as: "x") }
        #expect(error.message.contains(digest.hex))
    }
}
