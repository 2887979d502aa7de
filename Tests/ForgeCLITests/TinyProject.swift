import ForgeBase
import ForgeSystem
import Glibc
import Testing

/// A project with a recipe that needs no network and no build root, and the real programs to build it with.
final class TinyProject: Sendable {
    let path: String

    static let recipe = """
        forge: 1
        name: tiny
        summary: Two layers in an archive.
        architecture: amd64
        parameters:
          word: {type: string, default: hello, summary: A word.}
        stages:
          base:
            stage: overlay
            options: {source: files}
          extra:
            stage: overlay
            options:
              remove: [/usr/share/doc]
              files:
                - {path: /etc/word, content: "${word}"}
          flat:
            stage: merge
            inputs: {layers: [base.tree, extra.tree]}
          tarball:
            stage: tarball
            inputs: {tree: flat.tree}
        artifacts:
          rootfs.tar.zst: tarball.archive

        """

    private static let root = Files.parent(of: Files.parent(of: Files.parent(of: #filePath)))

    /// `forge`, beside the tests.
    static let forge: String = {
        let beside = Files.parent(of: Host.executablePath ?? "") + "/forge"
        return Files.exists(beside) ? beside : root + "/.build/debug/forge"
    }()

    init() throws {
        var template = Array("/tmp/forge-cli-test-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw ForgeError.system("cannot make a test directory") }
        path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        for stage in ["overlay", "merge", "tarball"] {
            try Files.makeDirectories("\(path)/stages/\(stage)")
            let file = "stages/\(stage)/stage.yaml"
            try Files.write("\(path)/\(file)", try Files.read("\(TinyProject.root)/\(file)"))
        }
        try write("recipes/tiny/recipe.yaml", TinyProject.recipe)
        try write("recipes/tiny/files/etc/motd", "welcome\n")
    }

    deinit { if getenv("KEEP_TEMPS") == nil { try? Directory.remove(path) } }

    func write(_ file: String, _ text: String) throws {
        try Files.makeDirectories(Files.parent(of: "\(path)/\(file)"))
        try Files.write("\(path)/\(file)", text)
    }

    /// Changes a text of the recipe.
    func edit(_ old: String, _ new: String, in file: String = "recipes/tiny/recipe.yaml") throws {
        let text = String(decoding: try Files.read("\(path)/\(file)"), as: UTF8.self)
        let place = try #require(text.firstRange(of: old))
        try write(file, text[..<place.lowerBound] + new + text[place.upperBound...])
    }

    /// Runs `forge` and gives what it wrote to standard output.
    @discardableResult
    func forge(_ words: String..., expecting status: Int32 = 0) throws -> String {
        let command = Command(
            TinyProject.forge, words, environment: Command.plainEnvironment + [("CI", "1")], directory: path,
            errors: .null)
        let child = try command.start()
        var output: [UInt8] = []
        while true {
            _ = try Poller.wait(fds: [child.output, child.pidfd], timeoutMilliseconds: 1000)
            while let piece = try child.readOutput(), !piece.isEmpty { output += piece }
            if let report = try child.reap() {
                while let piece = try child.readOutput(), !piece.isEmpty { output += piece }
                let text = String(decoding: output, as: UTF8.self)
                #expect(report.status == .exited(status), "\(words): \(text)")
                return text
            }
        }
    }

    func json(_ words: String...) throws -> JSON {
        var text = ""
        switch words.count {
        case 2: text = try forge(words[0], words[1], "--json")
        case 3: text = try forge(words[0], words[1], words[2], "--json")
        default: text = try forge(words[0], words[1], words[2], words[3], "--json")
        }
        return try JSON(parsing: text, file: words.joined(separator: " "))
    }
}
