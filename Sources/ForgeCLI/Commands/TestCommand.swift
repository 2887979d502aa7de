import ForgeBase
import ForgeEngine
import ForgePlanner
import ForgeRecipe
import ForgeStore
import ForgeSystem
import Glibc

/// `forge test`: builds, boots, checks.
struct TestCommand {
    let session: Session

    func run() throws -> ExitCode {
        let recipe = try session.recipe()
        let runs = try chosen(recipe)
        let host = try HostMachine()
        let stages = Set(runs.compactMap { $0.test.cluster?.root.stage }).sorted { $0.precedes($1) }
        if !stages.isEmpty { try Bridge.check() }
        // Until the last machine is off, nothing that a control plane runs in may be collected.
        let use = try session.store().hold()
        defer { withExtendedLifetime(use) {} }
        let outcome = try Build(session: session, known: recipe, beside: stages).run()
        if let error = outcome.error {
            session.console.error(error)
            return error.code
        }
        var reports: [TestReport] = []
        for run in runs { reports.append(try run.perform(host, root: try root(of: run.test, outcome))) }
        let failed = reports.count { !$0.failures.isEmpty }
        if session.console.json {
            session.console.result(
                JSON.object([
                    ("recipe", .string(recipe.name)), ("passed", .int(Int64(reports.count - failed))),
                    ("failed", .int(Int64(failed))), ("tests", .array(reports.map(\.json))),
                ]).description)
        }
        session.console.note("\(reports.count - failed) passed, \(failed) failed")
        return failed == 0 ? .done : .stageFailed
    }

    /// The root file system of a test's control plane.
    private func root(of test: BootTest, _ outcome: Build.Outcome) throws -> Digest? {
        guard let root = test.cluster?.root else { return nil }
        guard let action = outcome.planned.actions[root.stage] else {
            throw ForgeError(.bug, "stage \(root.stage) of test \(test.name) is not in the plan")
        }
        return try outcome.engine.output(ForgeEngine.OutputReference(action: action, output: root.output)).digest
    }

    private func chosen(_ recipe: Recipe) throws -> [TestRun] {
        let only = session.arguments.list("only")
        for name in only where !recipe.tests.contains(where: { $0.name == name }) {
            let names = recipe.tests.map(\.name)
            throw ForgeError(
                .badInput, "\(recipe.name) has no test “\(name)”\(Suggestion.hint(for: name, in: names))",
                remedy: "tests: \(names.joined(separator: ", "))")
        }
        let firmware = session.arguments.value("firmware")
        let named = recipe.tests.filter { only.isEmpty || only.contains($0.name) }
        let joins = session.arguments.has("join")
        // Before anything is built.
        if try session.arguments.number("machines", least: 1, most: Int(BootTest.mostMachines)) != nil, !joins {
            throw ForgeError(.badInput, "--machines is for --join", remedy: "add --join")
        }
        let tests = named.filter { ($0.cluster != nil) == joins }
        let left = named.filter { $0.cluster != nil && !joins }.map(\.name)
        if !left.isEmpty {
            session.console.note(
                "not run: \(left.joined(separator: ", ")) (a cluster: forge test \(recipe.name) --join)")
        }
        let runs = tests.flatMap { test in
            test.firmware.filter { firmware == nil || $0.rawValue == firmware }.map {
                TestRun(session: session, recipe: recipe, test: test, firmware: $0)
            }
        }
        guard !runs.isEmpty else {
            throw ForgeError(
                .badInput, "no test of \(recipe.name) fits",
                remedy: joins
                    ? "write one with `cluster:` in its recipe.yaml"
                    : left.isEmpty ? "write `tests:` in its recipe.yaml" : "add --join")
        }
        return runs
    }
}
