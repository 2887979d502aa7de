import ForgeBase
import ForgeEngine
import ForgeRecipe

/// `forge build`
struct BuildCommand {
    let session: Session

    func run() throws -> ExitCode {
        let recipe = try session.recipe()
        let outcome = try Build(session: session, recipe: recipe).run()
        if let error = outcome.error { session.console.error(error) }
        if session.console.json {
            session.console.result(outcome.json(recipe).description)
        } else if outcome.error == nil {
            summary(outcome)
        }
        return outcome.error?.code ?? .done
    }

    private func summary(_ outcome: Build.Outcome) {
        let console = session.console
        for artifact in outcome.artifacts where !Publisher.about.contains(artifact.path) {
            let size = Format.bytes(artifact.digest.size)
            console.result("\(session.layout.display(artifact.absolute))  \(console.styled(size, .dim))")
        }
        let ran = outcome.count(.ran)
        let what = ran == 0 ? "nothing to do" : "\(Format.count(ran, "action")) ran"
        console.note("\(what), \(outcome.count(.hit)) from the cache, \(Format.seconds(outcome.seconds))")
    }
}
