import ForgeBase
import ForgeEngine
import ForgeRecipe
import ForgeSystem

/// `forge build`
struct BuildCommand {
    let session: Session

    func run() throws -> ExitCode {
        let report: BuildReport
        // A trace is of a whole build, also of one that has nothing to do.
        if session.arguments.value("trace") == nil, let current = try UpToDate(session: session).report() {
            report = current
        } else {
            report = try Build(session: session).run().report
        }
        if let error = report.error { session.console.error(error) }
        if session.console.json {
            var fields = report.json.object ?? []
            // Which sources were built; asked only where somebody reads it.
            fields.append(("revision", try revision()))
            session.console.result(JSON.object(fields).description)
        } else if report.error == nil, !session.console.quiet {
            summary(report)
        }
        return report.error?.code ?? .done
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

    private func summary(_ report: BuildReport) {
        let console = session.console
        let lines = report.artifacts.filter { !Publisher.about.contains($0.path) }.map { artifact in
            let size = Format.bytes(artifact.digest.size)
            return "\(session.layout.display(artifact.absolute))  \(console.styled(size, .dim))"
        }
        if !lines.isEmpty { console.result(lines.joined(separator: "\n")) }
        let what = report.ran == 0 ? "nothing to do" : "\(Format.count(report.ran, "action")) ran"
        console.note("\(what), \(report.hit) from the cache, \(Format.seconds(report.seconds))")
    }
}

/// How a build ended.
struct BuildReport {
    var recipe: String
    var ran: Int
    var hit: Int
    var failed = 0
    var skipped = 0
    /// Wall time.
    var seconds: Double
    var artifacts: [PublishedArtifact]
    var error: ForgeError?

    /// What `forge build --json` ends with.
    var json: JSON {
        .object([
            ("recipe", .string(recipe)),
            ("cell", .string(Session.cell)),
            ("ran", .int(Int64(ran))),
            ("hit", .int(Int64(hit))),
            ("failed", .int(Int64(failed))),
            ("skipped", .int(Int64(skipped))),
            ("seconds", .double((seconds * 1000).rounded() / 1000)),
            ("artifacts", .array(artifacts.map(\.json))),
            ("error", error?.json ?? .null),
        ])
    }
}
