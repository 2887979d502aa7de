import ForgeBase
import ForgeRecipe
import Glibc
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
        #expect(binding.outputs.map(\.description) == ["packages.packages"])
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

    @Test func aTestCanHaveDisksAndAKernelOfItsOwn() throws {
        let project = try Project()
        let text = try #require(
            Project.recipe.replacing(
                first: "    disk: node-${suite}.squashfs\n",
                with: """
                        iso: node-${suite}.squashfs
                        kernel: node-${suite}.squashfs
                        initrd: node-${suite}.squashfs
                        cmdline: forge.storage=split suite=${suite}
                        disks: [64M, {size: 1G, format: ext4, label: DATA}]
                        timeout: 120

                    """
            )?.replacing(
                first: "      - {unit: ssh.service}\n",
                with: "      - {reboot: true}\n      - {reboot: true, timeout: 9}\n      - {disk: 1, unchanged: true}\n"
            ))
        let test = try #require(try project.load(text).tests.first)
        #expect(test.medium == .iso("node-bookworm.squashfs"))
        #expect(test.kernel?.commandLine == "forge.storage=split suite=bookworm")
        #expect(
            test.disks == [
                BootTest.Disk(size: 64 << 20, format: .blank, label: ""),
                BootTest.Disk(size: 1 << 30, format: .ext4, label: "DATA"),
            ])
        #expect(test.checks.prefix(3).map(\.check) == [.reboot, .reboot, .unchanged(disk: 1)])
        // A reboot takes as long as a boot, unless it says otherwise.
        #expect(test.checks.prefix(3).map(\.seconds) == [120, 9, 60])
    }

    @Test func theRootOfAClusterIsUsedByItsTestAlone() throws {
        let project = try Project()
        try project.write("recipes/node/tests/plane", "#!/bin/sh\n")
        chmod(project.root + "/recipes/node/tests/plane", 0o755)
        let text = try #require(
            Project.recipe.replacing(
                first: "    seed: {user-data: \"#cloud-config\"}\n",
                with: """
                        machines: 2
                        cluster: {root: over.tree, run: tests/plane, environment: {SUITE: "${suite}"}, timeout: 90}

                    """
            )?.replacing(
                first: "      - {unit: ssh.service}\n", with: "      - {on: cluster, command: kubectl get nodes}\n"
            )?.replacing(
                first: "stages:\n",
                with: "stages:\n  over: {stage: rootfs, inputs: {packages: packages.packages}}\n"))
        let recipe = try project.load(text)
        let test = try #require(recipe.tests.first)
        #expect(
            test.cluster
                == BootTest.Cluster(
                    root: OutputReference(stage: "over", output: "tree"),
                    script: project.root + "/recipes/node/tests/plane", shownScript: "recipes/node/tests/plane",
                    environment: [Variable(name: "SUITE", value: "bookworm")], seconds: 90))
        #expect(test.machines == 2)
        #expect(test.checks.map(\.onCluster) == [true, false, false])
        #expect(recipe.warnings.isEmpty)
    }

    @Test func whatReachesNothingIsWarnedOf() throws {
        let project = try Project()
        let text = try #require(
            Project.recipe.replacing(
                first: "stages:\n",
                with:
                    "  spare: {type: string, default: x}\nstages:\n  other: {stage: squashfs, inputs: {tree: over.tree}}\n"
                    + "  over: {stage: rootfs, inputs: {packages: packages.packages}}\n"))
        #expect(
            try project.load(text).warnings.map(\.description) == [
                "recipes/node/recipe.yaml:11:3: stage “other” reaches no artifact, so it is not built",
                "recipes/node/recipe.yaml:12:3: stage “over” reaches no artifact, so it is not built",
                "recipes/node/recipe.yaml:9:3: parameter “spare” is used nowhere",
            ])
    }

    @Test func parameterKeepsItsTypeAloneAndIsTextWithin() throws {
        let project = try Project()
        let text = try #require(
            Project.recipe.replacing(first: "hostname: node-${suite}", with: "hostname: l${level}-${debug}-x"))
        #expect(try project.load(text).stage("base")?.options["hostname"] == .string("l19-false-x"))
        #expect(try project.load(text, set: [("level", "7")]).stage("image")?.options["level"] == .int(7))
    }

    @Test func wrongValuesOfParametersAreRefused() throws {
        let project = try Project()
        let set = [("suit", "trixie"), ("suite", "sid"), ("level", "high"), ("debug", "yes")]
        #expect(
            try project.faults(Project.recipe, set: set) == [
                "--set suit=trixie: the recipe has no parameter “suit”; did you mean “suite”?\n"
                    + "  → parameters: suite, level, debug",
                "recipes/node/recipe.yaml:6:3: --set suite=sid: parameter “suite” must be one of bookworm, trixie, "
                    + "not “sid”",
                "recipes/node/recipe.yaml:7:3: --set level=high: parameter “level” must be an integer, not “high”",
                "recipes/node/recipe.yaml:8:3: --set debug=yes: parameter “debug” must be true or false, not “yes”\n"
                    + "  → write true",
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
