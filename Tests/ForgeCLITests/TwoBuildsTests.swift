import ForgeBase
import ForgeSystem
import Glibc
import Testing

/// Builds in processes of their own that want the same action at the same time.
@Suite(.enabled(if: Files.exists(BuildProject.busybox), "needs busybox-static"))
struct TwoBuildsTests {
    let project: BuildProject

    /// A slow stage that all builds share, and a quick one of their own.
    init() throws {
        project = try BuildProject()
        for (name, work) in [("slow", "sleep 1.5"), ("quick", "echo \"$OPT_WORD\"")] {
            try project.write(
                "recipes/r/stages/\(name)/stage.yaml",
                """
                summary: Own.
                build-root: tools
                options: {word: {type: string, summary: A word.}}
                outputs: {out: {kind: file}}

                """)
            try project.write("recipes/r/stages/\(name)/run", "#!/bin/sh\nset -eu\n\(work)\necho done > /out/out\n")
        }
        try project.write(
            "recipes/r/recipe.yaml",
            """
            forge: 1
            name: r
            architecture: amd64
            parameters:
              word: {type: string, default: first, summary: A word.}
            stages:
              slow: {stage: slow, options: {word: same}}
              quick: {stage: quick, options: {word: "${word}"}}
            artifacts: {slow: slow.out, quick: quick.out}

            """)
        // The build root is made before.
        _ = try project.forge("build", "r", "--set", "word=before")
        try project.shell("rm -rf out; sed -i s/same/again/ recipes/r/recipe.yaml")
    }

    /// A build that goes on while the test does something else.
    private final class Running {
        private let child: Child
        private(set) var output: [UInt8] = []
        private(set) var errors: [UInt8] = []

        init(_ project: BuildProject, word: String) throws {
            child = try Command(
                BuildProject.program,
                [
                    "build", "r", "--json", "--jobs", "1", "--set", "word=\(word)", "--output",
                    "\(project.root)/out-\(word)",
                ],
                environment: Command.plainEnvironment + [("FORGE_CACHE", project.root + "/cache")],
                directory: project.root, errors: .pipe
            ).start()
        }

        var text: String { String(decoding: errors, as: UTF8.self) }

        /// Reads until the build has said something.
        func wait(for words: String) throws -> Bool {
            let end = SystemTime().monotonic() + 20_000_000_000
            while !text.contains(words), SystemTime().monotonic() < end {
                _ = try Poller.wait(fds: [child.errors, child.pidfd], timeoutMilliseconds: 100)
                while let bytes = try child.readErrors(), !bytes.isEmpty { errors += bytes }
                if try child.reap() != nil { break }
            }
            return text.contains(words)
        }

        func kill() { Glibc.kill(child.pid, SIGKILL) }

        func interrupt() { Glibc.kill(child.pid, SIGINT) }

        /// Its report, and how it ended.
        func end() throws -> (JSON, ExitReport.Status) {
            let (report, _) = try child.drain(timeoutSeconds: 60) { bytes, isError in
                if isError { errors += bytes } else { output += bytes }
            }
            let line = String(decoding: output, as: UTF8.self).split(separator: "\n").last ?? ""
            return ((try? JSON(parsing: Array(line.utf8), file: "output")) ?? .null, report.status)
        }
    }

    @Test func whatOneRunsTheOtherWaitsForAndTakes() throws {
        let first = try Running(project, word: "first")
        #expect(try first.wait(for: "start r/slow"))
        let second = try Running(project, word: "second")
        #expect(try second.wait(for: "r/slow: waits for another build"))
        let (one, two) = (try first.end(), try second.end())
        #expect(one.1 == .exited(0) && two.1 == .exited(0), "\(first.text) \(second.text)")
        #expect(one.0["ran"] == .int(2), "\(first.text)")
        #expect(two.0["ran"] == .int(1), "its own quick stage alone: \(second.text)")
        #expect(two.0["hit"] == .int(2))
        #expect(second.text.contains("done  r/quick"))
        // What waits takes no core: the quick stage ran meanwhile, on the only one.
        let order = second.text.split(separator: "\n").map(String.init)
        #expect(order.contains { $0.hasPrefix("start r/quick") } && !order.contains { $0.hasPrefix("start r/slow") })
        #expect(try project.text("out-second/r/default/slow") == "done\n")
        #expect(try project.shell("ls -A cache/tmp").split(separator: "\n").filter { $0 != ".lock" }.isEmpty)
    }

    @Test func whatADeadBuildRanIsRunByTheOther() throws {
        let first = try Running(project, word: "first")
        #expect(try first.wait(for: "start r/slow"))
        let second = try Running(project, word: "second")
        #expect(try second.wait(for: "r/slow: waits for another build"))
        first.kill()
        let two = try second.end()
        #expect(two.1 == .exited(0), "\(second.text)")
        #expect(two.0["ran"] == .int(2), "\(second.text)")
        #expect(second.text.contains("done  r/slow"))
    }

    @Test func whoOnlyWaitsCanBeStopped() throws {
        let first = try Running(project, word: "first")
        #expect(try first.wait(for: "start r/slow"))
        let second = try Running(project, word: "second")
        #expect(try second.wait(for: "done  r/quick"))
        second.interrupt()
        #expect(try second.end().1 == .exited(130), "\(second.text)")
        #expect(try first.end().1 == .exited(0))
    }
}
