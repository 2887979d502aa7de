import ForgeBase
import ForgeSystem
import Glibc
import Testing

@testable import ForgeStore

/// Trees on disk. As root everything is set and compared; as an ordinary user owners and devices are left out.
@Suite struct DirectoryTests {
    static let isRoot = geteuid() == 0
    static let owner: OwnerPolicy = isRoot ? .apply : .ignore

    /// What a tree becomes when owners are not applied.
    static func expected(_ tree: Tree) -> Tree {
        isRoot
            ? tree
            : Tree(
                checked: tree.entries.map { entry in
                    var entry = entry
                    (entry.uid, entry.gid) = (0, 0)
                    return entry
                })
    }

    @Test(arguments: [false, true]) func whatIsCheckedOutIsReadBackEqual(inMemory: Bool) throws {
        let space = try TestSpace()
        let store: any ObjectStore = inMemory ? MemoryStore() : try space.store()
        for seed in 0..<20 {
            var dice = Dice(seed)
            let digests = try [0, 5, 20_000, 3_000_000].map { try store.put(dice.bytes($0 > 99_999 ? 99_999 : $0)) }
            let tree = dice.tree(80, digests: digests, special: Self.isRoot)
            try TreeWriter.checkOut(tree, from: store, to: space("out\(seed)"), epoch: 1_000_000_000, owner: Self.owner)
            for jobs in [1, 4] {
                let again = try TreeReader.ingest(
                    directory: space("out\(seed)"), into: store, owner: Self.owner, jobs: jobs)
                #expect(Tree.changes(from: Self.expected(tree), to: again).map(\.description) == [])
                #expect(again.encoded() == Self.expected(tree).encoded())
            }
            for entry in tree.entries where !entry.path.bytes.contains(where: { $0 > 0x7e }) {
                let status = try Files.status(space("out\(seed)/\(entry.path)"))
                #expect(status.map { $0.identity.modified / 1_000_000_000 } == Int64(1_000_000_000), "\(entry.path)")
            }
        }
    }

    @Test func whiteoutsCanBeCheckedOutAsRoot() throws {
        guard Self.isRoot else { return }
        let (space, store) = (try TestSpace(), MemoryStore())
        let tree = try Tree(Tree.empty.entries + [.whiteout("gone")])
        try TreeWriter.checkOut(tree, from: store, to: space("out"))
        #expect(try TreeReader.ingest(directory: space("out"), into: store) == tree)
    }

    @Test func readsWhatIsThereAndNothingElse() throws {
        let (space, store) = (try TestSpace(), MemoryStore())
        try Files.makeDirectories(space("in/sub/skipped"))
        try Files.write(space("in/sub/skipped/x"), "x")
        try Files.write(space("in/sub/file"), "content")
        try Files.write(space("outside"), "secret")
        #expect(symlink("../outside", space("in/link")) == 0)
        #expect(symlink("sub", space("in/dirlink")) == 0)
        #expect(mkfifo(space("in/fifo"), 0o600) == 0)
        let listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(listener) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(space("in/sock").utf8)) }
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        #expect(bound == 0)
        let tree = try TreeReader.ingest(directory: space("in"), into: store, owner: .ignore) { $0 == "sub/skipped" }
        #expect(tree.entries.map(\.path) == ["", "dirlink", "fifo", "link", "sub", "sub/file"])
        #expect(tree["link"]?.kind == .symlink("../outside"))
        #expect(tree["sub/file"]?.kind == .file(Digest.of("content")))
        #expect(tree["sub/file"]?.uid == 0)
        #expect(throws: ForgeError.self) { try TreeReader.ingest(directory: space("absent"), into: store) }
    }

    @Test func refusesADirectoryThatIsNotEmpty() throws {
        let (space, store) = (try TestSpace(), MemoryStore())
        try Files.makeDirectories(space("out/etc"))
        let error = #expect(throws: ForgeError.self) {
            try TreeWriter.checkOut(.empty, from: store, to: space("out"), owner: .ignore)
        }
        #expect(error?.message.contains("not empty") == true)
    }

    /// A tree made around the checks of ``Tree`` still can't leave its directory.
    @Test func aHostileTreeStaysInside() throws {
        let (space, store) = (try TestSpace(), MemoryStore())
        try Files.makeDirectories(space("victim"))
        let digest = store.put(Array("evil".utf8))
        let link = Tree(checked: [
            TreeEntry("", .directory, mode: 0o755), TreeEntry("a", .symlink(ByteString(space("victim"))), mode: 0o777),
            TreeEntry("a/file", .file(digest), mode: 0o644),
        ])
        #expect(throws: ForgeError.self) { try TreeWriter.checkOut(link, from: store, to: space("1"), owner: .ignore) }
        let nested = Tree(checked: [
            TreeEntry("", .directory, mode: 0o755), TreeEntry("a", .symlink(ByteString(space("victim"))), mode: 0o777),
            TreeEntry("a/sub", .directory, mode: 0o755),
        ])
        #expect(throws: ForgeError.self) {
            try TreeWriter.checkOut(nested, from: store, to: space("2"), owner: .ignore)
        }
        #expect(try Files.list(space("victim")).isEmpty)
    }

    @Test func aMissingObjectIsNamed() throws {
        let space = try TestSpace()
        let store = try space.store()
        let absent = Digest.of([UInt8](repeating: 1, count: 40_000))
        let tree = try Tree(Tree.empty.entries + [TreeEntry("f", .file(absent), mode: 0o644)])
        let error = #expect(throws: ForgeError.self) {
            try TreeWriter.checkOut(tree, from: store, to: space("out"), owner: .ignore)
        }
        #expect(error?.message.contains(absent.hex) == true && error?.remedy != nil)
    }

    @Test func aCheckoutIsMadeOnceAndStaysWhileUsed() throws {
        let space = try TestSpace()
        let store = try space.store()
        let file = try store.put([UInt8](repeating: 8, count: 30_000))
        let digest = try Tree(Tree.empty.entries + [TreeEntry("f", .file(file), mode: 0o444)]).save(in: store)
        let checkouts = try Checkouts(store, map: "root", owner: Self.owner)
        var held: Checkouts.Checkout? = try checkouts.open(digest)
        let path = try #require(held?.path)
        #expect(path == space("cache/checkouts/root/\(digest.hex)"))
        let inode = try Files.status(path)?.identity.inode
        let time = try Files.status(path + "/f")?.identity.modified
        #expect(time == Checkouts.time * 1_000_000_000)
        let second = try checkouts.open(digest)
        #expect(try Files.status(second.path)?.identity.inode == inode)
        #expect(try store.statistics().checkoutBytes == 30_000)
        // No result needs it, but it is in use.
        #expect(try store.collect(CollectionPolicy()).left == [path])
        #expect(Files.exists(path + "/f"))
        held = nil
        withExtendedLifetime(second) {}
    }

    @Test func anUnfinishedOrOldCheckoutIsMadeAgain() throws {
        let space = try TestSpace()
        let store = try space.store()
        let digest = try Tree.empty.save(in: store)
        let checkouts = try Checkouts(store, map: "uid7", owner: Self.owner)
        let path = space("cache/checkouts/uid7/\(digest.hex)")
        try Files.makeDirectories(path + "/rest")
        try Files.makeDirectories(path + ".new/rest")
        _ = try checkouts.open(digest)
        #expect(try Files.list(path).isEmpty && !Files.exists(path + ".new"))
        // Made before the machine was started last: its files may never have reached the disk.
        try Files.makeDirectories(path + "/rest")
        try Files.write(path + ".done", "another-boot 0\n")
        _ = try checkouts.open(digest)
        #expect(try Files.list(path).isEmpty)
    }
}
