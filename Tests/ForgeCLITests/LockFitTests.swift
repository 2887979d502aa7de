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
        let archive = LockedArchive(
            archive: "own", suite: "moss", codename: "moss", components: ["main"], date: 1_790_000_000,
            release: Digest.of("Release"), signedBy: "", indexes: [])
        let entry = LockEntry(
            id: "packages", parameters: [:], locker: "debian", request: before, date: 1_790_000_000,
            body: .debian(DebianLock(snapshot: "20260921T201320Z", archives: [archive], packages: [])))
        try LockFile(entries: [entry]).save(project.path + "/recipes/tiny/forge.lock")
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
}
