import ForgeBase
import ForgeRecipe
import ForgeSystem
import Glibc
import Testing

/// Inputs that are no output of another stage, and the other things that an instance says of its run.
@Suite struct InputTests {
    static let stages = [
        "stages/pack/stage.yaml": """
        summary: Pack things.
        build-root: image
        timeout: 10m
        environment: {LANG: C, MODE: fast}
        resources: {disk: 2}
        inputs:
          file: {kind: file, optional: true}
          tree: {kind: tree, optional: true}
          files: {kind: file, many: true, optional: true}
        outputs: {out: {kind: file}}
        """,
        "stages/pack/run": "#!/bin/sh\n",
        "recipes/node/src/main.c": "int main;\n",
        "recipes/node/other": "x",
    ]

    static func recipe(_ inputs: String, more: String = "") -> String {
        "forge: 1\nname: node\narchitecture: amd64\nparameters:\n  v: {type: string, default: \"1.2\"}\nstages:\n"
            + "  a:\n    stage: pack\n    inputs: \(inputs)\n\(more)artifacts: {\"x-${v}\": a.out}\n"
    }

    func project() throws -> Project {
        let project = try Project()
        for (path, text) in InputTests.stages { try project.write(path, text) }
        return project
    }

    func source(_ inputs: String) throws -> InputSource {
        let recipe = try project().load(InputTests.recipe(inputs))
        return try #require(recipe.stages.first?.inputs.first?.sources.first?.source)
    }

    static let sha = String(repeating: "0a", count: 32)
    static let commit = String(repeating: "1b", count: 20)

    @Test func everyFormIsRead() throws {
        guard case .path(let path) = try source("{file: {path: ./src/main.c}}") else { throw Unexpected() }
        #expect(
            path.relative == "src/main.c" && !path.isDirectory && path.absolute.hasSuffix("/recipes/node/src/main.c"))
        guard case .path(let folder) = try source("{tree: {path: src/}}") else { throw Unexpected() }
        #expect(folder.relative == "src" && folder.isDirectory)
        guard case .glob(let glob) = try source("{tree: {glob: \"src/**/*.c\", except: [src/old/**], optional: true}}")
        else { throw Unexpected() }
        #expect(glob.patterns == ["src/**/*.c"] && glob.except == ["src/old/**"] && glob.optional)
        let url = try source("{file: {url: \"https://a.example/x-${v}.tar\", sha256: \(InputTests.sha), size: 12}}")
        #expect(url == .url(URLSource(urls: ["https://a.example/x-1.2.tar"], sha256: InputTests.sha, size: 12)))
        let mirrors = try source("{file: {url: [\"https://a/x\", \"file:///y\"], sha256: \(InputTests.sha)}}")
        #expect(mirrors == .url(URLSource(urls: ["https://a/x", "file:///y"], sha256: InputTests.sha)))
        let git = try source(
            "{tree: {git: \"https://a/x.git\", commit: \(InputTests.commit), ref: v1, submodules: true, tree: \(InputTests.sha)}}"
        )
        #expect(
            git
                == .git(
                    GitSource(
                        urls: ["https://a/x.git"], commit: InputTests.commit, ref: "v1", submodules: true,
                        tree: InputTests.sha)))
    }

    struct Unexpected: Error {}

    @Test func optionsOfAFetchSurviveTheWayToTheHelper() throws {
        let url = URLSource(urls: ["https://a/x"], sha256: InputTests.sha, size: 12)
        #expect(try URLSource(options: url.options) == url)
        let git = GitSource(
            urls: ["https://a/x"], commit: InputTests.commit, ref: "v1", submodules: true, tree: InputTests.sha)
        #expect(try GitSource(options: git.options) == git)
        // Where the bytes come from does not decide what they are.
        let elsewhere = URLSource(urls: ["https://b/x"], sha256: InputTests.sha, size: 12)
        #expect(url.keyedOptions == elsewhere.keyedOptions && url.options != elsewhere.options)
    }

    @Test func aListMixesForms() throws {
        let recipe = try project().load(
            InputTests.recipe(
                "{files: [{path: other}, {when: {v: \"1.2\"}, value: {url: \"https://a/b?c\", sha256: \(InputTests.sha)}}, "
                    + "{when: {v: \"2\"}, value: b.out}]}"))
        let sources = try #require(recipe.stages.first?.inputs.first?.sources)
        #expect(sources.map(\.source.label) == ["other", "b"])
        #expect(sources.map(\.location.column) == [22, 63])
    }

    @Test(arguments: InputTests.faulty) func faultIsReported(_ inputs: String, _ expected: String) throws {
        let faults = try project().faults(InputTests.recipe(inputs))
            .map { $0.replacing(first: "recipes/node/recipe.yaml:9:", with: "") ?? $0 }
        #expect(faults.joined(separator: "\n") == expected)
    }

    static let faulty: [(String, String)] = [
        (
            "{file: {file: x}}",
            "20: input “file” of stage “a” must have one of the keys path, glob, url, git\n  → \(remedy)"
        ),
        (
            "{file: {pth: x}}",
            "20: input “file” of stage “a” must have one of the keys path, glob, url, git; did you mean “path”?\n  → \(remedy)"
        ),
        (
            "{file: {path: x, url: y}}",
            "20: input “file” of stage “a” has both “path” and “url”\n  → an input of several takes a list of such mappings"
        ),
        (
            "{file: {path: othr}}",
            "27: “path” of input “file” of stage “a”: the recipe's folder has no “othr”; did you mean “other”?"
        ),
        (
            "{file: {path: ../x}}",
            "27: “path” of input “file” of stage “a” must be a path relative to the recipe's folder, without “.” and “..”, "
                + "not “../x”"
        ),
        (
            "{file: {path: src}}",
            "20: input “file” of stage “a” takes a file, but “src” is a tree\n  → outputs that are a file: a.out"
        ),
        (
            "{file: {glob: src/*}}",
            "20: input “file” of stage “a” takes a file, but what a glob finds is a tree\n  → outputs that are a file: a.out"
        ),
        (
            "{tree: {glob: \"/src/*\"}}",
            "27: “/src/*” in “glob” of input “tree” of stage “a”: a pattern is relative to the recipe's folder, so it can't "
                + "start with “/”"
        ),
        (
            "{tree: {glob: \"src/**.c\"}}",
            "27: “src/**.c” in “glob” of input “tree” of stage “a”: “**” must stand alone between slashes, as in src/**/*.c"
        ),
        (
            "{tree: {glob: \"a\", excpt: b}}",
            "32: unknown key “excpt” in input “tree” of stage “a”; did you mean “except”?\n  → known keys: except, glob, optional"
        ),
        ("{tree: {glob: []}}", "27: “glob” of input “tree” of stage “a” is an empty list"),
        (
            "{file: {url: \"https://a/x\"}}",
            "20: input “file” of stage “a” has no “sha256”, and bytes from outside must be known\n"
                + "  → `forge hash https://a/x` prints it"
        ),
        (
            "{file: {url: \"https://a/x\", sha256: \(sha.uppercased())}}",
            "49: “sha256” of input “file” of stage “a” must be a SHA-256 as 64 small hexadecimal digits, not a text\n"
                + "  → write it in small letters"
        ),
        (
            "{file: {url: \"ftp://a/x\", sha256: \(sha)}}",
            "26: “url” of input “file” of stage “a” must be a URL that starts with https://, http:// or file:///, not "
                + "“ftp://a/x”"
        ),
        (
            "{tree: {git: \"git@a:x\", commit: \(commit)}}",
            "26: “git” of input “tree” of stage “a” must be a URL that starts with https://, http:// or file:///, not "
                + "“git@a:x”\n  → a build uses nobody's SSH keys: write the https:// address"
        ),
        (
            "{tree: {git: \"https://a/x\"}}",
            "20: input “tree” of stage “a” has no “commit”: branches and tags move\n"
                + "  → `forge hash --git https://a/x [BRANCH|TAG]` prints it"
        ),
        (
            "{tree: {git: \"https://a/x\", commit: main}}",
            "49: “commit” of input “tree” of stage “a” must be 40 small hexadecimal digits, not “main”\n"
                + "  → `forge hash --git https://a/x [BRANCH|TAG]` prints it"
        ),
        (
            "{tree: {git: \"https://a/x\", commit: 1234567}}",
            "49: “commit” of input “tree” of stage “a” must be 40 small hexadecimal digits, not “1234567”\n"
                + "  → write the whole id: git rev-parse 1234567"
        ),
        (
            "{tree: {git: \"https://a/x\", commit: \(sha)}}",
            "49: “commit” of input “tree” of stage “a” must be 40 small hexadecimal digits, not “\(sha)”\n"
                + "  → this is the id of a SHA-256 repository, which libgit2 can't read: take a release by {url: …}"
        ),
        (
            "{files: [{path: other}, {path: ./other}]}",
            "37: input “files” of stage “a” has “other” twice"
        ),
        ("{file: 3}", "20: input “file” of stage “a” must be <stage>.<output>, not the number 3"),
    ]

    static let remedy = "write <stage>.<output>, {path: …}, {glob: …}, {url: …, sha256: …} or {git: …, commit: …}"

    // MARK: The run

    @Test func aRecipeHasTheLastWordOnVariablesAndTime() throws {
        let plain = try #require(try project().load(InputTests.recipe("{}")).stages.first)
        #expect(plain.environment == [Variable(name: "LANG", value: "C"), Variable(name: "MODE", value: "fast")])
        #expect(plain.timeout == 600 && plain.definition.resources.disk == 2)
        let more = "    environment: {MODE: \"slow-${v}\", N: 3}\n    timeout: 2h\n"
        let own = try #require(try project().load(InputTests.recipe("{}", more: more)).stages.first)
        #expect(own.environment.map { "\($0.name)=\($0.value)" } == ["LANG=C", "MODE=slow-1.2", "N=3"])
        #expect(own.timeout == 7200)
    }

    @Test(arguments: [
        ("environment: {OPT_X: a}", "19: forge sets the variable “OPT_X” of stage “a” itself"),
        ("environment: {HOME: a}", "19: forge sets the variable “HOME” of stage “a” itself"),
        (
            "environment: {a-b: a}",
            "19: “a-b” is no name for a variable of stage “a”\n  → use letters, digits and “_”, and start with no digit"
        ),
        ("environment: {A: [x]}", "22: variable “A” of stage “a” must be a string, not a list"),
        ("timeout: 0", "14: “timeout” of stage “a” must be a time such as 90s, 30m or 2h, not the number 0"),
        ("timeout: 3w", "14: “timeout” of stage “a” must be a time such as 90s, 30m or 2h, not “3w”"),
    ])
    func faultOfTheRunIsReported(_ line: String, _ expected: String) throws {
        let faults = try project().faults(InputTests.recipe("{}", more: "    \(line)\n"))
            .map { $0.replacing(first: "recipes/node/recipe.yaml:10:", with: "") ?? $0 }
        #expect(faults == [expected])
    }

    @Test func timesAreWrittenAsPeopleDo() {
        #expect(["90", "90s", "30m", "2h", "1d"].map(TimeLimit.parse) == [90, 90, 1800, 7200, 86_400])
        #expect(["", "m", "0", "-1", "1.5h", "5000d", "1h30m"].map(TimeLimit.parse) == Array(repeating: nil, count: 7))
        #expect([1, 90, 1800, 5400, 86_400].map(TimeLimit.text) == ["1s", "90s", "30m", "90m", "1d"])
    }

    // MARK: Size

    /// Of this thread, whatever else the machine does.
    static func processorSeconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    /// Eight times the stages take about eight times as long, not sixty-four: no look-up goes through all of them. The chain
    /// is as long as the recipe.
    @Test func readingALargeRecipeTakesLinearTime() throws {
        let project = try project()
        func seconds(_ count: Int) throws -> Double {
            var text = "forge: 1\nname: node\narchitecture: amd64\nstages:\n"
            // Backwards, so that the order of the file is no help.
            for i in (0..<count).reversed() {
                text += "  s\(i): {stage: pack\(i == 0 ? "" : ", inputs: {files: [s\(i - 1).out]}")}\n"
            }
            text += "artifacts:\n"
            for i in 0..<count { text += "  d\(i % 100)/f\(i): s\(i).out\n" }
            let start = InputTests.processorSeconds()
            let order = try project.load(text).stages.map(\.id)
            let took = InputTests.processorSeconds() - start
            #expect(order == (0..<count).map { "s\($0)" })
            return took
        }
        _ = try seconds(500)
        let (small, large) = (try seconds(1500), try seconds(12_000))
        #expect(large < small * 16, "\(small) s for 1500 stages, \(large) s for 12,000")
    }
}

@Suite struct GlobTests {
    @Test(arguments: [
        ("*.c", ["a.c", ".c"], ["a.h", "x/a.c", "ac"]),
        ("src/*.c", ["src/a.c"], ["a.c", "src/x/a.c", "src/.c/x"]),
        ("src/**/*.c", ["src/a.c", "src/x/a.c", "src/x/y/z.c"], ["a.c", "src/a.h", "srcs/a.c"]),
        ("**/a", ["a", "x/a", "x/y/a"], ["b", "a/b"]),
        ("src/**", ["src/a", "src/x/y"], ["src", "other/a"]),
        ("**", ["a", "x/y"], []),
        ("a?c", ["abc", "aéc"], ["ac", "a/c", "abbc"]),
        ("[a-c]x", ["ax", "cx"], ["dx", "x"]),
        ("[!a-c]x", ["dx"], ["ax"]),
        ("[^a]x", ["dx"], ["ax"]),
        ("[]a]", ["]", "a"], ["b"]),
        ("[a-]", ["a", "-"], ["b"]),
        ("\\*", ["*"], ["a"]),
        ("a*b*c", ["abc", "axxbyyc", "abbc"], ["ab", "acb"]),
        ("**/x/**/y", ["x/y", "a/x/b/c/y", "x/x/y"], ["y", "x"]),
        (".hidden/*", [".hidden/a", ".hidden/.b"], ["hidden/a"]),
    ])
    func pattern(_ text: String, fits: [String], not: [String]) throws {
        let glob = try Glob(text)
        for path in fits { #expect(glob.matches(ByteString(path)), "\(text) should fit \(path)") }
        for path in not { #expect(!glob.matches(ByteString(path)), "\(text) should not fit \(path)") }
    }

    @Test func aNameThatIsNoTextIsBytes() throws {
        let name = ByteString([0x61, 0xff, 0x62])
        #expect(try Glob("a?b").matches(name) && Glob("a*").matches(name) && !Glob("a??b").matches(name))
    }

    @Test(arguments: ["", "/a", "a//b", "../a", "a/./b", "a**", "**.c", "[a", "a\\", "{a,b}", "[z-a]"])
    func faultyPatternIsRefused(_ text: String) { #expect(Glob.fault(text) != nil) }

    /// Many stars do not take exponential time.
    @Test func manyStarsAreQuick() throws {
        let glob = try Glob(String(repeating: "*a", count: 60) + "b")
        #expect(!glob.matches(ByteString(String(repeating: "a", count: 250))))
    }
}
