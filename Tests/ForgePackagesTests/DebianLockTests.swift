import ForgeBase
import ForgePackages
import ForgeRecipe
import ForgeStore
import ForgeSystem
import Testing

/// Locks against an archive of a few packages: what is kept, what moves, what is refused.
@Suite struct DebianLockTests {
    /// `moss` with an essential package, a server that needs a library of its own source, and a tool.
    func archive() throws -> TinyArchive {
        let archive = TinyArchive()
        archive.suites["moss"] = DebianLockTests.stanzas(server: "1.0", tool: "1.0")
        try archive.publish()
        return archive
    }

    static func stanzas(server: String, tool: String) -> [String] {
        [
            TinyArchive.package("base", "1.0", ["Essential": "yes"]),
            TinyArchive.package("server", server, ["Depends": "libserver (= \(server))"]),
            TinyArchive.package("libserver", server, ["Source": "server", "Depends": "base"]),
            TinyArchive.package("tool", tool, ["Depends": "base"]),
        ]
    }

    @Test func aLockHasEveryPackageWithItsDigestAndTheIndexThatVouchesForIt() throws {
        let archive = try archive()
        let outcome = try archive.lock(archive.request(["server"]))
        #expect(outcome.entry.list == ["base 1.0", "libserver 1.0", "server 1.0"])
        let lock = try #require(outcome.entry.debian)
        #expect(lock.packages[0].isEssential && lock.packages[1].source == "server")
        #expect(lock.packages[2].path == "pool/main/server_1.0_amd64.deb")
        #expect(
            lock.archives.map(\.suite) == ["moss"]
                && lock.archives[0].indexes.map(\.path) == ["main/binary-amd64/Packages"])
        #expect(lock.archives[0].signedBy.utf8.count == 40)
        #expect(outcome.entry.date == archive.date && lock.snapshot == "20260921T141320Z")
        #expect(outcome.changes.count == 3)
        #expect(!LockFile(entries: [outcome.entry]).text.contains("file://"), "a lock names no host")
    }

    @Test func anUnchangedRequestAsksNobody() throws {
        let archive = try archive()
        let first = try archive.lock(archive.request(["server"])).entry
        archive.counter.reset()
        let again = try archive.lock(archive.request(["server"]), previous: first)
        #expect(again.entry == first)
        #expect(archive.counter.urls.isEmpty)
    }

    @Test func anUpdateWithoutNewsKeepsTheEntryWithItsDate() throws {
        let archive = try archive()
        let first = try archive.lock(archive.request(["server"])).entry
        archive.date += 50
        try archive.publish()
        #expect(try archive.lock(archive.request(["server"]), previous: first, update: .all).entry == first)
    }

    @Test func anUnchangedIndexIsNotFetchedAgain() throws {
        let archive = try archive()
        let first = try archive.lock(archive.request(["server"])).entry
        archive.counter.reset()
        _ = try archive.lock(archive.request(["server"]), previous: first, update: .all)
        #expect(archive.counter.urls.count == 1, "only InRelease")
    }

    @Test func onlyWhatIsNamedMoves() throws {
        let archive = try archive()
        let request = archive.request(["server", "tool"])
        let first = try archive.lock(request).entry
        archive.suites["moss"] = DebianLockTests.stanzas(server: "2.0", tool: "2.0")
        archive.date += 50
        try archive.publish()
        let second = try archive.lock(request, previous: first, update: .packages(["tool"]))
        #expect(second.entry.list == ["base 1.0", "libserver 1.0", "server 1.0", "tool 2.0"])
        #expect(second.changes.map(\.description) == ["tool 1.0 → 2.0"])
        // The old state stays in the lock, because it vouches for what the archive no longer has.
        #expect(second.entry.debian?.archives.map(\.date) == [archive.date, first.date])
        let third = try archive.lock(request, previous: second.entry, update: .packages(["server"]))
        #expect(third.entry.list == ["base 1.0", "libserver 2.0", "server 2.0", "tool 2.0"])
        #expect(third.notes == ["packages of the same source had to move too"])
        #expect(third.entry.debian?.archives.count == 1)
    }

    @Test func aNewPackageInTheRecipeLeavesTheOthersWhereTheyAre() throws {
        let archive = try archive()
        let first = try archive.lock(archive.request(["server"])).entry
        archive.suites["moss"] = DebianLockTests.stanzas(server: "2.0", tool: "2.0")
        archive.date += 50
        try archive.publish()
        let second = try archive.lock(archive.request(["server", "tool"]), previous: first).entry
        #expect(second.list == ["base 1.0", "libserver 1.0", "server 1.0", "tool 2.0"])
    }

    @Test func whatIsGoneTogetherWithItsIndexIsAnErrorThatSaysHowToGoOn() throws {
        let archive = try archive()
        let first = try archive.lock(archive.request(["server", "tool"])).entry
        archive.suites["moss"] = DebianLockTests.stanzas(server: "2.0", tool: "2.0")
        archive.date += 50
        try Files.remove(archive.scratch.path + "/mirror")
        try archive.publish()
        archive.store = MemoryStore()
        let error = failure {
            _ = try archive.lock(archive.request(["server", "tool"]), previous: first, update: .packages(["tool"]))
        }
        #expect(error?.message == "the lock holds packages that the archive no longer has, and their index is gone too")
        #expect(error?.details.first == "packages: libserver, server")
        #expect(
            error?.remedy
                == "name a snapshot service with --snapshot tiny=URL, or let them move with --update libserver server")
    }

    @Test func aSnapshotServiceGivesTheIndexThatIsGone() throws {
        let archive = try archive()
        let request = archive.request(["server", "tool"])
        let first = try archive.lock(request).entry
        try Files.makeDirectories(archive.scratch.path + "/old")
        try Files.move(archive.scratch.path + "/mirror", to: archive.scratch.path + "/old/20260921T201320Z")
        archive.suites["moss"] = DebianLockTests.stanzas(server: "2.0", tool: "2.0")
        archive.date += 50
        try archive.publish()
        archive.store = MemoryStore()
        archive.snapshots["tiny"] = ["none/@SNAPSHOTID@", "old/@SNAPSHOTID@"].map {
            "file://\(archive.scratch.path)/\($0)"
        }
        let second = try archive.lock(request, previous: first, update: .packages(["tool"]))
        #expect(second.entry.list == ["base 1.0", "libserver 1.0", "server 1.0", "tool 2.0"])
        // The same service is asked for an old state as a whole.
        var old = request
        old.snapshot = "20260921T201320Z"
        #expect(try archive.lock(old).entry.list == first.list)
    }

    @Test func checkListsWhatIsNewerAndWritesNothing() throws {
        let archive = try archive()
        let request = archive.request(["tool"])
        let first = try archive.lock(request).entry
        archive.suites["moss"] = DebianLockTests.stanzas(server: "2.0", tool: "2.0")
        archive.date += 50
        try archive.publish()
        #expect(try archive.locker().check(first, request: request).map(\.description) == ["tool 1.0 → 2.0"])
    }

    @Test func anUpdateOfAnUnknownPackageIsRefused() throws {
        let archive = try archive()
        let first = try archive.lock(archive.request(["server"])).entry
        let error = failure {
            _ = try archive.lock(archive.request(["server"]), previous: first, update: .packages(["serwer"]))
        }
        #expect(error?.message == "package “serwer” is not in the lock; did you mean “server”?")
    }

    @Test func theWantedFilesNameMirrorsAndSnapshots() throws {
        let archive = try archive()
        let lock = try #require(try archive.lock(archive.request(["tool"])).entry.debian)
        let mirrors = Mirrors(
            archives: ["tiny": ["http://a/debian/", "http://b"]],
            snapshots: ["tiny": ["http://s/@SNAPSHOTID@/", "http://t"]])
        let wanted = lock.wanted(mirrors: mirrors, store: archive.store)
        #expect(wanted[1].name == "tool 1.0 (amd64)")
        #expect(
            wanted[1].urls == ["http://a/debian/pool/main/tool_1.0_amd64.deb", "http://b/pool/main/tool_1.0_amd64.deb"])
        #expect(wanted[1].snapshotURLs.first == "http://s/20260921T201320Z/pool/main/tool_1.0_amd64.deb")
        #expect(wanted[1].snapshotURLs.dropFirst(3).first == "http://t/20260921T201320Z/pool/main/tool_1.0_amd64.deb")
        #expect(wanted[1].snapshotURLs.count == 6)
    }

    @Test func anOlderMirrorThanTheLockIsRefused() throws {
        let archive = try archive()
        let first = try archive.lock(archive.request(["tool"])).entry
        archive.date -= 86400
        try archive.publish()
        let error = failure { _ = try archive.lock(archive.request(["tool"]), previous: first, update: .all) }
        #expect(error?.message == "\(archive.url)/dists/moss/InRelease is older than the lock")
        archive.allowsExpired = true
        _ = try archive.lock(archive.request(["tool"]), previous: first, update: .all)
    }
}
