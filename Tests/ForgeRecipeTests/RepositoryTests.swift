import ForgeBase
import ForgeRecipe
import ForgeSystem
import Glibc
import Testing

/// The stages, recipes and documents of this repository.
@Suite struct RepositoryTests {
    let layout: ProjectLayout

    init() throws {
        let tests = Files.parent(of: Files.parent(of: #filePath))
        layout = try ProjectLayout.find(from: tests, executable: nil)
    }

    @Test func everyStageIsSound() throws {
        for stage in try layout.catalog().all() { #expect(!stage.summary.isEmpty, "\(stage.name)") }
    }

    @Test func everyStageJudgesItsExamplesAsTheySay() throws {
        for stage in try layout.catalog().all() {
            let examples = try StageExample.load(stage, file: "stages/\(stage.name)/tests.yaml")
            #expect(examples.contains { $0.error == nil }, "\(stage.name) has no example of good options")
            #expect(examples.contains { $0.error != nil }, "\(stage.name) has no example of bad options")
            #expect(examples.compactMap { $0.verdict(stage) } == [])
        }
    }

    @Test func everyRecipeAndBuildRootIsSound() throws {
        let catalog = layout.catalog()
        for name in try layout.recipeNames() {
            let recipe = try Recipe.load(try layout.recipeFile(name), catalog: catalog)
            #expect(recipe.warnings == [], "\(name)")
            _ = try catalog.buildRoots(for: recipe)
        }
        for name in try catalog.buildRootNames() {
            _ = try Recipe.load("\(layout.stagesDirectory)/build-roots/\(name).yaml", catalog: catalog)
        }
    }

    /// With FORGE_RECORD=1 the reference is written anew, and the test fails to say so.
    @Test func referenceIsCurrent() throws {
        let file = layout.root + "/docs/recipe-reference.md"
        let text = try RecipeReference.markdown(layout.catalog())
        let written = try Files.readIfPresent(file).map { String(decoding: $0, as: UTF8.self) }
        if getenv("FORGE_RECORD") != nil {
            try Files.makeDirectories(layout.root + "/docs")
            try Files.write(file, text)
            Issue.record("docs/recipe-reference.md is written; run the test again without FORGE_RECORD")
        } else {
            #expect(written == text, "docs/recipe-reference.md is old: run this test with FORGE_RECORD=1")
        }
    }
}
