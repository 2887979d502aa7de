import ForgeBase
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
        let outcome = try Build(session: session, known: recipe).run()
        if let error = outcome.error {
            session.console.error(error)
            return error.code
        }
        var reports: [TestRun.Report] = []
        for run in runs { reports.append(try run.perform(host)) }
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

    private func chosen(_ recipe: Recipe) throws -> [TestRun] {
        let only = session.arguments.list("only")
        for name in only where !recipe.tests.contains(where: { $0.name == name }) {
            let names = recipe.tests.map(\.name)
            throw ForgeError(
                .badInput, "\(recipe.name) has no test “\(name)”\(Suggestion.hint(for: name, in: names))",
                remedy: "tests: \(names.joined(separator: ", "))")
        }
        let firmware = session.arguments.value("firmware")
        let runs = recipe.tests.filter { only.isEmpty || only.contains($0.name) }.flatMap { test in
            test.firmware.filter { firmware == nil || $0.rawValue == firmware }.map {
                TestRun(session: session, recipe: recipe, test: test, firmware: $0)
            }
        }
        guard !runs.isEmpty else {
            throw ForgeError(.badInput, "no test of \(recipe.name) fits", remedy: "write `tests:` in its recipe.yaml")
        }
        return runs
    }
}
