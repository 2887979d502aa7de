import ForgeBase
import ForgeEngine
import ForgePlanner
import ForgeRecipe
import ForgeStore
import ForgeSystem
import Glibc
import Testing

/// Remembers nothing: every file is read.
final class NoMemo: FileMemo {
    func rememberedDigest(ofFile path: String, _ identity: FileIdentity) -> Digest? { nil }
    func remember(_ digest: Digest, ofFile path: String, _ identity: FileIdentity) {}
}

@Suite struct PlannerTests {
    /// The project that this file is part of.
    static let root = String(
        #filePath.prefix { _ in true }.split(separator: "/").dropLast(3).reduce("") { $0 + "/" + $1 })
    let store = MemoryStore()

    func plan(_ recipe: Recipe, _ catalog: StageCatalog, date: Int64 = 1000, epoch: Int64? = nil) throws
        -> PlannedRecipe
    {
        var planner = Planner(catalog: catalog, store: store, memo: NoMemo(), epoch: epoch) { id, stage in
            let content = JSON.object([("id", .string(id)), ("request", stage.options)])
            return LockedPart(digest: store.put(Array(content.description.utf8)), date: date)
        }
        return try planner.plan(recipe)
    }

    /// A plan as people read it: what each action takes from where.
    func lines(_ planned: PlannedRecipe) -> [String] {
        let plan = planned.plan
        func source(_ source: PlannedInput.Source) -> String {
            switch source {
            case .output(let reference): "\(plan.actions[reference.action].name).\(reference.output)"
            case .object(_, let kind): "a \(kind.rawValue) of the project"
            }
        }
        return plan.actions.flatMap { action in
            ["\(action.name) (\(action.stage))\(action.buildRoot == nil ? "" : " in a build root")"]
                + action.inputs.map { "    \($0.name) \($0.label) <- \(source($0.source))" }
        } + plan.artifacts.map { "\($0.path) <- \(plan.actions[$0.source.action].name).\($0.source.output)" }
    }

    /// Every recipe of the project against the plan that people have looked at. `FORGE_RECORD=1 swift test` writes it anew
    /// and fails, so that nobody records by accident.
    @Test func everyRecipeHasThePlanThatWasAgreed() throws {
        let layout = ProjectLayout(root: PlannerTests.root, workingDirectory: PlannerTests.root)
        for name in try layout.recipeNames() {
            let catalog = layout.catalog()
            let recipe = try Recipe.load(try layout.recipeFile(name), catalog: catalog)
            let text = lines(try plan(recipe, catalog)).joined(separator: "\n") + "\n"
            let golden = "\(PlannerTests.root)/Tests/ForgePlannerTests/Golden/\(name).txt"
            if Host.environment("FORGE_RECORD") != nil {
                try Files.makeDirectories(Files.parent(of: golden))
                try Files.write(golden, text)
                Issue.record("recorded \(golden)")
            } else {
                #expect(text == String(decoding: try Files.read(golden), as: UTF8.self), "the plan of \(name) changed")
            }
        }
    }

    func debianNode() throws -> (Recipe, StageCatalog) {
        let layout = ProjectLayout(root: PlannerTests.root, workingDirectory: PlannerTests.root)
        let catalog = layout.catalog()
        return (try Recipe.load(try layout.recipeFile("debian-node"), catalog: catalog), catalog)
    }

    @Test func planningTwiceGivesTheSamePlan() throws {
        let (recipe, catalog) = try debianNode()
        let (a, b) = (try plan(recipe, catalog), try plan(recipe, catalog))
        #expect(lines(a) == lines(b))
        #expect(a.plan.actions.map(\.stageDigest) == b.plan.actions.map(\.stageDigest))
        #expect(a.plan.actions.map(\.inputs) == b.plan.actions.map(\.inputs))
    }

    @Test func levelsThatMeanTheSameToAKernelAreOneAction() throws {
        let layout = ProjectLayout(root: PlannerTests.root, workingDirectory: PlannerTests.root)
        let catalog = layout.catalog()
        func plan(_ level: String) throws -> PlannedRecipe {
            let set = [(name: "kernel", value: "vanilla"), (name: "level", value: "x86-64-\(level)")]
            return try self.plan(
                try Recipe.load(try layout.recipeFile("k8s-livecd"), catalog: catalog, set: set), catalog)
        }
        let (v2, v3, v4) = (try plan("v2"), try plan("v3"), try plan("v4"))
        let kernel = try #require(v3.actions["vanilla"])
        #expect(v3.plan.actions[kernel].options["level"] == .string("x86-64-v3"))
        var both = v3.plan
        for action in v4.plan.actions { _ = both.add(action) }
        #expect(both.actions.count == v3.plan.actions.count, "nothing of v4 is not of v3")
        for action in v2.plan.actions { _ = both.add(action) }
        let other = both.actions.dropFirst(v3.plan.actions.count).map(\.name)
        #expect(
            other.sorted() == ["k8s-livecd/control-plane", "k8s-livecd/debian-source", "k8s-livecd/vanilla"],
            "what is compiled for v2 is another action, and what follows from it is known when it is done")
    }

    @Test func theEpochIsTheLocksUnlessTheEnvironmentSaysOtherwise() throws {
        let (recipe, catalog) = try debianNode()
        #expect(try plan(recipe, catalog, date: 77).epoch == 77)
        let planned = try plan(recipe, catalog, date: 77, epoch: 5)
        #expect(planned.plan.actions.allSatisfy { $0.epoch == 5 })
    }

    /// Files and images that are pinned by their digests have no date: those of packages count.
    @Test func whatHasNoDateHasNoSayInTheEpoch() throws {
        let (recipe, catalog) = try debianNode()
        for (own, expected) in [(Int64(500), Int64(500)), (0, 77)] {
            var planner = Planner(catalog: catalog, store: store, memo: NoMemo(), epoch: nil) { id, _ in
                LockedPart(digest: Digest.of(id), date: id.hasPrefix("build-root:") ? 77 : own)
            }
            #expect(try planner.plan(recipe).epoch == expected)
        }
    }

    @Test func aStageThatIsNotLockedIsAnErrorThatSaysWhatToRun() throws {
        let (recipe, catalog) = try debianNode()
        var planner = Planner(catalog: catalog, store: store, memo: NoMemo(), epoch: nil) { _, _ in nil }
        let error = #expect(throws: ForgeError.self) { try planner.plan(recipe) }
        #expect(error?.remedy == "run `forge lock debian-node`")
    }

    @Test func toolsAreToldApartFromTheImage() throws {
        let (recipe, catalog) = try debianNode()
        let planned = try plan(recipe, catalog)
        let tools = planned.tools.map { planned.plan.actions[$0].name }.sorted()
        #expect(tools == ["build-root:image/base", "build-root:image/packages"])
    }
}

@Suite struct SourceTreeTests {
    @Test func modesFollowTheExecutableBitWhateverTheUmaskWas() throws {
        let (loose, tight) = (try directory(0o777, 0o666), try directory(0o700, 0o600))
        defer { for path in [loose, tight] { try? Files.remove(path) } }
        let store = MemoryStore()
        let source = SourceTree(store: store, memo: NoMemo()) { $0 }
        let (a, b) = (try source.directory(loose), try source.directory(tight))
        #expect(a == b)
        let tree = try Tree.load(a, from: store)
        #expect(tree["run"]?.mode == 0o755 && tree["note"]?.mode == 0o644)
        #expect(tree["note~"] == nil, "what an editor leaves behind is no part of an image")
    }

    private func directory(_ executable: UInt32, _ plain: UInt32) throws -> String {
        let path = "/tmp/forge-source-\(getpid())-\(executable)"
        try Files.remove(path)
        try Files.makeDirectories(path)
        try Files.write(path + "/run", "x", mode: executable)
        chmod(path + "/run", executable)
        try Files.write(path + "/note", "y")
        chmod(path + "/note", plain)
        try Files.write(path + "/note~", "z")
        return path
    }
}
