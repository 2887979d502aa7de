import ForgeBase
import ForgeEngine
import ForgeSystem

/// `forge shell`: a shell where a stage works.
struct ShellCommand {
    let session: Session

    func run() throws -> ExitCode {
        let sandbox = try StageSandbox(session, try session.recipe(), stage: session.arguments.operand(1) ?? "")
        let action = sandbox.action
        session.console.note(
            "sandbox of \(action.name): inputs in /in, options in /forge, outputs to /out (thrown away)")
        if action.program == .script { session.console.note("run the stage by hand with /stage/run; leave with exit") }
        return try sandbox.enter(session.arguments.value("command"), output: .descriptor(1)) { status, _ in
            status == .exited(0) ? .done : .stageFailed
        }
    }
}
