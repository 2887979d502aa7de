import ForgeBase
import ForgeRecipe
import ForgeSystem
import Glibc
import Testing

/// Commands of the host.
enum Shell {
    static func run(_ command: String) -> (status: Int32, output: String) {
        guard let pipe = popen("exec 2>&1; " + command, "r") else { return (-1, "") }
        var bytes: [UInt8] = []
        while case let byte = fgetc(pipe), byte != EOF { bytes.append(UInt8(truncatingIfNeeded: byte)) }
        return (pclose(pipe), String(decoding: bytes, as: UTF8.self))
    }
}

/// The schemas, tried with the JSON Schema implementation for Python (Debian's package python3-jsonschema).
@Suite(.enabled(if: Shell.run("python3 -c 'import jsonschema'").status == 0, "needs python3-jsonschema"))
struct SchemaTests {
    let project: Project

    init() throws { project = try Project() }

    /// For each document nothing, or why it is not valid. All in one process, because starting Python takes its time.
    func verdicts(_ documents: [String], _ schema: JSON) throws -> [String] {
        let values = try documents.map { try YAML.parse(Array($0.utf8), file: "document").json }
        try project.write("schema.json", schema.description)
        try project.write("documents.json", JSON.array(values).description)
        try project.write(
            "check.py",
            """
            import json
            from jsonschema import Draft202012Validator
            schema = json.load(open("schema.json"))
            Draft202012Validator.check_schema(schema)
            validator = Draft202012Validator(schema)
            print(json.dumps([
                "; ".join("/".join(map(str, e.absolute_path)) + ": " + e.message[:160] for e in validator.iter_errors(d))
                for d in json.load(open("documents.json"))]))
            """)
        let output = Shell.run("cd \(project.root) && python3 check.py").output
        return try #require(try JSON(parsing: output, file: "verdicts").array).map { $0.string ?? "" }
    }

    @Test func schemaOfRecipesTakesTheGoodOneAndRefusesFaultyOnes() throws {
        let edits = [
            ("summary: A node.", "sumary: A node."), ("architecture: amd64\n", ""), ("stage: rootfs", "stage: rootsf"),
            ("hostname: node-${suite}", "hostnmae: x"), ("hostname: node-${suite}", "hostname: a_b"),
            ("compression: lz4", "compression: lz5"), ("level: \"${level}\"", "level: 23"),
            ("inputs: {packages: packages.packages}", "inputs: {}"), ("source: files/motd", "sourec: files/motd"),
            ("suites: [\"${suite}\", \"${suite}-updates\"]", "recommends: true"), ("mode: 0755", "mode: rwx"),
            ("values: [strace, gdb]", "values: strace"), ("firmware: [bios, uefi]", "firmware: [ufei]"),
            ("{unit: ssh.service}", "{service: ssh.service}"), ("type: integer", "type: list"),
        ]
        let faulty = try edits.map { try #require(Project.recipe.replacing(first: $0.0, with: $0.1)) }
        let verdicts = try verdicts([Project.recipe] + faulty, RecipeSchema.recipe(project.layout.catalog()))
        #expect(verdicts.count == edits.count + 1)
        #expect(verdicts.first == "")
        for (edit, verdict) in zip(edits, verdicts.dropFirst()) { #expect(verdict != "", "\(edit.1)") }
    }

    @Test func schemaOfRecipesKnowsEveryFormOfInput() throws {
        let place = "inputs: {packages: packages.packages}"
        let (sha, commit) = (String(repeating: "0a", count: 32), String(repeating: "0a", count: 20))
        func recipe(_ input: String) throws -> String {
            try #require(Project.recipe.replacing(first: place, with: "inputs: {packages: \(input)}"))
        }
        let good = [
            "{path: files}", "{glob: \"a/**\"}", "{glob: [a, b], except: c, optional: true}",
            "{url: \"https://a/b\", sha256: \(sha)}", "{url: [\"https://a/${suite}\"], sha256: \"${suite}\", size: 3}",
            "{git: \"https://a/b\", commit: \(commit)}",
            "{git: \"file:///a\", commit: \(commit), ref: main, submodules: true, tree: \(sha)}",
            "{when: {suite: trixie}, value: {path: files}}",
        ]
        let faulty = [
            "{pth: files}", "{path: files, glob: a}", "{url: \"https://a/b\"}", "{url: \"ftp://a/b\", sha256: \(sha)}",
            "{url: \"https://a/b\", sha256: abc}", "{git: \"https://a/b\"}", "{git: \"https://a/b\", commit: main}",
            "3",
        ]
        var run = try #require(Project.recipe.replacing(first: place, with: place + "\n    timeout: 30m"))
        run = try #require(run.replacing(first: place, with: place + "\n    environment: {A: b, N: 3}"))
        let documents = try good.map(recipe) + [run] + faulty.map(recipe)
        let verdicts = try verdicts(documents, RecipeSchema.recipe(project.layout.catalog()))
        for (verdict, input) in zip(verdicts, good + ["the run"]) { #expect(verdict == "", "\(input)") }
        for (verdict, input) in zip(verdicts.dropFirst(good.count + 1), faulty) { #expect(verdict != "", "\(input)") }
    }

    @Test func schemaOfStagesTakesGoodOnesAndRefusesFaultyOnes() throws {
        let good =
            Project.stages.filter { $0.key.hasSuffix("/stage.yaml") }.map(\.value)
            + [InputTests.stages["stages/pack/stage.yaml"] ?? ""]
        let faulty = ["summary: x\noutputs: {a: {kind: dir}}\n", "sumary: x\noutputs: {a: {kind: file}}\n"]
        let verdicts = try verdicts(good + faulty, RecipeSchema.stage())
        #expect(verdicts.map(\.isEmpty) == good.map { _ in true } + [false, false])
    }

    @Test func schemaOfThisRepositoryIsASchema() throws {
        let layout = try ProjectLayout.find(from: Files.parent(of: Files.parent(of: #filePath)), executable: nil)
        for name in try layout.recipeNames() {
            let file = try layout.recipeFile(name)
            // With the stages beside the recipe, which the schema of the project alone does not know.
            let catalog = layout.catalog().including(Files.parent(of: file) + "/stages")
            let text = String(decoding: try Files.read(file), as: UTF8.self)
            #expect(try verdicts([text], RecipeSchema.recipe(catalog)) == [""], "\(name)")
        }
    }
}
