import ForgeBase
import ForgeRecipe
import ForgeSystem
import Glibc
import Testing

@Suite struct CatalogTests {
    @Test func stagesOfTheProjectAndOfTheRecipeAreFound() throws {
        let project = try Project()
        try project.write(
            "recipes/node/stages/mine/stage.yaml", "summary: Mine.\nrun: builtin:mine\noutputs: {tree: {kind: tree}}\n")
        let recipe = try project.load(
            "forge: 1\nname: node\narchitecture: arm64\nstages: {a: {stage: mine}}\nartifacts: {tree: a.tree}\n")
        #expect(recipe.stages[0].definition.folder == project.root + "/recipes/node/stages/mine")
        #expect(try project.layout.catalog().names() == ["packages", "rootfs", "squashfs"])
        #expect(try project.layout.catalog().all().map(\.name) == ["packages", "rootfs", "squashfs"])
        #expect(try project.layout.catalog().stage("mine") == nil)
    }

    @Test func twoStagesOfOneNameAreRefused() throws {
        let project = try Project()
        try project.write("recipes/node/stages/rootfs/stage.yaml", "summary: Mine.\n")
        let faults = try project.faults(Project.recipe)
        #expect(
            faults == [
                "two stages are called “rootfs”\n  stages/rootfs\n  recipes/node/stages/rootfs\n  → rename the recipe's own one"
            ])
    }

    @Test func faultsOfAStageAreReportedOnceAndOnlyIfItIsUsed() throws {
        let project = try Project()
        try project.write("stages/broken/stage.yaml", "summary: [\n")
        #expect(try project.faults(Project.recipe).isEmpty)
        try project.write(
            "stages/squashfs/stage.yaml", "summary: x\nbuild-root: image\noutputs: {image: {kind: blob}}\n")
        #expect(
            try project.faults(Project.recipe) == [
                "stages/squashfs/stage.yaml:3:25: “kind” of output “image” of stage “squashfs” must be one of file, tree, "
                    + "not “blob”"
            ])
    }

    @Test func buildRootsComeBeforeWhatNeedsThem() throws {
        let project = try Project()
        let catalog = project.layout.catalog()
        #expect(try catalog.buildRootNames() == ["image"])
        let roots = try catalog.buildRoots(for: try project.load(Project.recipe))
        #expect(roots.map(\.name) == ["image"])
        #expect(roots[0].recipe.artifacts.map(\.path) == ["tree"])
        #expect(roots[0].recipe.stages.map(\.id) == ["packages", "base"])
    }

    @Test func buildRootMustExistAndNotNeedItself() throws {
        let project = try Project()
        let recipe = try project.load(Project.recipe)
        let image = project.root + "/stages/build-roots/image.yaml"
        try Files.move(image, to: project.root + "/stages/build-roots/images.yaml")
        let missing = #expect(throws: ForgeError.self) { try project.layout.catalog().buildRoots(for: recipe) }
        #expect(missing?.message == "there is no build root “image”; did you mean “images”?")
        try project.write(
            "stages/tool/stage.yaml",
            "summary: x\nbuild-root: image\ninputs: {image: {kind: file}}\noutputs: {tree: {kind: tree}}\n")
        try project.write("stages/tool/run", "#!/bin/sh\n")
        try project.write(
            "stages/build-roots/image.yaml",
            """
            forge: 1
            name: image
            architecture: amd64
            stages:
              packages: {stage: packages, options: {suites: [bookworm]}}
              base: {stage: rootfs, inputs: {packages: packages.packages}}
              packed: {stage: squashfs, inputs: {tree: base.tree}}
              tools: {stage: tool, inputs: {image: packed.image}}
            artifacts: {tree: tools.tree}
            """)
        let circle = #expect(throws: ForgeError.self) { try project.layout.catalog().buildRoots(for: recipe) }
        #expect(circle?.message == "build root “image” is needed to make itself")
        try project.write(
            "stages/build-roots/image.yaml",
            """
            forge: 1
            name: image
            architecture: amd64
            stages: {packages: {stage: packages, options: {suites: [bookworm]}}}
            artifacts: {packages: packages.packages}
            """)
        let treeless = #expect(throws: ForgeError.self) { try project.layout.catalog().buildRoots(for: recipe) }
        #expect(treeless?.message == "build root “image” must have an artifact “tree” that is a tree")
    }

    @Test func pathOutOfTheRecipeByALinkIsRefused() throws {
        let project = try Project()
        try project.write("recipes/other/secret", "x")
        symlink("../../other/secret", project.root + "/recipes/node/files/link")
        symlink("motd", project.root + "/recipes/node/files/fine")
        let text = try #require(Project.recipe.replacing(first: "source: files/motd", with: "source: files/link"))
        #expect(try project.faults(text).first?.contains("“files/link” is a link out of the recipe's folder") == true)
        let fine = try #require(Project.recipe.replacing(first: "source: files/motd", with: "source: ./files/fine"))
        #expect(try project.faults(fine).isEmpty)
    }

    @Test func projectIsFoundFromBelowAndFromTheProgram() throws {
        let project = try Project()
        let below = project.root + "/recipes/node/files"
        #expect(try ProjectLayout.find(from: below, executable: nil).root == project.root)
        try project.write("bin/forge", "")
        #expect(try ProjectLayout.find(from: "/", executable: project.root + "/bin/forge").root == project.root)
        #expect(throws: ForgeError.self) { try ProjectLayout.find(from: "/", executable: nil) }
    }

    @Test func recipeIsFoundByNameFolderAndFile() throws {
        let project = try Project()
        _ = try project.load(Project.recipe)
        let file = project.root + "/recipes/node/recipe.yaml"
        for argument in ["node", "recipes/node", "recipes/node/recipe.yaml", file] {
            #expect(try project.layout.recipeFile(argument) == file)
        }
        #expect(try project.layout.recipeNames() == ["node"])
        let unknown = #expect(throws: ForgeError.self) { try project.layout.recipeFile("nod") }
        #expect(unknown?.description == "there is no recipe “nod”; did you mean “node”?\n  → recipes: node")
        let elsewhere = ProjectLayout(root: project.root, workingDirectory: project.root + "/recipes")
        #expect(elsewhere.display(file) == "node/recipe.yaml")
        #expect(elsewhere.display(project.root + "/stages") == project.root + "/stages")
    }
}
