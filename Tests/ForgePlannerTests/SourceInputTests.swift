import ForgeBase
import ForgeEngine
import ForgePlanner
import ForgeRecipe
import ForgeStore
import ForgeSystem
import Glibc
import Testing

/// Inputs from the recipe's files and from the network, as they come into a plan.
@Suite final class SourceInputTests {
    let root: String
    let store = MemoryStore()

    init() throws {
        var template = Array("/tmp/forge-planner-XXXXXX".utf8CString)
        root = mkdtemp(&template).map { String(cString: $0) } ?? "/nonexistent"
        try write(
            "stages/pack/stage.yaml",
            """
            summary: Pack.
            build-root: tools
            inputs:
              tree: {kind: tree, optional: true}
              files: {kind: file, many: true, optional: true}
            outputs: {out: {kind: file}}

            """)
        try write("stages/pack/run", "#!/bin/sh\n")
        try write(
            "stages/files/stage.yaml",
            "summary: Files.\nrun: builtin:overlay\noutputs: {tree: {kind: tree}}\n")
        try write(
            "stages/build-roots/tools.yaml",
            "forge: 1\nname: tools\narchitecture: amd64\nstages: {f: {stage: files}}\nartifacts: {tree: f.tree}\n")
        for file in [
            "src/a.c", "src/a.h", "src/sub/b.c", "src/sub/deep/c.c", "src/.hidden.c", "src/old/d.c", "src/e.c~",
        ] {
            try write("recipes/r/\(file)", file)
        }
        try write("recipes/r/src/run.sh", "x")
    }

    deinit { try? Files.remove(root) }

    func write(_ path: String, _ text: String) throws {
        let full = root + "/" + path
        try Files.makeDirectories(Files.parent(of: full))
        try Files.write(full, text, mode: path.hasSuffix("/run") || path.hasSuffix(".sh") ? 0o755 : 0o644)
    }

    func plan(_ stages: String, artifacts: String = "{x: a.out}") throws -> Plan {
        let layout = ProjectLayout(root: root, workingDirectory: root)
        try write(
            "recipes/r/recipe.yaml",
            "forge: 1\nname: r\narchitecture: amd64\nstages:\n\(stages)\nartifacts: \(artifacts)\n")
        let catalog = layout.catalog()
        let recipe = try Recipe.load(root + "/recipes/r/recipe.yaml", catalog: catalog)
        var planner = Planner(catalog: catalog, store: store, memo: NoMemo(), epoch: 7) { _, _ in nil }
        return try planner.plan(recipe).plan
    }

    func tree(_ inputs: String) throws -> [String] {
        let plan = try plan("  a: {stage: pack, inputs: {tree: \(inputs)}}")
        guard case .object(let digest, .tree)? = plan.actions.last?.inputs.first?.source else { return [] }
        return try Tree.load(digest, from: store).entries.map {
            "\($0.path)\($0.isDirectory ? "/" : "") \(String($0.mode, radix: 8))"
        }
    }

    @Test func aGlobIsATreeOfTheFilesThatFit() throws {
        #expect(
            try tree("{glob: \"src/**/*.c\", except: src/old}") == [
                "/ 755", "src/ 755", "src/.hidden.c 644", "src/a.c 644", "src/sub/ 755", "src/sub/b.c 644",
                "src/sub/deep/ 755", "src/sub/deep/c.c 644",
            ])
        #expect(try tree("{glob: [src/*.sh, \"src/*.h\"]}") == ["/ 755", "src/ 755", "src/a.h 644", "src/run.sh 755"])
        #expect(try tree("{glob: \"nothing/*\", optional: true}") == ["/ 755"])
        #expect(try tree("{path: src/sub}") == ["/ 755", "b.c 644", "deep/ 755", "deep/c.c 644"])
    }

    @Test func aFileThatComesOrGoesChangesTheGlob() throws {
        func digest() throws -> Digest? {
            let plan = try plan("  a: {stage: pack, inputs: {tree: {glob: \"src/**/*.c\"}}}")
            guard case .object(let digest, .tree)? = plan.actions.last?.inputs.first?.source else { return nil }
            return digest
        }
        let before = try digest()
        try write("recipes/r/src/a.h", "changed")
        #expect(try digest() == before, "a file that does not fit")
        try write("recipes/r/src/sub/new.c", "new")
        #expect(try digest() != before)
        try Files.remove(root + "/recipes/r/src/sub/new.c")
        #expect(try digest() == before)
    }

    @Test func aGlobThatFitsNothingSaysWhere() throws {
        let error = #expect(throws: ForgeError.self) {
            try plan("  a: {stage: pack, inputs: {tree: {glob: [\"src/*.cc\", \"x/**\"], except: x/y}}}")
        }
        #expect(
            error?.description == """
                recipes/r/recipe.yaml:5:35: no file of the recipe fits “src/*.cc”, “x/**”
                  without “x/y”
                  → correct the pattern, or write optional: true beside it
                """)
    }

    @Test func whatHasToBeFetchedIsAnActionOfItsOwnAndEqualOnesAreOne() throws {
        let sha = String(repeating: "0a", count: 32)
        let commit = String(repeating: "1b", count: 20)
        let url = "{url: \"https://a/b.tar\", sha256: \(sha)}"
        let plan = try plan(
            """
              a: {stage: pack, inputs: {files: [\(url), {path: src/a.c}], tree: {git: "https://a/x.git", commit: \(commit)}}}
              b: {stage: pack, inputs: {files: [\(url)]}}
            """, artifacts: "{x: a.out, y: b.out}")
        #expect(
            plan.actions.map(\.name) == [
                "build-root:tools/f", "r/a:tree", "r/a:files/00-b.tar", "r/a", "r/b",
            ])
        let fetch = plan.actions[2]
        #expect(fetch.program == .builtin("fetch-url") && fetch.network && fetch.resources.network == 1)
        #expect(fetch.epoch == 0, "another lock must not fetch again")
        #expect(fetch.location?.line == 5)
        #expect(plan.actions[3].inputs.map(\.label) == ["", "00-b.tar", "01-a.c"])
        #expect(plan.actions[3].dependencies == [0, 1, 2] && plan.actions[4].dependencies == [0, 2])
    }

    /// Eight times the stages take about eight times as long, with a source of the network and a file for each.
    @Test func planningALargeRecipeTakesLinearTime() throws {
        func seconds(_ count: Int) throws -> Double {
            var text = ""
            for i in 0..<count {
                let url = "{url: \"https://a/\(i)\", sha256: \(String(repeating: "0a", count: 32))}"
                text += "  s\(i): {stage: pack, inputs: {files: [\(url), {path: src/a.c}"
                text += (i == 0 ? "" : ", s\(i - 1).out") + "]}}\n"
            }
            var (start, end) = (timespec(), timespec())
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start)
            let plan = try plan(text, artifacts: "{x: s\(count - 1).out}")
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end)
            #expect(plan.actions.count == 2 * count + 1)
            return Double(end.tv_sec - start.tv_sec) + Double(end.tv_nsec - start.tv_nsec) / 1e9
        }
        let (small, large) = (try seconds(300), try seconds(2400))
        #expect(large < small * 16, "\(small) s for 300 stages, \(large) s for 2400")
    }

    @Test func labelsKeepTheOrderOfLongLists() throws {
        let list = (0..<101).map { "{url: \"https://a/\($0)\", sha256: \(String(Digest.of("\($0)").hex))}" }
        let plan = try plan("  a: {stage: pack, inputs: {files: [\(list.joined(separator: ", "))]}}")
        let labels = try #require(plan.actions.last).inputs.map(\.label)
        #expect(labels.first == "000-0" && labels.last == "100-100" && labels == labels.sorted())
    }

    @Test func onlyWhatCanChangeTheResultOfAStageIsInItsKey() throws {
        func parts(_ more: String = "") throws -> (Digest, Digest) {
            let plan = try plan("  a: {stage: pack\(more)}")
            let action = try #require(plan.actions.last)
            return (action.stageDigest, ActionKey(of: action, inputs: [], buildRoot: nil).digest)
        }
        let (folder, key) = try parts()
        let text = String(decoding: try Files.read(root + "/stages/pack/stage.yaml"), as: UTF8.self)
        try write("stages/pack/stage.yaml", "# a comment\ntimeout: 3m\nresources: {cpu: 4, disk: 1}\n" + text)
        #expect(try parts() == (folder, key), "texts, limits and resources")
        #expect(try parts(", timeout: 5m") == (folder, key))
        #expect(try parts(", environment: {A: b}").1 != key)
        #expect(try parts(", environment: {A: b}").1 != parts(", environment: {A: c}").1)
        try write("stages/pack/stage.yaml", "version: 2\n" + text)
        #expect(try parts().0 != folder)
        try write("stages/pack/stage.yaml", text)
        try write("stages/pack/helper.sh", "x")
        #expect(try parts().0 != folder)
    }
}
