import ForgeBase
import ForgeSystem
import Glibc
import Testing

/// What compilers keep between builds: there for the script, in no key, within its limit.
@Suite(.enabled(if: Files.exists(BuildProject.busybox), "needs busybox-static"))
struct ToolCacheTests {
    let project: BuildProject

    init() throws { project = try BuildProject() }

    /// A script that leaves a line in its tool cache and shows how many there are.
    private func count(_ comment: String) throws {
        try project.recipe(
            script: """
                # \(comment)
                if [ -z "${FORGE_TOOL_CACHE:-}" ]; then
                    [ ! -e /cache ]
                    echo none > /out/out
                    exit
                fi
                echo line >> "$FORGE_TOOL_CACHE/lines"
                echo "$(wc -l < "$FORGE_TOOL_CACHE/lines") of $FORGE_TOOL_CACHE_SIZE" > /out/out
                """,
            stage: "tool-cache: counter\n")
    }

    private func built(_ words: String...) throws -> String {
        let outcome = try project.run(["build", "r"] + words)
        #expect(outcome.status == .exited(0), "\(outcome.errors)")
        return try project.text("out/r/default/out")
    }

    @Test func whatAScriptLeavesThereIsThereAgain() throws {
        try count("one")
        #expect(try built() == "1 of \(5 << 30)\n")
        #expect(try built() == "1 of \(5 << 30)\n", "it is in no key, so nothing runs")
        try count("two")
        #expect(try built("--no-tool-cache") == "none\n")
        #expect(try built() == "none\n", "nor is it in a key whether there is one")
        try count("three")
        #expect(try built() == "2 of \(5 << 30)\n")
        // Another build root is another compiler.
        try project.write("stages/build-roots/root/etc/changed", "x")
        #expect(try built() == "1 of \(5 << 30)\n")
    }

    @Test func itHasALimitOfItsOwn() throws {
        try count("one")
        try project.write("cache/config", "max-tool-size: 1M\n")
        #expect(try built() == "1 of \(1 << 20)\n")
        let shown = try project.forge("cache", "stat", "--json").json
        #expect(shown["files_of_tool_caches"] == .int(1) && shown["bytes_of_tool_caches"] == .int(5))
        #expect(shown["limits"]?["max_tool_size"] == .int(1 << 20))
        let collected = try project.forge("cache", "gc", "--max-tool-size", "0", "--json").json
        #expect(collected["tool_bytes_removed"] == .int(5) && collected["actions_removed"] == .int(0))
        try count("two")
        #expect(try built() == "1 of \(1 << 20)\n")
        // A limit of nothing is none at all.
        try project.write("cache/config", "max-tool-size: 0\n")
        try count("three")
        #expect(try built() == "none\n")
        #expect(try project.forge("cache", "stat", "--json").json["bytes_of_tool_caches"] == .int(0))
        #expect(try project.forge("cache", "clear").status == .exited(0))
        #expect(!Files.exists(project.root + "/cache/tools"))
    }

    @Test func aShellHasNoneToSpoil() throws {
        try project.write("stages/build-roots/root/bin/bash", "#!/bin/sh\nexec /bin/sh \"$@\"\n")
        chmod("\(project.root)/stages/build-roots/root/bin/bash", 0o755)
        try count("one")
        _ = try built()
        let shell = try project.forge("shell", "r", "s", "--command", "ls / && echo \"<${FORGE_TOOL_CACHE:-}>\"")
        #expect(!shell.output.contains("cache") && shell.output.contains("<>"), "\(shell.output) \(shell.errors)")
    }

    @Test func builtInStagesHaveNone() throws {
        try project.write(
            "recipes/r/stages/own/stage.yaml",
            "summary: Own.\nrun: builtin:overlay\ntool-cache: counter\noutputs: {out: {kind: file}}\n")
        try project.write(
            "recipes/r/recipe.yaml",
            "forge: 1\nname: r\narchitecture: amd64\nstages: {s: {stage: own}}\nartifacts: {out: s.out}\n")
        #expect(
            try project.failure().contains("stage “own” is built in, and built-in stages have no “tool-cache”"))
    }
}
