import ForgeBase
import ForgeRecipe
import ForgeStore

/// `forge hash`: what a recipe must say of a file or commit of the network.
struct HashCommand {
    let session: Session

    func run() throws -> ExitCode {
        let url = session.arguments.operand(0) ?? ""
        guard TextFormat.url.accepts(url) else {
            throw ForgeError(.badInput, "“\(url)” must be \(TextFormat.url.summary)")
        }
        let isGit = session.arguments.has("git")
        guard isGit || session.arguments.operand(1) == nil else {
            throw ForgeError(
                .badInput, "a URL has no branches or tags", remedy: "for a repository: forge hash --git \(url) …")
        }
        let store = try session.store()
        let scratch = try Scratch(cache: store.directory, name: "hash", helper: try session.helper())
        defer { scratch.remove() }
        let message = JSON.object([
            ("url", .string(url)), ("git", .bool(isGit)), ("ref", .string(session.arguments.operand(1) ?? "HEAD")),
            ("cache", .string(store.directory)), ("scratch", .string(scratch.path)),
            (
                "mirrors",
                .object(try session.surroundings().mirrors.map { ($0.0, .array($0.1.map(JSON.string))) })
            ),
        ])
        let answer = try HelperCall(session: session).run("hash", message, showing: "hash")
        let fields = (answer["input"]?.object ?? []).map { ($0.0, $0.1) }
        session.console.result(
            session.console.json
                ? JSON.object(fields).description
                : "{" + fields.map { "\($0.0): \(HashCommand.yaml($0.1))" }.joined(separator: ", ") + "}")
        return .done
    }

    /// A value in a flow mapping; only URLs have what needs quotes.
    private static func yaml(_ value: JSON) -> String {
        guard let text = value.string, !TextFormat.name.accepts(text) else { return value.string ?? value.description }
        return value.description
    }
}
