import ForgeBase
import ForgeRecipe
import Testing

@Suite struct RecipeTests {
    @Test func goodRecipeIsResolved() throws {
        let project = try Project()
        let recipe = try project.load(Project.recipe)
        #expect(recipe.stages.map(\.id) == ["packages", "base", "image"])
        #expect(recipe.stage("image")?.options.description == #"{"compression":"zstd","level":19}"#)
        #expect(
            recipe.stage("packages")?.options.description
                == #"{"include":["systemd"],"recommends":false,"suites":["bookworm","bookworm-updates"]}"#)
        #expect(
            recipe.stage("base")?.options.description
                == #"{"files":[{"mode":"0644","path":"/etc/motd","source":"files/motd"},"#
                + #"{"content":"echo ${HOME} $HOME $(id)","mode":"0755","path":"/usr/bin/hello"}],"#
                + #""hostname":"node-bookworm","sysctl":{}}"#)
        let path = try #require(recipe.stage("base")?.paths.first)
        #expect(path.option == "files")
        #expect(path.pointer == "/files/0/source")
        #expect(path.absolute == project.root + "/recipes/node/files/motd")
        let binding = try #require(recipe.stage("base")?.inputs.first)
        #expect(binding.name == "packages")
        #expect(binding.sources.map(\.description) == ["packages.packages"])
        #expect(recipe.artifacts.map(\.path) == ["node-bookworm.squashfs"])
        #expect(recipe.warnings.isEmpty)
        let test = try #require(recipe.tests.first)
        #expect(test.medium == .disk("node-bookworm.squashfs"))
        #expect(test.firmware == [.bios, .uefi])
        #expect(test.memory == 3 << 30)
        #expect(
            test.checks.map(\.check) == [
                .unit("ssh.service", .active), .command("hostname", exit: 0, output: .exactly("node")),
                .noFailedUnits(except: ["systemd-networkd-wait-online.service"]),
            ])
    }

    @Test func parametersChooseStagesItemsAndArtifacts() throws {
        let recipe = try Project().load(Project.recipe, set: [("debug", "true"), ("suite", "trixie")])
        #expect(recipe.artifacts.map(\.path) == ["node-trixie.squashfs", "debug.squashfs"])
        #expect(recipe.stage("debug-image")?.options.description == #"{"compression":"lz4"}"#)
        #expect(
            recipe.stage("packages")?.options["include"]?.array?.compactMap(\.string)
                == ["systemd", "systemd-cryptsetup", "strace", "gdb"])
        #expect(recipe.values.map(\.name) == ["suite", "level", "debug"])
        #expect(recipe.values.map(\.value) == [.string("trixie"), .int(19), .bool(true)])
    }
}
