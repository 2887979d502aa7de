import ForgeBase
import ForgeRecipe
import ForgeSystem
import Testing

@testable import ForgeCLI

/// Whether a lock still fits a recipe, by what the recipe says and what is in the files that it names.
@Suite struct LockFitTests {
    let project: TinyProject

    init() throws {
        project = try TinyProject()
        let stage = "stages/debian-packages/stage.yaml"
        try project.write(
            stage, String(decoding: try Files.read("\(BuildProject.repository)/\(stage)"), as: UTF8.self))
        try project.write("recipes/tiny/keys/own.gpg", "the first key")
        try project.write(
            "recipes/tiny/recipe.yaml",
            """
            forge: 1
            name: tiny
            summary: Packages of an archive with its own keys.
            architecture: amd64
            stages:
              packages:
                stage: debian-packages
                options:
                  repositories:
                    - {archive: own, uri: ["http://own.invalid"], suites: [moss], components: [main], keyring: keys/own.gpg}
                  base: none
                  packages: [tool]
            artifacts: {tree: packages.packages}

            """)
    }

    /// What a lock for the recipe as it is would be asked for.
    private func request() throws -> JSON {
        let recipe = try Recipe.load(
            project.path + "/recipes/tiny/recipe.yaml", catalog: StageCatalog(directories: [project.path + "/stages"]),
            set: [])
        let stage = try #require(recipe.stage("packages"))
        return try LockService.request(stage) { Digest.of(try Files.read($0)) }
    }

    @Test func anotherKeyringAsksForAnotherLock() throws {
        let before = try request()
        #expect(before["file-digests"]?["keys/own.gpg"]?.string == Digest.of("the first key").hex)
        try save(before, [])
        try project.forge("plan", "tiny", "--locked")

        try project.write("recipes/tiny/keys/own.gpg", "the second key")
        let refused = try JSON(
            parsing: Array(try project.forge("plan", "tiny", "--json", expecting: 2).utf8), file: "plan")
        let error = try #require(refused["errors"]?.array?.first)
        #expect(
            error["message"]?.string
                == "recipes/tiny/forge.lock no longer fits the recipe: of “packages”, keys/own.gpg has changed since it was made"
        )
        #expect(error["remedy"]?.string == "run `forge lock tiny`: it keeps every version that still fits")

        try project.write("recipes/tiny/keys/own.gpg", "the first key")
        let unknown = try project.forge("lock", "--update", "tiny", "tol", "--json", expecting: 2)
        #expect(unknown.contains("“tol” is not in the lock"), "\(unknown)")
        try project.edit("packages: [tool]", "packages: [tools]")
        let other = try project.forge("plan", "tiny", "--json", expecting: 2)
        #expect(other.contains("the options of “packages” have changed since it was made"), "\(other)")
    }

    /// The host's own keyring is not the same everywhere, and locks go from host to host.
    @Test func aRecipeWithoutFilesAsksForItsOptionsAlone() throws {
        try project.edit(", keyring: keys/own.gpg", "")
        #expect(try request()["file-digests"] == nil)
    }

    /// The answer for a lock is remembered, so that no build reads it for that: not beyond the lock or the rules.
    @Test func versionsOfTheLockAreHeldAgainstTheRulesThatAreInForce() throws {
        try writeRules("pair < 2")
        try project.edit(", keyring: keys/own.gpg", "")
        try project.edit(
            "artifacts:",
            """
              pair:
                stage: pair
                versions: [{of: tool, locked: packages, package: tool}, {of: pair, is: "1"}]
            artifacts:
            """)
        try writeLock(toolVersion: "1.2-1")
        for _ in 0..<2 { try project.forge("plan", "tiny", "--locked") }
        try writeRules("pair < 1")
        let rule = try project.forge("plan", "tiny", "--locked", "--json", expecting: 2)
        #expect(rule.contains("tool 1.2 and pair 1 don't fit together: they differ"), "\(rule)")
        try writeRules("pair < 2")
        try project.forge("plan", "tiny", "--locked")
        try project.edit(#"is: "1""#, #"is: "3""#)
        let recipe = try project.forge("plan", "tiny", "--locked", "--json", expecting: 2)
        #expect(recipe.contains("tool 1.2 and pair 3 don't fit together: they differ"), "\(recipe)")
        try writeLock(toolVersion: "2.0-1")
        try project.forge("plan", "tiny", "--locked")
        try writeLock(toolVersion: "1.9-1")
        let lock = try project.forge("plan", "tiny", "--locked", "--json", expecting: 2)
        #expect(lock.contains("tool 1.9 and pair 3 don't fit together: they differ"), "\(lock)")
    }

    private func writeRules(_ need: String) throws {
        try project.write(
            "stages/pair/stage.yaml",
            """
            summary: x
            run: builtin:merge
            outputs: {o: {kind: file}}
            compatibility:
              - {if: tool < 2, need: \(need), because: they differ}

            """)
    }

    private func writeLock(toolVersion: String) throws {
        let tool = LockedPackage(
            name: "tool", version: toolVersion, architecture: "amd64", digest: Digest.of("tool"), path: "pool/tool.deb",
            archive: "own", suite: "moss", source: "tool", sourceVersion: toolVersion)
        try save(try request(), [tool])
    }

    private func save(_ request: JSON, _ packages: [LockedPackage]) throws {
        let archive = LockedArchive(
            archive: "own", suite: "moss", codename: "moss", components: ["main"], date: 1_790_000_000,
            release: Digest.of("Release"), signedBy: "", indexes: [])
        let entry = LockEntry(
            id: "packages", parameters: [:], locker: "debian", request: request, date: 1_790_000_000,
            body: .debian(DebianLock(snapshot: "20260921T201320Z", archives: [archive], packages: packages)))
        try LockFile(entries: [entry]).save(project.path + "/recipes/tiny/forge.lock")
    }
}
