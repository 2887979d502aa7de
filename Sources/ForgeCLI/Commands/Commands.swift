import ForgeBase
import ForgeSystem

/// From the name of a command to what it does.
enum Commands {
    static func run(_ name: String, _ arguments: Arguments, _ console: Console) throws -> ExitCode {
        switch name {
        case "version":
            console.result(
                console.json ? JSON.object([("version", .string(Version.text))]).description : "forge \(Version.text)")
        case "completions": console.raw(Completions.script(for: arguments.operand(0) ?? "bash"))
        case "manual": console.raw(Help.manual())
        default: return try run(name, Session(arguments, console: console))
        }
        return .done
    }

    /// Commands that need a project.
    private static func run(_ name: String, _ session: Session) throws -> ExitCode {
        switch name {
        case "build": return try BuildCommand(session: session).run()
        case "lock": return try LockCommand(session: session).run()
        case "plan": return try PlanCommand(session: session).run()
        case "graph": return try GraphCommand(session: session).run()
        case "explain": return try ExplainCommand(session: session).run()
        case "stats": return try StatsCommand(session: session).run()
        case "log": return try LogCommand(session: session).run()
        case "kernel": return try KernelCommand(session: session).run()
        case "shell": return try ShellCommand(session: session).run()
        case "run": return try RunCommand(session: session).run()
        case "test": return try TestCommand(session: session).run()
        case "cache": return try CacheCommand(session: session).run()
        case "schema": return try SchemaCommand(session: session).run()
        case "hash": return try HashCommand(session: session).run()
        case "doctor": return try DoctorCommand(session: session).run()
        case "init": return try InitCommand(session: session).run()
        default: throw ForgeError(.bug, "the command \(name) is in the catalog but does nothing")
        }
    }
}
