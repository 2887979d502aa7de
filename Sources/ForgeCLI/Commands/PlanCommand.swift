import ForgeBase
import ForgeEngine
import ForgePlanner
import ForgeRecipe
import ForgeStore

/// `forge plan`
struct PlanCommand {
    let session: Session

    func run() throws -> ExitCode {
        let recipe = try session.recipe()
        let planned = try session.plan(recipe)
        guard !session.console.json else {
            session.console.result(PlanCommand.json(planned, recipe).pretty())
            return .done
        }
        for action in planned.plan.actions {
            session.console.result("\(action.name)  (\(action.stage))")
            for input in action.inputs {
                let label = input.label.isEmpty ? input.name : "\(input.name)/\(input.label)"
                session.console.result("    \(label) ← \(PlanCommand.source(input.source, planned.plan))")
            }
        }
        for artifact in planned.plan.artifacts {
            let maker = planned.plan.actions[artifact.source.action].name
            session.console.result("\(artifact.path) ← \(maker).\(artifact.source.output)")
        }
        return .done
    }

    static func source(_ source: PlannedInput.Source, _ plan: Plan) -> String {
        switch source {
        case .output(let reference): "\(plan.actions[reference.action].name).\(reference.output)"
        case .object(let digest, let kind): "\(kind.rawValue) \(digest)"
        }
    }

    /// The whole plan: what goldens compare and scripts read.
    static func json(_ planned: PlannedRecipe, _ recipe: Recipe) -> JSON {
        let actions = planned.plan.actions.map { action in
            JSON.object([
                ("name", .string(action.name)), ("stage", .string(action.stage)), ("run", .string(action.program.text)),
                ("stage_digest", .string(action.stageDigest.description)), ("options", action.options),
                (
                    "inputs",
                    .array(
                        action.inputs.map {
                            .object([
                                ("name", .string($0.name)), ("label", .string($0.label)),
                                ("source", .string(source($0.source, planned.plan))),
                            ])
                        })
                ),
                (
                    "build_root",
                    action.buildRoot.map { .string("\(planned.plan.actions[$0.action].name).\($0.output)") } ?? .null
                ),
                ("locked", action.locked.map { .string($0.description) } ?? .null),
                ("outputs", .array(action.outputs.map { .string($0.name) })),
                ("network", .bool(action.network)), ("epoch", .int(action.epoch)),
            ])
        }
        let artifacts = planned.plan.artifacts.map { artifact in
            JSON.object([
                ("path", .string(artifact.path)),
                ("source", .string("\(planned.plan.actions[artifact.source.action].name).\(artifact.source.output)")),
            ])
        }
        return .object([
            ("recipe", .string(recipe.name)), ("cell", .string(Session.cell)),
            ("actions", .array(actions)), ("artifacts", .array(artifacts)),
        ])
    }
}
