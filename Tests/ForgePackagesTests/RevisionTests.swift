import ForgeBase
import ForgePackages
import ForgeSystem
import Glibc
import Testing

@Suite struct RevisionTests {
    private func git(_ directory: String, _ arguments: String...) throws {
        let identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]
        _ = try Command("git", ["-C", directory] + identity + arguments).outputOrThrow()
    }

    @Test func theRevisionIsWhatGitSays() throws {
        let directory = "/tmp/forge-revision-\(getpid())"
        try Files.makeDirectories(directory)
        defer { try? Files.remove(directory) }
        #expect(try Revision.json(of: directory)["revision"] == .null, "no repository")
        try git(directory, "init", "--quiet")
        #expect(try Revision.json(of: directory)["revision"] == .null, "no commit")
        try Files.write(directory + "/a", "1")
        try git(directory, "add", "a")
        try git(directory, "commit", "--quiet", "-m", "x")
        let clean = try Revision.json(of: directory)["revision"]
        let head = try Command("git", ["-C", directory, "rev-parse", "HEAD"]).outputOrThrow()
        #expect(
            clean?["commit"]?.string
                == String(decoding: head, as: UTF8.self).split(separator: "\n").first.map(String.init))
        #expect(clean?["dirty"]?.bool == false)
        try Files.write(directory + "/a", "2")
        #expect(try Revision.json(of: directory)["revision"]?["dirty"]?.bool == true, "a changed file")
    }
}
