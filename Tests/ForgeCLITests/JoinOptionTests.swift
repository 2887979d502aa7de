import ForgeBase
import ForgeSystem
import Testing

/// What of the tests of a recipe `forge test` chooses. Nothing is booted.
@Suite(.enabled(if: Host.findProgram("qemu-system-x86_64") != nil, "needs QEMU"))
struct JoinOptionTests {
    let project: TinyProject

    init() throws {
        project = try TinyProject()
        try project.edit(
            "artifacts:\n",
            """
            tests:
              - name: join
                iso: rootfs.tar.zst
                cluster: {root: base.tree, run: tests/plane}
                checks:
                  - {on: cluster, command: "true"}
            artifacts:

            """)
        try project.write("recipes/tiny/tests/plane", "#!/bin/sh\n")
        _ = try Command("chmod", ["+x", project.path + "/recipes/tiny/tests/plane"]).outputOrThrow()
    }

    @Test func aTestWithAClusterIsLeftOutAndSaidSo() throws {
        let text = try project.forge("test", "tiny", "--json", expecting: ExitCode.badInput.rawValue)
        #expect(text.contains("no test of tiny fits") && text.contains("add --join"))
    }

    @Test(arguments: [
        (["--machines", "2"], "--machines is for --join"),
        (["--join", "--machines", "10"], "--machines must be a whole number from 1 to 9, not “10”"),
    ])
    func machinesAreOfAClusterAndFew(_ words: [String], _ message: String) throws {
        let command = Command(
            TinyProject.forge, ["test", "tiny", "--json"] + words, directory: project.path, errors: .null)
        let (report, output) = try command.run()
        #expect(report.status == .exited(ExitCode.badInput.rawValue))
        #expect(String(decoding: output, as: UTF8.self).contains(message))
    }
}
