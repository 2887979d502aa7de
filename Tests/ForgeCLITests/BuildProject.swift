import ForgeBase
import ForgeSystem
import Glibc
import Testing

/// A project whose scripts run in a build root of nothing but busybox: no archive is asked, and a build takes a second.
final class BuildProject {
    static let busybox = "/bin/busybox"
    /// The repository that this file is part of.
    static let repository = Files.parent(of: Files.parent(of: Files.parent(of: #filePath)))
    let root: String

    init() throws {
        var template = Array("/tmp/forge-build-test-XXXXXX".utf8CString)
        root = try #require(mkdtemp(&template).map { String(cString: $0) })
        try shell(
            """
            mkdir -p stages/build-roots/root/bin recipes; cp -r \(BuildProject.repository)/stages/overlay stages/
            cp \(BuildProject.busybox) stages/build-roots/root/bin/busybox
            for name in sh cat cp ls mkdir sleep sort wc wget touch env tar gzip sed grep find head tr fold; do
                ln -s busybox stages/build-roots/root/bin/$name
            done
            """)
        try writeBuildRoot("stages/build-roots/tools.yaml")
    }

    deinit { if getenv("KEEP_TEMPS") == nil { try? Removal.remove(root) } }

    /// A build root of busybox, below a folder `root` beside its file.
    func writeBuildRoot(_ path: String) throws {
        try write(
            path,
            """
            forge: 1
            name: tools
            architecture: amd64
            stages:
              files: {stage: overlay, options: {source: root}}
            artifacts: {tree: files.tree}

            """)
    }

    @discardableResult
    func shell(_ text: String) throws -> String {
        String(
            decoding: try Command("/bin/sh", ["-euc", "umask 022\n" + text], directory: root).outputOrThrow(),
            as: UTF8.self)
    }

    func write(_ path: String, _ text: String) throws {
        let full = "\(root)/\(path)"
        try Files.makeDirectories(Files.parent(of: full))
        try Files.write(full, text)
        if path.hasSuffix("/run") { chmod(full, 0o755) }
    }

    func text(_ path: String) throws -> String { String(decoding: try Files.read("\(root)/\(path)"), as: UTF8.self) }

    /// A recipe `r` with one stage `s` of its own, whose script is given.
    func recipe(script: String, stage: String = "", instance: String = "") throws {
        try write(
            "recipes/r/stages/own/stage.yaml",
            "summary: Own.\nbuild-root: tools\n\(stage)outputs: {out: {kind: file}}\n")
        try write("recipes/r/stages/own/run", "#!/bin/sh\nset -eu\n\(script)\n")
        try write(
            "recipes/r/recipe.yaml",
            """
            forge: 1
            name: r
            architecture: amd64
            stages:
              s:
                stage: own
            \(instance)artifacts: {out: s.out}

            """)
    }

    struct Outcome {
        var status: ExitReport.Status
        var output: String
        var errors: String
        /// The last line of `--json`.
        var json: JSON {
            (try? JSON(parsing: Array((output.split(separator: "\n").last ?? "").utf8), file: "output")) ?? .null
        }
    }

    /// Runs `forge` in the project, with the cache below it.
    func forge(_ arguments: String...) throws -> Outcome { try run(arguments) }

    func run(_ arguments: [String]) throws -> Outcome {
        let command = Command(
            BuildProject.program, arguments, environment: Command.plainEnvironment + [("FORGE_CACHE", root + "/cache")],
            directory: root, errors: .pipe)
        let (report, output, errors) = try command.runSeparately(timeoutSeconds: 120)
        return Outcome(
            status: report.status, output: String(decoding: output, as: UTF8.self),
            errors: String(decoding: errors, as: UTF8.self))
    }

    /// The error of a build that must fail, without the lines of the log.
    func failure(_ arguments: String...) throws -> String {
        let outcome = try arguments.isEmpty ? forge("build", "r") : forge("build", "r", arguments[0])
        #expect(outcome.status != .exited(0), "\(outcome.output)")
        return outcome.errors.split(separator: "\n").filter { !$0.contains("│") && !$0.contains("the whole log") }
            .drop { !$0.contains("error: ") }.joined(separator: "\n")
    }

    /// Where the package manager puts executables: beside the test bundle.
    static let program: String = {
        let bundle = CommandLine.arguments.first { $0.contains(".xctest") } ?? ""
        let parts = bundle.split(separator: "/", omittingEmptySubsequences: false)
        let end = parts.firstIndex { $0.hasSuffix(".xctest") } ?? parts.endIndex
        let beside = parts[..<end].joined(separator: "/") + "/forge"
        return Files.exists(beside) ? beside : repository + "/.build/debug/forge"
    }()
}
