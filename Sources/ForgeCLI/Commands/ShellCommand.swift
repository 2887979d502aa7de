import ForgeBase
import ForgeEngine
import ForgePlanner
import ForgeRecipe
import ForgeStore
import ForgeSystem
import Glibc

/// `forge shell`: a shell where a stage works.
struct ShellCommand {
    let session: Session

    func run() throws -> ExitCode {
        let recipe = try session.recipe()
        let store = try session.store()
        let use = try store.hold()
        defer { withExtendedLifetime(use) {} }
        let planned = try session.plan(recipe)
        let wanted = session.arguments.operand(1) ?? ""
        guard let index = planned.actions[wanted] else {
            let names = planned.actions.keys.sorted { $0.precedes($1) }
            throw ForgeError(
                .badInput, "\(recipe.name) has no stage “\(wanted)”\(Suggestion.hint(for: wanted, in: names))",
                remedy: "stages: \(names.joined(separator: ", "))")
        }
        let action = planned.plan.actions[index]
        let helper = try session.helper()
        let signals = try Signals()
        let runner = HelperRunner(
            helper: helper, store: store, surroundings: try session.surroundings(), signals: signals,
            time: session.time)
        let view = ProgressView(
            console: session.console, now: { session.seconds }, width: { Terminal(fd: 2).columns })
        let engine = Engine(
            plan: planned.plan, cache: store, runner: runner, observer: view,
            limits: Resources(cpu: Host.coreCount, memory: .max, network: 1))
        try engine.run(wanted: action.dependencies)
        session.console.clearLive()
        if let error = engine.errors.min(by: { $0.key < $1.key })?.value { throw error }
        if engine.interrupted { throw ForgeError(.interrupted, "stopped") }

        let request = try engine.request(for: index)
        let scratch = try Scratch(cache: store.directory, name: "shell", helper: helper)
        defer { scratch.remove() }
        let message = HelperRequest(request, cache: store.directory, scratch: scratch.path)
        let file = "\(scratch.path).json"
        try Files.write(file, message.json.description)
        defer { unlink(file) }
        session.console.note(
            "sandbox of \(action.name): inputs in /in, options in /forge, outputs to /out (thrown away)")
        if action.program == .script { session.console.note("run the stage by hand with /stage/run; leave with exit") }
        var arguments = ["shell", file]
        if let command = session.arguments.value("command") { arguments.append(command) }
        let child = try Command(
            helper, arguments, environment: Command.plainEnvironment + [("TERM", Host.environment("TERM") ?? "dumb")],
            input: .descriptor(0), output: .descriptor(1), errors: .descriptor(2), events: true,
            namespaces: .private(network: false), keepsTerminal: true
        ).start()
        var events: [UInt8] = []
        let (report, _) = try child.drain()
        while let bytes = try child.readEvents(), !bytes.isEmpty { events += bytes }
        for line in events.split(separator: UInt8(ascii: "\n")) {
            if case .error(let error)? = HelperEvent(json: try JSON(parsing: line, file: "helper")) { throw error }
        }
        guard case .exited(let status) = report.status, status == 0 else { return .stageFailed }
        return .done
    }
}
