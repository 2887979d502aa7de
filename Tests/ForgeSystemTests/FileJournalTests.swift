import ForgeBase
import ForgeSystem
import Glibc
import Testing

/// What a build with nothing to do relies on. Serial, because one computation is recorded at a time.
@Suite(.serialized) struct FileJournalTests {
    let lab: Lab

    init() throws { lab = try Lab() }

    /// Writes a file that has kept still for a day.
    func write(_ name: String, _ text: String) throws {
        try Files.write("\(lab.path)/\(name)", text)
        try age("\(lab.path)/\(name)")
    }

    /// Only the time of change of the inode is left to tell, and that can't be set: wait for it.
    func age(_ path: String) throws { SystemTime.sleep(milliseconds: 30) }

    func witnesses(_ look: () throws -> Void) throws -> FileWitnesses {
        try #require(try FileJournal.recording(ignoring: [lab.path + "/ignored"], look).1)
    }

    @Test func holdsUntilABytesChanges() throws {
        try write("a", "one")
        let found = try witnesses { _ = try Files.read("\(lab.path)/a") }
        #expect(found.stillHold())
        #expect(FileWitnesses(bytes: found.bytes).stillHold(), "kept and read again")
        try Files.write("\(lab.path)/a", "two")
        #expect(!found.stillHold())
    }

    @Test func absenceIsAnAnswerToo() throws {
        let found = try witnesses {
            _ = Files.exists("\(lab.path)/later")
            _ = try Files.status("\(lab.path)/later/below")
        }
        #expect(found.stillHold())
        try write("later", "")
        #expect(!found.stillHold())
    }

    @Test func aDirectoryIsItsListWhereItIsListed() throws {
        try Files.makeDirectories("\(lab.path)/listed")
        try Files.makeDirectories("\(lab.path)/seen")
        try age(lab.path)
        let listed = try witnesses { _ = try Files.list("\(lab.path)/listed") }
        let seen = try witnesses { _ = Files.isDirectory("\(lab.path)/seen") }
        try write("listed/new", "")
        try write("seen/new", "")
        #expect(!listed.stillHold())
        #expect(seen.stillHold(), "nobody asked what is in it")
    }

    @Test func aLinkIsFollowedWhereItWasFollowed() throws {
        try write("a", "one")
        try write("b", "one")
        let link = "\(lab.path)/link"
        #expect(symlink("a", link) == 0)
        try age(link)
        var followed = try witnesses { _ = try Files.read(link) }
        let resolved = try witnesses { _ = Files.absolute(link) }
        #expect(followed.stillHold())
        try write("a", "two")
        #expect(!followed.stillHold())
        followed = try witnesses { _ = try Files.read(link) }
        #expect(followed.stillHold())
        unlink(link)
        #expect(symlink("b", link) == 0)
        #expect(!followed.stillHold() && !resolved.stillHold())
    }

    @Test func whatDoesNotKeepStillIsNotRemembered() throws {
        try Files.write("\(lab.path)/fresh", "x")
        #expect(try FileJournal.recording(ignoring: []) { _ = try Files.read("\(lab.path)/fresh") }.1 == nil)
        try write("changing", "x")
        let found = try FileJournal.recording(ignoring: []) {
            _ = try Files.status("\(lab.path)/changing")
            try write("changing", "y")
            _ = try Files.status("\(lab.path)/changing")
        }.1
        #expect(found == nil, "two answers to one question")
    }

    @Test func ignoredPathsAreNotNoted() throws {
        try Files.makeDirectories("\(lab.path)/ignored")
        try write("ignored/a", "one")
        let found = try witnesses { _ = try Files.read("\(lab.path)/ignored/a") }
        #expect(found.bytes.isEmpty)
    }

    @Test func aRelativePathIsNeverRemembered() throws {
        #expect(FileJournal.recording(ignoring: []) { _ = Files.exists("somewhere") }.1 == nil)
    }

    @Test func twoSetsHoldTogether() throws {
        try write("a", "one")
        try write("b", "one")
        let both =
            try witnesses { _ = try Files.read("\(lab.path)/a") }
            + (try witnesses { _ = try Files.read("\(lab.path)/b") })
        #expect(both.stillHold())
        try Files.write("\(lab.path)/b", "two")
        #expect(!both.stillHold())
    }

    @Test func damagedBytesHoldForNothing() throws {
        try write("a", "one")
        let good = try witnesses { _ = try Files.read("\(lab.path)/a") }.bytes
        for length in 1..<good.count { #expect(!FileWitnesses(bytes: Array(good[..<length])).stillHold()) }
        for i in good.indices {
            var bad = good
            bad[i] ^= 0x41
            _ = FileWitnesses(bytes: bad).stillHold()
        }
    }
}
