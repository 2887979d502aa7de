import ForgeBase
import ForgeSystem
import Testing

@testable import ForgeCLI

/// Trees among the artifacts.
@Suite struct PublishTests {
    @Test func aTreeIsAFolder() throws {
        let project = try TinyProject()
        try project.edit("artifacts:\n", "artifacts:\n  www/site: base.tree\n")
        try project.write("recipes/tiny/files/etc/hosts", "127.0.0.1 localhost\n")
        let artifacts = try #require(try project.json("build", "tiny")["artifacts"]?.array)
        let out = project.path + "/out/tiny/default"
        #expect(
            artifacts.compactMap { $0["path"]?.string }.filter { $0.contains("/www/") } == [
                out + "/www/site/etc/hosts", out + "/www/site/etc/motd",
            ])
        #expect(try Files.read(out + "/www/site/etc/motd") == Array("welcome\n".utf8))
        let sums = try Command("sha256sum", ["-c", "--quiet", "SHA256SUMS"], directory: out).run()
        #expect(sums.report.succeeded)
        let lines = String(decoding: try Files.read(out + "/SHA256SUMS"), as: UTF8.self)
        #expect(lines.contains("  www/site/etc/motd\n"))

        // What the tree has no more is gone.
        try Files.remove(project.path + "/recipes/tiny/files/etc/hosts")
        try project.forge("build", "tiny")
        #expect(try Files.list(out + "/www/site/etc").map(\.description) == ["motd"])
    }

    @Test func aTreeWithMoreThanFilesIsRefused() throws {
        let project = try TinyProject()
        try project.edit("artifacts:\n", "artifacts:\n  site: extra.tree\n")
        try project.edit(
            "- {path: /etc/word, content: \"${word}\"}",
            "- {path: /etc/word, content: \"${word}\"}\n        - {path: /etc/link, link: word}")
        let text = try project.forge("build", "tiny", "--json", expecting: ExitCode.badInput.rawValue)
        #expect(text.contains("artifact “site” is a tree that can't be published as a folder"))
        #expect(text.contains("etc/link"))
    }
}
