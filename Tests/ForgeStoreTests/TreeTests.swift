import ForgeBase
import Testing

@testable import ForgeStore

extension Dice {
    /// Names that break careless code: spaces, newlines, `%`, bytes that are no UTF-8, and neighbours of `/` in order.
    mutating func name() -> ByteString {
        let weird: [[UInt8]] = [
            Array("a".utf8), Array("a-b".utf8), Array("a b".utf8), Array("%41".utf8), Array("=".utf8), [0xff, 0xfe],
            Array("é".utf8), Array("e\u{301}".utf8), Array("new\nline".utf8), Array("...".utf8), Array("-".utf8),
            Array("a.".utf8), Array("a0".utf8), [0x7f], [0x01], Array("\\".utf8), Array("\"".utf8), Array("*".utf8),
        ]
        var name = weird.randomElement(using: &self) ?? []
        if Bool.random(using: &self) { name += weird.randomElement(using: &self) ?? [] }
        return ByteString(name)
    }

    mutating func entry(_ path: ByteString, digests: [Digest], special: Bool) -> TreeEntry {
        let digest = digests.randomElement(using: &self) ?? Digest.of("")
        let kinds: [TreeEntry.Kind] =
            [.directory, .file(digest), .symlink(name())]
            + (special ? [.characterDevice(1 << 32 | 3), .blockDevice(259 << 32 | 70_000), .fifo] : [.fifo])
        let kind = kinds.randomElement(using: &self) ?? .fifo
        var xattrs: [Xattr] = []
        if case .file = kind, Bool.random(using: &self) {
            xattrs = [Xattr(name: ByteString("user.a=b c"), value: bytes(Int.random(in: 0...9, using: &self)))]
        }
        let mode = UInt32.random(in: 0...0o7777, using: &self) | (kind == .directory ? 0o700 : 0o400)
        return TreeEntry(
            path, kind, mode: mode, uid: UInt32.random(in: 0...70_000, using: &self),
            gid: UInt32.random(in: 0...3, using: &self), xattrs: xattrs)
    }

    mutating func tree(_ count: Int, digests: [Digest] = [Digest.of("x"), Digest.of("y")], special: Bool = true) -> Tree
    {
        var builder = TreeBuilder()
        var directories = [ByteString([])]
        for _ in 0..<count {
            let path = (directories.randomElement(using: &self) ?? "").appending(name())
            let entry = entry(path, digests: digests, special: special)
            if builder[path] != nil { continue }
            builder.set(entry)
            if entry.isDirectory { directories.append(path) }
        }
        return (try? builder.finish()) ?? .empty
    }
}

@Suite struct TreeTests {
    @Test func manifestGivesBackTheTree() throws {
        for seed in 0..<300 {
            var dice = Dice(seed)
            let tree = dice.tree(seed % 60)
            #expect(try Tree(parsing: tree.encoded(), file: "t") == tree)
            #expect(try Tree(tree.entries.shuffled(using: &dice)) == tree)
        }
    }

    /// The form is part of every key: a change of this text needs a new header.
    @Test func manifestIsWrittenThisWay() throws {
        let tree = try Tree([
            TreeEntry("etc", .directory, mode: 0o755), TreeEntry("", .directory, mode: 0o755),
            TreeEntry(
                "etc/host name", .file(Digest.of("forge")), mode: 0o4644, uid: 1, gid: 2,
                xattrs: [Xattr(name: "user.b", value: []), Xattr(name: "user.a=", value: [0, 0x3d])]),
            TreeEntry("etc/mtab", .symlink("../proc/mounts"), mode: 0), .whiteout("gone"),
            TreeEntry("null", .characterDevice(1 << 32 | 3), mode: 0o666), TreeEntry("p", .fifo, mode: 0o600),
        ])
        let hex = Digest.of("forge").hex
        #expect(
            String(decoding: tree.encoded(), as: UTF8.self) == """
                forge-tree 1
                d 0755 0 0 .
                d 0755 0 0 etc
                f 4644 1 2 etc/host%20name \(hex)/5 user.a%3D=%00= user.b=
                l 0777 0 0 etc/mtab ../proc/mounts
                c 0000 0 0 gone 0:0
                c 0666 0 0 null 1:3
                p 0600 0 0 p

                """)
    }

    static let faults: [(String, Int, String)] = [
        ("", 1, "cut off"),
        ("forge-tree 2\nd 0755 0 0 .\n", 1, "does not begin"),
        ("forge-tree 1\n", 2, "no root"),
        ("forge-tree 1\nd 0755 0 0 .", 1, "cut off"),
        ("forge-tree 1\nd 0755 0 0 etc\n", 2, "must be the root"),
        ("forge-tree 1\np 0755 0 0 .\n", 2, "must be the root"),
        ("forge-tree 1\nd 0755 0 0 .\nd 0755 0 0 .\n", 3, "twice"),
        ("forge-tree 1\nd 0755 0 0 .\nd 0755 0 0 b\nd 0755 0 0 a\n", 4, "byte order"),
        ("forge-tree 1\nd 0755 0 0 .\nd 0755 0 0 a\nd 0755 0 0 a\n", 4, "twice"),
        ("forge-tree 1\nd 0755 0 0 .\nd 0755 0 0 ..\n", 3, "no names"),
        ("forge-tree 1\nd 0755 0 0 .\nd 0755 0 0 a\nd 0755 0 0 a/../b\n", 4, "no names"),
        ("forge-tree 1\nd 0755 0 0 .\nd 0755 0 0 /etc\n", 3, "relative"),
        ("forge-tree 1\nd 0755 0 0 .\nd 0755 0 0 a\nd 0755 0 0 a/\n", 4, "empty parts"),
        ("forge-tree 1\nd 0755 0 0 .\nd 0755 0 0 a//b\n", 3, "empty parts"),
        ("forge-tree 1\nd 0755 0 0 .\nd 0755 0 0 a%00\n", 3, "NUL"),
        ("forge-tree 1\nd 0755 0 0 .\np 0755 0 0 a/b\n", 3, "parent"),
        ("forge-tree 1\nd 0755 0 0 .\nl 0777 0 0 a /etc\np 0600 0 0 a/passwd\n", 4, "parent"),
        ("forge-tree 1\nd 0755 0 0 .\nl 0755 0 0 a b\n", 3, "link is 0777"),
        ("forge-tree 1\nd 0755 0 0 .\nl 0777 0 0 a \n", 3, "target"),
        ("forge-tree 1\nd 0755 0 0 .\nd 755 0 0 a\n", 3, "no entry"),
        ("forge-tree 1\nd 0755 0 0 .\nd 0755 00 0 a\n", 3, "no entry"),
        ("forge-tree 1\nd 0755 0 0 .\nd 0755 4294967296 0 a\n", 3, "no entry"),
        ("forge-tree 1\nd 0755 0 0 .\nd 0755 0 0 %61\n", 3, "no entry"),
        ("forge-tree 1\nd 0755 0 0 .\nd 0755 0 0 %c3\n", 3, "no entry"),
        ("forge-tree 1\nd 0755 0 0 .\nd 0755 0 0 a%2\n", 3, "no entry"),
        ("forge-tree 1\nd 0755 0 0 .\nd 0755 0 0 é\n", 3, "no entry"),
        ("forge-tree 1\nd 0755 0 0 .\nf 0644 0 0 a abc/5\n", 3, "no entry"),
        ("forge-tree 1\nd 0755 0 0 .\nc 0644 0 0 a 1:\n", 3, "no entry"),
        ("forge-tree 1\nd 0755 0 0 .\np 0644 0 0 a user.b=1 user.a=1\n", 3, "extended attributes"),
        ("forge-tree 1\nd 0755 0 0 .\np 0644 0 0 a user.b=1 user.b=2\n", 3, "extended attributes"),
        ("forge-tree 1\nd 0755 0 0 .\n\n", 3, "no entry"),
        ("forge-tree 1\nd 0755 0 0 .\ns 0755 0 0 a\n", 3, "no entry"),
    ]

    @Test(arguments: faults) func refusesWhatIsNoManifest(_ text: String, _ line: Int, _ why: String) throws {
        let error = #expect(throws: ForgeError.self) { try Tree(parsing: Array(text.utf8), file: "m") }
        #expect(error?.location?.line == line)
        #expect(error?.message.contains(why) == true, "\(error?.message ?? "")")
    }

    /// One text for one tree: whatever a changed byte makes of a manifest, it is refused or it is canonical.
    @Test func aChangedManifestIsRefusedOrAnotherTree() throws {
        var accepted = 0
        for seed in 0..<2000 {
            var dice = Dice(seed)
            var bytes = dice.tree(6).encoded()
            bytes[Int.random(in: bytes.indices, using: &dice)] = UInt8.random(in: 0...255, using: &dice)
            guard let tree = try? Tree(parsing: bytes, file: "m") else { continue }
            #expect(tree.encoded() == bytes)
            accepted += 1
        }
        #expect(accepted > 50)
    }

    @Test func differenceAndOverlayAreInverse() throws {
        var whiteouts = 0
        for seed in 0..<400 {
            var dice = Dice(seed)
            let (lower, upper) = (dice.tree(25), dice.tree(25))
            let layer = Tree.difference(upper, over: lower)
            whiteouts += layer.entries.count(where: \.isWhiteout)
            #expect(Tree.overlay([lower, layer]) == upper)
            // A layer is a tree itself, also on disk.
            #expect(try Tree(parsing: layer.encoded(), file: "layer") == layer)
            #expect(Tree.overlay([lower, Tree.difference(lower, over: lower)]) == lower)
            #expect(Tree.difference(lower, over: lower).entries.count == 1)
        }
        #expect(whiteouts > 100)
    }

    @Test func changesNameEveryDifference() throws {
        let old = try Tree([
            TreeEntry("", .directory, mode: 0o755), TreeEntry("a", .file(Digest.of("1")), mode: 0o644),
            TreeEntry("b", .fifo, mode: 0o600), TreeEntry("same", .fifo, mode: 0o600),
        ])
        let new = try Tree([
            TreeEntry("", .directory, mode: 0o755), TreeEntry("a", .file(Digest.of("22")), mode: 0o755),
            TreeEntry("c", .fifo, mode: 0o600), TreeEntry("same", .fifo, mode: 0o600),
        ])
        let changes = Tree.changes(from: old, to: new).map(\.description)
        #expect(changes.count == 3)
        #expect(changes.first?.hasPrefix("~ a (file ") == true && changes.first?.contains("mode 0644 → 0755") == true)
        #expect(changes.dropFirst() == ["- b", "+ c"])
        #expect(Tree.changes(from: old, to: old).isEmpty)
    }

    @Test func mergingJoinsDirectoriesAndReportsEveryConflict() throws {
        func tree(_ entries: TreeEntry...) throws -> Tree {
            var builder = TreeBuilder()
            for entry in entries { builder.set(entry) }
            return try builder.finish()
        }
        let a = try tree(TreeEntry("usr/bin/a", .file(Digest.of("a")), mode: 0o755))
        let b = try tree(TreeEntry("usr/bin/b", .file(Digest.of("b")), mode: 0o755))
        let merged = try Tree.merging([("a", a), ("b", b)])
        #expect(merged.entries.map(\.path) == ["", "usr", "usr/bin", "usr/bin/a", "usr/bin/b"])
        let c = try tree(
            TreeEntry("usr/bin/a", .file(Digest.of("c")), mode: 0o755), TreeEntry("usr/bin/b", .fifo, mode: 0o755))
        let error = #expect(throws: ForgeError.self) { try Tree.merging([("one", a), ("two", b), ("three", c)]) }
        #expect(error?.details.count == 2)
        #expect(error?.description.contains("/usr/bin/a: one and three differ") == true)
        #expect(error?.description.contains("/usr/bin/b: two and three differ") == true)
    }

    @Test func partsOfATreeAreTrees() throws {
        for seed in 0..<100 {
            var dice = Dice(seed)
            let tree = dice.tree(40)
            for entry in tree.entries {
                let part = tree.subtree(entry.path)
                #expect((part != nil) == entry.isDirectory)
                guard let part else { continue }
                #expect(try Tree(part.entries) == part)
                // Put back where it was, it makes the same tree.
                var builder = TreeBuilder(tree)
                if !entry.path.bytes.isEmpty { builder.remove(entry.path) }
                builder.graft(part, at: entry.path)
                #expect(try builder.finish() == tree)
            }
            let kept = tree.filter { $0.path.bytes.count % 3 != 0 }
            #expect(try Tree(kept.entries) == kept)
        }
    }

    @Test func builderMakesParentsAndReplaces() throws {
        var builder = TreeBuilder()
        builder.set(TreeEntry("a/b/c", .fifo, mode: 0o600))
        builder.set(TreeEntry("a/b", .symlink("x"), mode: 0))
        #expect(try builder.finish().entries.map(\.path) == ["", "a", "a/b"])
        builder.set(TreeEntry("a/b/c", .fifo, mode: 0o600))
        #expect(throws: ForgeError.self) { try builder.finish() }
    }
}
