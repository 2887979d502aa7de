import ForgeBase
import ForgeEngine
import ForgePlanner
import ForgeRecipe
import ForgeStore
import ForgeSystem

/// `forge graph`
struct GraphCommand {
    let session: Session

    func run() throws -> ExitCode {
        let recipe = try session.recipe()
        let planned = try session.plan(recipe)
        switch session.arguments.value("format") ?? (session.console.json ? "json" : "dot") {
        case "html":
            session.console.raw(GraphPage.html(try data(recipe, planned)))
        case "svg": session.console.raw(try GraphCommand.svg(GraphCommand.dot(planned)))
        case "json": session.console.result(try data(recipe, planned).json.description)
        default: session.console.raw(GraphCommand.dot(planned))
        }
        return .done
    }

    private func data(_ recipe: Recipe, _ planned: PlannedRecipe) throws -> GraphData {
        try GraphData(recipe: recipe, planned: planned, store: try session.store())
    }

    private static func svg(_ dot: String) throws -> String {
        guard let program = Host.findProgram("dot") else {
            throw ForgeError(
                .unsupportedHost, "SVG needs Graphviz, which is not installed",
                remedy: "apt install graphviz, or take --format html or dot")
        }
        let svg = try Command(program, ["-Tsvg"], input: .bytes(Array(dot.utf8)), errors: .null).outputOrThrow()
        return String(decoding: svg, as: UTF8.self)
    }

    /// The plan in Graphviz's language.
    static func dot(_ planned: PlannedRecipe) -> String {
        func quoted(_ text: String) -> String {
            "\"" + text.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\\\"") + "\""
        }
        var text =
            "digraph forge {\n  rankdir=LR;\n  node [shape=box, style=\"rounded,filled\", fontname=\"sans-serif\"];\n"
        for (i, action) in planned.plan.actions.enumerated() {
            let fill = planned.tools.contains(i) ? "#eeeeee" : action.network ? "#fff3d6" : "#e3f0ff"
            text += "  a\(i) [label=\(quoted("\(action.name)\\n\(action.stage)")), fillcolor=\"\(fill)\"];\n"
        }
        for (i, action) in planned.plan.actions.enumerated() {
            for dependency in action.dependencies {
                let style = action.buildRoot?.action == dependency ? " [style=dotted]" : ""
                text += "  a\(dependency) -> a\(i)\(style);\n"
            }
        }
        for (i, artifact) in planned.plan.artifacts.enumerated() {
            text += "  o\(i) [label=\(quoted(artifact.path)), shape=note, fillcolor=\"#e2f5e2\"];\n"
            text += "  a\(artifact.source.action) -> o\(i);\n"
        }
        return text + "}\n"
    }
}
