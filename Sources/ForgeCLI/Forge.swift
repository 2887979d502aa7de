import ForgeBase
import ForgeRecipe
import ForgeScripts
import ForgeSystem
import Glibc

/// The program: words of a command line in, exit code out.
package enum Forge {
    /// Runs one command.
    /// - Parameter words: the command line without the program's name.
    /// - Returns: the exit status: a code, or that of an action's child process.
    package static func main(_ words: [String]) -> Int32 {
        if words == [ScriptChild.command] { return ScriptWorker.main() }
        return command(words).rawValue
    }

    private static func command(_ words: [String]) -> ExitCode {
        guard let first = words.first, first != "--help", first != "-h", first != "help" || words.count > 1 else {
            plain().raw(Help.overview())
            return words.isEmpty ? .badInput : .done
        }
        if first == "--version" { return command(["version"]) }
        if first == "help" { return command([words[1], "--help"]) }
        if first == "complete" { return complete(Array(words.dropFirst())) }
        guard let command = CommandCatalog.named(first) else {
            let hint = Suggestion.hint(for: first, in: CommandCatalog.all.map(\.name))
            plain().error(ForgeError(.badInput, "unknown command “\(first)”\(hint)", remedy: "see `forge --help`"))
            return .badInput
        }
        do {
            let arguments = try Arguments(parsing: words.dropFirst(), for: command)
            let console = Console(
                json: arguments.has("json"), quiet: arguments.has("quiet"), color: arguments.value("color"),
                terminal: Terminal(fd: STDERR_FILENO), inCI: Host.environment("CI") != nil)
            if arguments.has("help") {
                console.raw(Help.text(for: command))
                return .done
            }
            return report(console) { try Commands.run(command.name, arguments, console) }
        } catch {
            plain().error(error)
            return error.code
        }
    }

    /// Runs a command and prints what it throws.
    private static func report(_ console: Console, _ body: () throws -> ExitCode) -> ExitCode {
        let errors: [ForgeError]
        do {
            return try body()
        } catch let error as ForgeError {
            errors = [error]
        } catch let several as ForgeErrors {
            errors = several.errors
        } catch {
            errors = [ForgeError(.bug, "\(error)", remedy: "please report this with the command line")]
        }
        for error in errors { console.error(error) }
        if console.json { console.result(JSON.object([("errors", .array(errors.map(\.json)))]).description) }
        return errors.first?.code ?? .bug
    }

    private static func plain() -> Console {
        Console(json: false, quiet: false, color: nil, terminal: Terminal(fd: STDERR_FILENO), inCI: true)
    }

    /// Words that can follow, one a line: what completion scripts ask for. `words` are those before the cursor.
    private static func complete(_ words: [String]) -> ExitCode {
        guard let command = words.first.flatMap(CommandCatalog.named),
            let directory = Files.absolute("."),
            let layout = try? ProjectLayout.find(from: directory, executable: Host.executablePath)
        else { return .done }
        let given = words.dropFirst().filter { !$0.hasPrefix("-") }
        guard given.count < command.operands.count else { return .done }
        var found: [String] = []
        switch command.operands[given.count].kind {
        case .recipe: found = (try? layout.recipeNames()) ?? []
        case .stage:
            let recipe = given.first.flatMap { try? layout.recipeFile($0) }
                .flatMap { try? Recipe.load($0, catalog: layout.catalog()) }
            found = recipe?.stages.map(\.id) ?? []
        default: break
        }
        plain().raw(found.map { $0 + "\n" }.joined())
        return .done
    }
}
