import ForgeBase
import ForgeRecipe
import ForgeSystem
import Glibc
import Testing

/// The example of the stage author's guide: the guide shows what is in its files, and the files build what it says.
@Suite struct ExampleTests {
    static let guide = BuildProject.repository + "/docs/stages.md"
    static let example = BuildProject.repository + "/docs/example"

    /// The code blocks of the guide that name a file: a line that ends in `<path>`: or starts with it, then the block.
    func blocks() throws -> [(file: String, text: String)] {
        let lines = String(decoding: try Files.read(ExampleTests.guide), as: UTF8.self)
            .split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        var found: [(String, String)] = []
        for (i, line) in lines.enumerated() where line.hasPrefix("`example/") && line.hasSuffix("`:") {
            let name = line.dropFirst("`example/".count).dropLast("`:".count)
            guard i + 2 < lines.count, lines[i + 1].isEmpty, lines[i + 2].hasPrefix("```") else {
                Issue.record("no code follows line \(i + 1) of the guide")
                continue
            }
            let code = lines[(i + 3)...].prefix { $0 != "```" }
            found.append((String(name), code.joined(separator: "\n") + "\n"))
        }
        return found
    }

    @Test func theGuideShowsTheFiles() throws {
        let blocks = try blocks()
        for (file, text) in blocks {
            let written = String(decoding: try Files.read("\(ExampleTests.example)/\(file)"), as: UTF8.self)
            #expect(written == text, "docs/stages.md shows another docs/example/\(file)")
        }
        #expect(
            blocks.map(\.file).sorted() == [
                "handbook.txt", "handbook/recipe.yaml", "handbook/stages/book/run", "handbook/stages/book/stage.yaml",
                "handbook/stages/book/tests.yaml", "handbook/stages/build-roots/text-tools.yaml",
            ])
    }

    @Test func theStageJudgesItsExamplesAsTheySay() throws {
        let catalog = StageCatalog(directories: [ExampleTests.example + "/handbook/stages"])
        let stage = try #require(try catalog.stage("book"))
        #expect(try StageExample.load(stage).compactMap { $0.verdict(stage) } == [])
        #expect(try StageExample.load(stage).count == 3)
    }

    /// As `ci/test-stages` does with a build root of Debian.
    @Test(.enabled(if: Files.exists(BuildProject.busybox), "needs busybox-static"))
    func theExampleBuildsWhatTheGuideSays() throws {
        let project = try BuildProject()
        try project.shell(
            """
            cp -r \(BuildProject.repository)/stages/tarball stages/; cp -r \(ExampleTests.example)/handbook recipes/
            cp -r \(ExampleTests.example)/network/www.example.org .; cp -r stages/build-roots/root recipes/handbook/stages/root
            export GIT_AUTHOR_NAME=Example GIT_AUTHOR_EMAIL=example@example.org GIT_AUTHOR_DATE='1700000000 +0000'
            export GIT_COMMITTER_NAME=Example GIT_COMMITTER_EMAIL=example@example.org
            export GIT_COMMITTER_DATE='1700000000 +0000'
            mkdir git; cd git; git init -q -b main glossary.git; cd glossary.git
            cp \(ExampleTests.example)/network/glossary/terms.txt .; git add terms.txt; git commit -qm Terms
            """)
        // The same tools from busybox; a build root's paths start where its file is.
        try project.shell("mv recipes/handbook/stages/root recipes/handbook/stages/build-roots/root")
        try project.write(
            "recipes/handbook/stages/build-roots/text-tools.yaml",
            try project.text("stages/build-roots/tools.yaml").replacing("name: tools", with: "name: text-tools"))
        let mirrors = [
            "--mirror", "www.example.org=file://\(project.root)/www.example.org", "--mirror",
            "git.example.org=file://\(project.root)/git",
        ]
        let built = try project.run(["build", "handbook", "--json"] + mirrors)
        #expect(built.json["ran"] == .int(5), "\(built.output) \(built.errors)")
        let expected = String(decoding: try Files.read(ExampleTests.example + "/handbook.txt"), as: UTF8.self)
        #expect(try project.text("out/handbook/default/handbook.txt") == expected)
        // Without the network, with another edition: what was fetched is in the cache.
        try project.shell("rm -rf www.example.org git")
        let second = try project.run(["build", "handbook", "--json", "--offline", "--set", "edition=second"])
        #expect(
            second.json["ran"] == .int(1),
            "the pages are the same, so the archive is: \(second.output) \(second.errors)")
        #expect(try project.text("out/handbook/default/handbook.txt").hasPrefix("Node handbook, second edition\n"))
    }
}

extension String {
    func replacing(_ old: String, with new: String) -> String {
        split(separator: old, omittingEmptySubsequences: false).joined(separator: new)
    }
}
