import ForgeBase
import ForgePackages
import ForgeRecipe
import ForgeStore
import ForgeSystem
import Testing

/// Source packages, locked against an archive of a few.
@Suite struct DebianSourceTests {
    /// `moss` with two versions of one source, and another; `moss-updates` with a newer version of the first.
    func archive() throws -> TinyArchive {
        let archive = TinyArchive()
        archive.suites = ["moss": [TinyArchive.package("tool")], "moss-updates": [TinyArchive.package("tool")]]
        archive.sources = [
            "moss": [
                TinyArchive.source("kube", "1.9"), TinyArchive.source("kube", "1.10"), TinyArchive.source("tool"),
            ],
            "moss-updates": [TinyArchive.source("kube", "1.11~rc1")],
        ]
        try archive.publish()
        return archive
    }

    @Test func theHighestVersionIsLockedWithEveryFile() throws {
        let archive = try archive()
        let outcome = try archive.lock(archive.request(sources: ["tool", "kube"]))
        #expect(outcome.entry.sourceList == ["kube 1.10", "tool 1.0"])
        #expect(outcome.changes.map(\.description) == ["kube 1.10 (new)", "tool 1.0 (new)"])
        let lock = try #require(outcome.entry.debian)
        #expect(lock.packages.isEmpty)
        #expect(
            lock.sources[0].files.map(\.path) == [
                "pool/main/kube/kube_1.10.dsc", "pool/main/kube/kube_1.10.tar.xz",
            ])
        #expect(lock.sources[0].files.map(\.digest) == ["kube_1.10.dsc", "kube_1.10.tar.xz"].map { Digest.of($0) })
        #expect(lock.archives[0].indexes.map(\.path) == ["main/source/Sources"])
        let wanted = lock.wanted(mirrors: Mirrors(archives: ["tiny": ["http://a/debian"]]), store: archive.store)
        #expect(wanted.map(\.name).first == "kube_1.10.dsc of source kube")
        #expect(wanted.first?.urls == ["http://a/debian/pool/main/kube/kube_1.10.dsc"])
    }

    @Test func everySuiteIsLookedAt() throws {
        let archive = try archive()
        let suites = ["moss", "moss-updates"].map { DebianRequest.Suite(archive: "tiny", suite: $0) }
        let lock = try archive.lock(archive.request(sources: ["kube"], suites: suites)).entry.debian
        #expect(lock?.sources.map(\.version) == ["1.11~rc1"])
        #expect(lock?.sources.map(\.suite) == ["moss-updates"])
    }

    @Test(arguments: [("kube=1.9", "kube 1.9"), ("kube=1.1*", "kube 1.10"), ("kube=*", "kube 1.10")])
    func aVersionCanBeNamed(_ request: String, _ expected: String) throws {
        let archive = try archive()
        #expect(try archive.lock(archive.request(sources: [request])).entry.sourceList == [expected])
    }

    @Test func whatIsNotThereIsNamedWithWhatIs() throws {
        let archive = try archive()
        let one = failure { _ = try archive.lock(archive.request(sources: ["kubee"])) }
        #expect(one?.code == .badInput)
        #expect(one?.message == "no such source package")
        #expect(one?.details == ["kubee: unknown; did you mean “kube”?"])
        let two = failure { _ = try archive.lock(archive.request(sources: ["kube=2*", "zzz", "tool", "tool"])) }
        #expect(two?.message == "3 source packages can't be found")
        #expect(two?.details == ["kube: no version 2*; there is 1.9, 1.10", "zzz: unknown", "tool: named twice"])
    }

    @Test func onlyWhatIsNamedMoves() throws {
        let archive = try archive()
        let request = archive.request(sources: ["kube", "tool"])
        let first = try archive.lock(request).entry
        archive.counter.reset()
        #expect(try archive.lock(request, previous: first).entry == first)
        #expect(archive.counter.urls.isEmpty, "an unchanged request asks nobody")

        archive.sources["moss"] = [TinyArchive.source("kube", "2.0"), TinyArchive.source("tool", "2.0")]
        archive.date += 50
        try archive.publish()
        #expect(try archive.locker().check(first, request: request).count == 2)
        let second = try archive.lock(request, previous: first, update: .packages(["tool"]))
        #expect(second.entry.sourceList == ["kube 1.10", "tool 2.0"])
        #expect(second.changes.map(\.description) == ["tool 1.0 → 2.0"])
        // The state that vouches for what is held, and is gone, stays.
        #expect(second.entry.debian?.archives.map(\.date) == [archive.date, first.date])
        let all = try archive.lock(request, previous: second.entry, update: .all)
        #expect(all.entry.sourceList == ["kube 2.0", "tool 2.0"])
        #expect(all.entry.debian?.archives.count == 1)
        // A held version that the recipe no longer wants moves too.
        let pinned = try archive.lock(archive.request(sources: ["kube=2*", "tool"]), previous: first)
        #expect(pinned.entry.sourceList == ["kube 2.0", "tool 1.0"])
    }

    @Test func anAlteredIndexIsRefused() throws {
        let archive = try archive()
        try archive.edit("moss/main/source/Sources") { $0.replacing("1.10", with: "6.66") }
        let error = failure { _ = try archive.lock(archive.request(sources: ["kube"])) }
        #expect(error?.code == .verification)
        #expect(error?.message.hasSuffix("Sources is not the file that the signed Release file lists") == true)
    }

    @Test func anArchiveWithoutSourcesSaysSo() throws {
        let archive = try archive()
        archive.sources = [:]
        try archive.publish()
        let error = failure { _ = try archive.lock(archive.request(sources: ["kube"])) }
        #expect(error?.message.hasSuffix("lists no main/source/Sources") == true)
        #expect(error?.remedy == "name an archive that has sources of component “main”")
    }

    @Test(arguments: [
        ("pool/main/kube", "../../kube", "which is outside the archive"),
        ("Checksums-Sha256", "Checksums-Sha1", "no Checksums-Sha256 for source kube"),
        (".dsc\n", ".txt\n", "lists not one .dsc for source kube 1.0"),
        (" 13 kube", " x kube", "a line of Checksums-Sha256 of source kube is malformed"),
        ("kube_1.0.tar.xz", "a/kube_1.0.tar.xz", "a line of Checksums-Sha256 of source kube is malformed"),
    ])
    func anEntryThatIsNoneIsRefused(_ old: String, _ new: String, _ message: String) throws {
        let archive = try archive()
        let stanza = TinyArchive.source("kube").replacing(" 12 kube", with: " 13 kube").replacing(old, with: new)
        archive.sources["moss"] = [stanza]
        try archive.publish()
        let error = failure { _ = try archive.lock(archive.request(sources: ["kube"])) }
        #expect(error?.code == .verification)
        #expect(error?.message.contains(message) == true, "\(error?.message ?? "")")
    }
}
