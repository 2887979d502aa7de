import ForgeBase
import ForgeEngine
import ForgePlanner
import ForgeRecipe
import ForgeStore
import ForgeSystem
import Glibc

/// The sandbox of one stage, for commands that work in it by hand: what the stage needs is built, what is written there is
/// thrown away.
final class StageSandbox {
    private let session: Session
    private let store: Store
    /// As long as this lives, nothing that the sandbox shows is collected.
    private let use: StoreUse
    private let signals: Signals
    /// What the stage's process would be told. Inputs can be added.
    var request: ActionRequest

    /// Builds what a stage needs.
    /// - Parameter id: of a stage of the recipe, or the name of a build root's action.
    init(_ session: Session, _ recipe: Recipe, stage id: String) throws {
        self.session = session
        store = try session.store()
        use = try store.hold()
        let planned = try session.plan(recipe)
        guard let index = planned.actions[id] else {
            let names = planned.actions.keys.sorted { $0.precedes($1) }
            throw ForgeError(
                .badInput, "\(recipe.name) has no stage “\(id)”\(Suggestion.hint(for: id, in: names))",
                remedy: "stages: \(names.joined(separator: ", "))")
        }
        signals = try Signals()
        let runner = HelperRunner(
            helper: try session.helper(), store: store, surroundings: try session.surroundings(), signals: signals,
            time: session.time)
        let view = ProgressView(
            console: session.console, now: { session.seconds }, width: { Terminal(fd: 2).columns })
        let engine = Engine(
            plan: planned.plan, cache: store, runner: runner, observer: view,
            limits: Resources(cpu: Host.coreCount, memory: .max, network: 1))
        try engine.run(wanted: planned.plan.actions[index].dependencies)
        session.console.clearLive()
        if let error = engine.errors.min(by: { $0.key < $1.key })?.value { throw error }
        if engine.interrupted { throw ForgeError(.interrupted, "stopped") }
        request = try engine.request(for: index)
    }

    var action: PlannedAction { request.action }

    /// Adds a file as the last one of an input of many.
    func add(file path: String, to input: String) throws {
        let number = String(request.inputs.count { $0.name == input })
        let label = "\(number.utf8.count < 2 ? "0" : "")\(number)-\(Files.name(of: path))"
        request.inputs.append(ResolvedInput(name: input, label: label, kind: .file, digest: try store.put(file: path)))
    }

    /// Runs a command in the sandbox.
    /// - Parameters:
    ///   - command: for bash; nil: an interactive bash.
    ///   - output: where standard output and error go; a pipe is read by `sink`.
    ///   - results: gets how the command ended and the folder of the outputs, before that is thrown away.
    func enter<Result>(
        _ command: String?, output: Command.Output, sink: ([UInt8]) -> Void = { _ in },
        results: (_ status: ExitReport.Status, _ outputs: String) throws -> Result
    ) throws -> Result {
        let helper = try session.helper()
        let scratch = try Scratch(cache: store.directory, name: "shell", helper: helper)
        defer { scratch.remove() }
        // What the plan has put into the store must be there for the other process.
        try store.flush()
        let message = HelperRequest(request, cache: store.directory, scratch: scratch.path)
        let file = "\(scratch.path).json"
        try Files.write(file, message.json.description)
        defer { unlink(file) }
        let child = try Command(
            helper, ["shell", file] + (command.map { [$0] } ?? []),
            environment: Command.plainEnvironment + [("TERM", Host.environment("TERM") ?? "dumb")],
            input: .descriptor(0), output: output, errors: output == .pipe ? .merged : .descriptor(2), events: true,
            namespaces: .private(network: false), keepsTerminal: true
        ).start()
        var events: [UInt8] = []
        let report = try attend(child, sink)
        while let bytes = try child.readEvents(), !bytes.isEmpty { events += bytes }
        for line in events.split(separator: UInt8(ascii: "\n")) {
            if case .error(let error)? = HelperEvent(json: try JSON(parsing: line, file: "helper")) { throw error }
        }
        return try results(report.status, "\(scratch.path)/out")
    }

    /// Waits for the end of a program that has the terminal. Ctrl-C is the program's own business; a terminal that has
    /// gone, and who ends forge, ends the program, too.
    private func attend(_ child: Child, _ sink: ([UInt8]) -> Void) throws -> ExitReport {
        while true {
            let ready = try Poller.wait(fds: [signals.fd, child.output, child.pidfd], timeoutMilliseconds: nil)
            if ready[0], let signal = signals.next(), signal != SIGINT { child.kill() }
            if ready[1], let bytes = try child.readOutput() { sink(bytes) }
            if ready[2] { return try child.drain { bytes, _ in sink(bytes) }.report }
        }
    }
}
