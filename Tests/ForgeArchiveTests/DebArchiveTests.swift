import ForgeBase
import ForgeStore
import ForgeSystem
import Testing

@testable import ForgeArchive

@Suite struct DebArchiveTests {
    let shop: Workshop

    init() throws { shop = try Workshop() }

    @Test(arguments: ["none", "gzip", "xz", "zstd"])
    func everyCompressionGivesTheSameTree(_ compression: String) throws {
        let file = try shop.package(
            "thing", compression: compression,
            """
            mkdir -p "$1/usr/bin" "$1/etc"
            printf '#!/bin/sh\\n' > "$1/usr/bin/thing"; chmod 4755 "$1/usr/bin/thing"
            ln -s thing "$1/usr/bin/other"
            ln "$1/usr/bin/thing" "$1/usr/bin/twin"
            mkfifo -m 0600 "$1/etc/pipe"
            head -c 200000 /dev/zero > "$1/etc/large"
            printf 'exit 0\\n' > "$1/DEBIAN/postinst"; chmod 755 "$1/DEBIAN/postinst"
            printf '/etc/large\\n' > "$1/DEBIAN/conffiles"
            """)
        let archive = try shop.open(file)
        #expect(String(decoding: archive.control, as: UTF8.self).hasPrefix("Package: thing\n"))
        #expect(archive.controlFiles.map(\.name) == ["conffiles", "postinst"])
        #expect(archive.controlFiles.map(\.isExecutable) == [false, true])
        let script = Digest.of("#!/bin/sh\n")
        #expect(archive.tree["usr/bin/thing"] == TreeEntry("usr/bin/thing", .file(script), mode: 0o4755))
        #expect(archive.tree["usr/bin/twin"]?.kind == .file(script))
        #expect(archive.tree["usr/bin/other"]?.kind == .symlink("thing"))
        #expect(archive.tree["etc/pipe"] == TreeEntry("etc/pipe", .fifo, mode: 0o600))
        #expect(archive.tree["etc/large"]?.kind == .file(Digest.of([UInt8](repeating: 0, count: 200_000))))
        #expect(try shop.store.read(script) == Array("#!/bin/sh\n".utf8))
        // The archive's own order, with links last, as dpkg-deb packs it.
        let listed = try shop.shell("dpkg-deb --fsys-tarfile thing.deb | tar -t").split(separator: "\n")
        #expect(
            archive.order.map(\.description)
                == listed.map { String($0.dropFirst(2).reversed().drop { $0 == "/" }.reversed()) })
    }

    @Test func namesAreBytes() throws {
        let archive = try shop.open(
            shop.package(
                "odd", "mkdir \"$1/d\"; : > \"$1/d/$(printf 'F\\305\\221')\"; : > \"$1/d/$(printf 'a\\377 b')\""))
        #expect(archive.tree[ByteString(Array("d/F".utf8) + [0xC5, 0x91])] != nil)
        #expect(archive.tree[ByteString(Array("d/a".utf8) + [0xFF] + Array(" b".utf8))] != nil)
    }

    @Test func longNamesAndAttributesOfPaxSurvive() throws {
        let name = "d/" + String(repeating: "x", count: 200)
        let entry = TreeEntry(
            ByteString(name), .file(Digest.of("x")), mode: 0o755, uid: 3_000_000, gid: 5,
            xattrs: [Xattr(name: "security.capability", value: [1, 0, 0, 2, 0, 32, 0, 0, 10, 0])])
        let archive = try shop.open(shop.package(dataTar: Workshop.tar([(entry, [UInt8(ascii: "x")])])))
        #expect(archive.tree[ByteString(name)] == entry)
        // The parent is not in the archive: it is root's, and not in the list.
        #expect(archive.tree["d"] == TreeEntry("d", .directory, mode: 0o755))
        #expect(archive.order == [ByteString(name)])
    }

    /// What would write elsewhere than it says, or what no packer makes.
    static let bad: [(name: String, entries: [(TreeEntry, [UInt8])], cause: String)] = [
        ("absolute", [Workshop.file("/etc/passwd", "x")], "absolute"),
        ("dots", [Workshop.file("a/../../etc/passwd", "x")], "leads out"),
        (
            "below a link", [Workshop.link("a", "/etc"), Workshop.file("a/passwd", "x")],
            "below “a”, which is no directory"
        ),
        ("below a file", [Workshop.file("a", "x"), Workshop.file("a/b", "x")], "below “a”"),
        ("link over files", [Workshop.file("a/b", "x"), Workshop.link("a", "/etc")], "no directory"),
        ("twice", [Workshop.file("a", "x"), Workshop.file("a", "y")], "twice"),
        ("twice by another spelling", [Workshop.file("a/b", "x"), Workshop.file("./a//b", "y")], "twice"),
        ("directory twice", [Workshop.directory("a"), Workshop.directory("a/")], "twice"),
    ]

    @Test(arguments: bad.indices)
    func dangerousArchivesAreRefused(_ index: Int) throws {
        let (name, entries, cause) = Self.bad[index]
        let file = try shop.package(dataTar: Workshop.tar(entries))
        let error = try #require(throws: ForgeError.self, "\(name)") { try shop.open(file) }
        #expect(error.code == .verification)
        #expect(error.message.contains("crafted.deb (data.tar)"))
        #expect(error.message.contains(cause), "\(error)")
    }

    @Test func hardLinksMustNameEarlierFiles() throws {
        // Type 1 in an otherwise plain header.
        var bytes = TarHeader.bytes(of: TreeEntry("a", .symlink("../../etc/shadow"), mode: 0o777), time: 0)
        bytes[156] = UInt8(ascii: "1")
        var sum = bytes.reduce(0) { $0 + Int($1) } - bytes[148..<156].reduce(0) { $0 + Int($1) } + 8 * 32
        for i in (148..<154).reversed() {
            bytes[i] = UInt8(48 + sum % 8)
            sum /= 8
        }
        let file = try shop.package(dataTar: bytes + [UInt8](repeating: 0, count: 1024))
        let error = try #require(throws: ForgeError.self) { try shop.open(file) }
        #expect(error.message.contains("leads out"), "\(error)")
    }

    @Test func absurdSizesAreRefusedBeforeTheyAreRead() throws {
        var limits = Archive.Limits()
        limits.bytes = 1000
        let file = try shop.package("big", "head -c 1001 /dev/zero > \"$1/zeros\"")
        let error = try #require(throws: ForgeError.self) { try shop.open(file, limits: limits) }
        #expect(error.message.contains("1000"), "\(error)")
        limits = Archive.Limits()
        limits.entries = 2
        let many = try shop.package("many", "touch \"$1/a\" \"$1/b\" \"$1/c\"")
        #expect(throws: ForgeError.self) { try shop.open(many, limits: limits) }
    }

    @Test func fewBytesDoNotNameManyDirectories() throws {
        // One name of four kilobytes has two thousand parents, and a thousand such names pack into nothing.
        let deep = String(repeating: "/d", count: 2000)
        let entries = (0..<40).map { Workshop.directory("\($0)\(deep)") }
        let file = try shop.package(dataTar: Workshop.tar(entries))
        var limits = Archive.Limits()
        limits.headerBytes = 100 << 20
        let error = try #require(throws: ForgeError.self) { try shop.open(file, limits: limits) }
        #expect(error.message.contains("names and attributes of more than"), "\(error)")
        let one = try shop.package(dataTar: Workshop.tar([entries[0]]), name: "one")
        #expect(try shop.open(one, limits: limits).tree.entries.count == 2002)
    }

    @Test func noProgramUnpacksWhatComesFromTheNetwork() throws {
        // The first bytes of lrzip, grzip and lzop: libarchive would run `lrzip -d`, whatever that is on this host.
        for magic: [UInt8] in [
            Array("LRZI".utf8) + [0, 6], Array("GRZipII".utf8) + [0, 2, 4, 0x3a, 0x29],
            [0x89, 0x4c, 0x5a, 0x4f, 0, 0x0d, 0x0a, 0x1a, 0x0a],
        ] {
            let bytes = magic + [UInt8](repeating: 0, count: 64)
            #expect(try Archive.decompress(bytes, limit: 1000) == bytes, "taken as plain bytes")
        }
    }

    @Test func everyCutIsNoticed() throws {
        let file = try shop.package("whole", "seq 1 20000 > \"$1/numbers\"")
        let bytes = try Files.read(file)
        for length in stride(from: 0, to: bytes.count, by: max(1, bytes.count / 40)) {
            try Files.write(file, Array(bytes[..<length]))
            let error = #expect(throws: ForgeError.self, "cut at \(length)") { try shop.open(file) }
            #expect(error?.code == .verification)
        }
    }

    @Test func damageIsNoticed() throws {
        let file = try shop.package("whole", "seq 1 20000 > \"$1/numbers\"")
        var bytes = try Files.read(file)
        bytes[bytes.count / 2] ^= 0x10
        try Files.write(file, bytes)
        #expect(throws: ForgeError.self) { try shop.open(file) }
    }

    @Test func otherFilesAreNoPackages() throws {
        for text in ["", "hello", "!<arch>\n", "!<arch>\nshort"] {
            try Files.write(shop.path + "/x.deb", text)
            let error = try #require(throws: ForgeError.self) { try shop.open(shop.path + "/x.deb") }
            #expect(error.code == .verification)
        }
    }
}
