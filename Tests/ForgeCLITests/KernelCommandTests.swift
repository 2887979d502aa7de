import ForgeBase
import ForgeSystem
import Testing

@testable import ForgeCLI

/// `forge kernel` with a stage that reports what it was given; real configurations are for ci/test-kconfig.
@Suite(.enabled(if: Files.exists(BuildProject.busybox), "busybox-static is not installed"))
final class KernelCommandTests {
    let project: BuildProject

    /// Every line of a fragment with BAD in it is a fault. Without fragments it fails, as the real one does with a broken tree.
    private static let script = """
        #!/bin/sh
        ls /in/fragments >/dev/null 2>&1 || { echo "kernel-config: nothing to do" >&2; exit 1; }
        [ "$1" != menuconfig ] || exit 0
        list=$(grep -Hn BAD /in/fragments/* | sed 's,^/in/fragments/[0-9]*-\\([^:]*\\):\\([0-9]*\\):\\(.*\\)$,{"fragment":"\\1"\\,"line":\\2\\,"text":"\\1:\\2: \\3"},' | tr '\\n' ',')
        printf '{"linux":"6.1","requested":%s,"faults":[%s]}' "$(ls /in/fragments | wc -l)" "${list%,}" > /out/report
        cp /out/report /out/config
        ls /in/fragments
        [ -z "$list" ]

        """

    init() throws {
        project = try BuildProject()
        // The shell that sandboxes are entered with.
        try project.write("stages/build-roots/root/bin/bash", "#!/bin/sh\nexec /bin/sh \"$@\"\n")
        try project.shell("chmod 0755 stages/build-roots/root/bin/bash")
        try project.write(
            "stages/kernel-config/stage.yaml",
            """
            summary: Fake.
            build-root: tools
            inputs: {fragments: {kind: file, many: true, optional: true}}
            options: {use: {type: list, of: string, default: []}}
            outputs: {config: {kind: file}, report: {kind: file}}

            """)
        try project.write("stages/kernel-config/run", KernelCommandTests.script)
        try project.write("recipes/r/first.config", "CONFIG_A=y\n")
        try recipe(["config"])
    }

    private func recipe(_ ids: [String], inputs: String = "inputs: {fragments: [{path: first.config}]}") throws {
        let stages = ids.map { "  \($0): {stage: kernel-config, \(inputs)}\n" }.joined()
        try project.write(
            "recipes/r/recipe.yaml",
            "forge: 1\nname: r\narchitecture: amd64\nstages:\n  other: {stage: overlay, options: {files: [{path: /x, content: x}]}}\n"
                + stages + "artifacts:\n  x: \(ids.first ?? "other").\(ids.isEmpty ? "tree" : "config")\n")
    }

    @Test func aGoodConfigurationIsOneLineAndZero() throws {
        let outcome = try project.forge("kernel", "verify", "r")
        #expect(outcome.status == .exited(0) && outcome.output == "", "\(outcome.output)\(outcome.errors)")
        #expect(
            outcome.errors.hasSuffix("r/config: linux 6.1, 1 option asked for, all as asked\n"), "\(outcome.errors)")
        // Nothing of it is stored: a build still has all to do.
        #expect(try project.forge("build", "r", "--json").json["ran"] == .int(1))
    }

    @Test func everyFaultIsALineWithThePathOfItsFragment() throws {
        try project.write("recipes/r/first.config", "CONFIG_A=y\nBAD one\n")
        try project.write("more/second.config", "BAD two\n\nBAD three\n")
        let outcome = try project.forge("kernel", "verify", "r", "--fragment", "more/second.config")
        #expect(outcome.status == .exited(2))
        #expect(
            outcome.output == """
                recipes/r/first.config:2: BAD one
                more/second.config:1: BAD two
                more/second.config:3: BAD three

                """)
        #expect(outcome.errors.hasSuffix("r/config: linux 6.1, 2 options asked for, 3 faults\n"), "\(outcome.errors)")
        let json = try project.forge("kernel", "verify", "r", "--fragment", "more/second.config", "--json")
        #expect(json.status == .exited(2) && json.json["faults"]?.array?.count == 3, "\(json.output)")
    }

    @Test func aFragmentOfTheCommandLineIsTheOnlyOne() throws {
        try recipe(["config"], inputs: "options: {}")
        let failed = try project.forge("kernel", "verify", "r")
        #expect(
            failed.status == .exited(6) && failed.errors.contains("│ kernel-config: nothing to do"), "\(failed.errors)")
        #expect(try project.forge("kernel", "verify", "r", "--fragment", "recipes/r/first.config").status == .exited(0))
    }

    @Test func theStageIsFoundOrAskedFor() throws {
        func error(_ arguments: String...) throws -> String {
            let outcome = try project.run(["kernel"] + arguments)
            #expect(outcome.status == .exited(2), "\(outcome.output)")
            return outcome.errors
        }
        #expect(
            try error("verify", "r", "--stage", "confg").contains(
                "“confg” is no kernel-config stage of r; did you mean “config”?"))
        try recipe(["config", "other-config"])
        #expect(
            try error("verify", "r").contains("r configures 2 kernels: config, other-config\n  → name one: --stage ID"))
        #expect(try project.forge("kernel", "verify", "r", "--stage", "other-config").status == .exited(0))
        try recipe([])
        #expect(try error("verify", "r").contains("error: r configures no kernel"))
        #expect(try error("verify", "r", "--stage", "other").contains("“other” is no kernel-config stage of r"))
    }

    @Test func wrongCommandLinesAreRefusedBeforeAnythingRuns() throws {
        for (arguments, message) in [
            (["verify", "r", "--output", "x"], "--output is for forge kernel menuconfig"),
            (["menuconfig", "r", "--fragment", "x"], "--fragment is for forge kernel verify"),
            (["verify", "r", "--fragment", "nothing.config"], "there is no fragment nothing.config"),
            (["verify", "r", "--fragment", "recipes"], "there is no fragment recipes"),
            (["menuconfig", "r"], "menuconfig needs a terminal"),
            (["check", "r"], "“check” is none of verify, menuconfig"),
        ] {
            let outcome = try project.run(["kernel"] + arguments)
            #expect(outcome.status == .exited(2) && outcome.errors.contains(message), "\(arguments): \(outcome.errors)")
        }
    }

    /// The stage's folder may have changed since the last build: what the sandbox shows is as new as the plan.
    @Test func aShellSeesAChangedStage() throws {
        #expect(try project.forge("build", "r").status == .exited(0))
        try project.write("stages/kernel-config/extra", "new")
        let outcome = try project.forge("shell", "r", "config", "--command", "cat /stage/extra")
        #expect(outcome.status == .exited(0) && outcome.output == "new", "\(outcome.errors)")
    }
}
