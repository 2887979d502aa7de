import ForgeBase
import ForgeEngine
import ForgeRecipe
import ForgeSystem

/// `forge build`
struct BuildCommand {
    let session: Session

    func run() throws -> ExitCode {
        let recipe = try session.recipe()
        let outcome = try Build(session: session, recipe: recipe).run()
        if let error = outcome.error { session.console.error(error) }
        if session.console.json {
            var fields = outcome.json(recipe).object ?? []
            // Which sources were built; asked only where somebody reads it.
            fields.append(("revision", try revision()))
            session.console.result(JSON.object(fields).description)
        } else if outcome.error == nil {
            summary(outcome)
        }
        return outcome.error?.code ?? .done
    }

    /// The commit of the project's repository and whether something differs from it; null outside a repository.
    private func revision() throws -> JSON {
        let child = try Command(try session.helper(), ["revision", session.layout.root], events: true).start()
        _ = try child.drain()
        var bytes: [UInt8] = []
        while let piece = try child.readEvents(), !piece.isEmpty { bytes += piece }
        // A report must not fail a build that is done: where the repository can't be read, the revision is not known.
        return (try? JSON(parsing: bytes, file: "helper"))?["revision"] ?? .null
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
