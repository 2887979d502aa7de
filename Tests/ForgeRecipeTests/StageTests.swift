import ForgeBase
import ForgeRecipe
import ForgeSystem
import Testing

@Suite struct StageTests {
    /// The faults of a `stage.yaml` in the folder of a stage that has a script.
    func faults(_ text: String) throws -> [String] {
        let project = try Project()
        let folder = project.root + "/stages/squashfs"
        do throws(ForgeErrors) {
            _ = try StageDefinition.parse(Array(text.utf8), folder: folder, file: "stage.yaml")
            return []
        } catch {
            return error.errors.map { $0.description.replacing(first: project.root, with: "") ?? $0.description }
        }
    }

    static let outputs = "outputs: {image: {kind: file}}\n"

    @Test func definitionIsReadWhole() throws {
        let project = try Project()
        let stage = try #require(try project.layout.catalog().stage("packages"))
        #expect(stage.run == .builtin("packages"))
        #expect(stage.run.text == "builtin:packages")
        #expect(stage.network && stage.lock == "debian" && stage.version == 1)
        #expect(stage.resources.memory == 512 << 20 && stage.resources.network == 4)
        #expect(stage.options.map(\.name) == ["suites", "include", "recommends"])
        #expect(stage.options[0].type == .list(of: .string(.name)))
        #expect(stage.options[1].defaultValue == .array([]))
        #expect(stage.folder == project.root + "/stages/packages")
        let script = try #require(try project.layout.catalog().stage("squashfs"))
        #expect(script.run == .script && script.buildRoot == "image")
        #expect(script.output("image")?.mediaType == "application/vnd.squashfs")
    }

    @Test func everyFaultOfAStageIsReported() throws {
        let found = try faults(
            """
            sumary: x
            run: scrpt
            network: true
            resources: {cpu: 0, memory: much, disc: 1}
            options:
              a: {type: strng}
              b: {type: enum, values: [x, "y", x], default: z}
              c: {type: integer, minimum: 1, default: 0}
              d: {type: list}
              e: {type: list, of: enum}
              f: {type: path, default: files/x}
              g: {type: boolean, required: true, default: true}
              when: {type: string}
            inputs: {"a b": {kind: file}, c: {kind: dir}}
            outputs: {}
            """)
        let expected = [
            "stage.yaml:1:1: stage “squashfs” lacks “summary”",
            "stage.yaml:1:1: unknown key “sumary” in stage “squashfs”; did you mean “summary”?\n"
                + "  → known keys: build-root, compatibility, description, environment, inputs, lock, network, options, outputs, resources, "
                + "run, summary, timeout, tool-cache, version",
            "stage.yaml:2:6: “run” of stage “squashfs” must be script or builtin:<name>, not “scrpt”",
            "stage.yaml:3:10: stage “squashfs” uses the network without a lock\n"
                + "  → name the locker that pins what it downloads: lock: debian",
            "stage.yaml:4:18: “cpu” of “resources” of stage “squashfs” must be an integer from 1 to 1024, "
                + "not the number 0",
            "stage.yaml:4:29: “memory” of “resources” of stage “squashfs” must be a size such as 512M or 2G, "
                + "not “much”",
            "stage.yaml:4:35: unknown key “disc” in “resources” of stage “squashfs”; did you mean “disk”?\n"
                + "  → known keys: cpu, disk, memory, network",
            "stage.yaml:6:13: “type” of option “a” of stage “squashfs” must be one of string, integer, "
                + "boolean, enum, path, list, map, object, any, not “strng”; did you mean “string”?",
            "stage.yaml:7:6: option “b” of stage “squashfs” has a value twice",
            "stage.yaml:7:49: the default of option “b” of stage “squashfs” must be one of x, y, x, not “z”; "
                + "did you mean “x”?",
            "stage.yaml:8:43: the default of option “c” of stage “squashfs” must be at least 1, not the number 0",
            "stage.yaml:9:6: option “d” of stage “squashfs” lacks “of”",
            "stage.yaml:10:23: “of” of option “e” of stage “squashfs” needs more than a word for the type “enum”\n"
                + "  → write a mapping: of: {type: enum, …}",
            "stage.yaml:11:28: the default of option “f” of stage “squashfs” can't be a path: only a recipe can "
                + "name files",
            "stage.yaml:12:47: option “g” of stage “squashfs” is required, so a default has no use",
            "stage.yaml:13:3: “when” is no name for an option\n  → use \(TextFormat.name.summary); “when” is kept "
                + "for conditions",
            "stage.yaml:14:10: “a b” must be \(TextFormat.name.summary)",
            "stage.yaml:14:41: “kind” of input “c” of stage “squashfs” must be one of file, tree, not “dir”",
            "stage.yaml:15:10: stage “squashfs” has no outputs",
        ]
        for (fault, text) in zip(found, expected) { #expect(fault == text) }
        #expect(found.count == expected.count)
    }

    @Test func scriptMustBeThereAndExecutable() throws {
        let project = try Project()
        let text = Array(("summary: x\nbuild-root: image\n" + StageTests.outputs).utf8)
        let folder = project.root + "/stages/other"
        #expect(throws: ForgeErrors.self) { try StageDefinition.parse(text, folder: folder, file: "stage.yaml") }
        try project.write("stages/other/run", "#!/bin/sh\n")
        #expect(throws: Never.self) { try StageDefinition.parse(text, folder: folder, file: "stage.yaml") }
        try Files.write(folder + "/run", "#!/bin/sh\n", mode: 0o644)
        let errors = #expect(throws: ForgeErrors.self) {
            try StageDefinition.parse(text, folder: folder, file: "stage.yaml")
        }
        #expect(errors?.errors.first?.remedy == "chmod +x \(folder)/run")
    }

    @Test func optionAndInputOfOneNameAreRefused() throws {
        let text =
            "summary: x\nrun: builtin:x\noptions: {a: {type: path}}\ninputs: {a: {kind: file}}\n" + StageTests.outputs
        #expect(try faults(text) == ["stage.yaml:3:11: stage “squashfs” has a path and an input called “a”"])
    }

    @Test func examplesAreJudged() throws {
        let project = try Project()
        try project.write(
            "stages/squashfs/tests.yaml",
            """
            - {name: good, options: {level: 3}}
            - {name: bad, options: {level: 23}, error: at most 22}
            - {name: not good, options: {levl: 3}}
            - {name: not bad, options: {level: 3}, error: level}
            - {name: another error, options: {level: x}, error: at most}
            """)
        let stage = try #require(try project.layout.catalog().stage("squashfs"))
        let verdicts = try StageExample.load(stage, file: "tests.yaml").map { $0.verdict(stage) }
        #expect(
            verdicts == [
                nil, nil,
                "tests.yaml:3:3: “not good” should be good, but: unknown option “levl” in stage “squashfs”; "
                    + "did you mean “level”?",
                "tests.yaml:4:3: “not bad” should be refused with “level”, but is taken",
                "tests.yaml:5:3: “another error” should be refused with “at most”, but: “level” of stage “squashfs” "
                    + "must be an integer, not “x”",
            ])
    }

    @Test(arguments: [
        (TextFormat.name, ["a", "A1._-"], ["", "-a", ".a", "a b", "ä"]),
        (.hostname, ["node", "node-1.lan"], ["", "-a", "a-", "a..b", "a_b", String(repeating: "a", count: 64)]),
        (.userName, ["root", "_apt", "a1-b"], ["", "1a", "Root", "a.b", String(repeating: "a", count: 33)]),
        (
            .packageName, ["libc6", "g++", "linux-image-amd64", "libc6:i386", "java_runtime"],
            ["", "-a", "a:", "a b", "a/b"]
        ),
        (
            .sourceName, ["linux", "g++", "linux=6.1.*", "kubernetes=1:1.20.5+really1.20.2-1.1~x"],
            ["", "-a", "a b", "a/b", "a=", "a=-1", "a=1=2", "../a"]
        ),
        (
            .image,
            [
                "registry.example.org/pause:3.2", "localhost/a__b/c-d.e:v1", "127.0.0.1:5000/a:_x",
                "r.example/a@sha256:" + String(repeating: "0a", count: 32),
                "r.example:443/a:1@sha256:" + String(repeating: "0a", count: 32),
            ],
            [
                "", "pause:3.2", "library/pause:3.2", "r.example/pause", "r.example/Pause:1", "r.example/a:",
                "r.example/a@sha256:00", "r.example/a@md5:00", "r.example//a:1", "r.example/a..b:1", "r.example/a-:1",
                "r.example:0/a:1", "https://r.example/a:1", "r.example/a:1:2", "r.example/../a:1", "r.example/a b:1",
            ]
        ),
        (.line, ["", "a b"], ["a\nb", "\u{7f}"]),
        (.absolutePath, ["/", "/etc/motd"], ["", "etc", "/etc/", "//etc", "/etc/../x", "/./x"]),
        (.relativePath, ["a", "a/b"], ["", "/a", "a/", "a//b", "../a", "a/.."]),
        (.octalMode, ["644", "0755", "4755"], ["", "99", "0o755", "07555"]),
        (.size, ["1", "512M", "2G", "8T"], ["", "0", "G", "1.5G", "2GB", "-1", "9000000000000T"]),
        (.url, ["https://a/b", "http://a"], ["", "a", "ftp://a", "https:///a", "https://a b"]),
        (.sha256, [String(repeating: "0a", count: 32)], ["", String(repeating: "0A", count: 32), "0a"]),
    ])
    func format(_ format: TextFormat, good: [String], bad: [String]) {
        for text in good { #expect(format.accepts(text), "\(text)") }
        for text in bad { #expect(!format.accepts(text), "\(text)") }
    }
}
