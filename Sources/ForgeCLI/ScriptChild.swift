import ForgeBase
import ForgeEngine
import ForgeSystem
import Glibc

/// A child process that runs scripts, one after the other (`ScriptWorker` is its side).
struct ScriptChild {
    /// The word that makes `forge` such a process.
    static let command = "run-scripts"

    let child: Child

    /// - Parameter program: `forge` itself.
    init(program: String) throws {
        child = try Command(
            program, [ScriptChild.command], input: .pipe, output: .descriptor(STDERR_FILENO), events: true,
            namespaces: .private(network: false)
        ).start()
    }

    /// Whether it can be asked for something.
    var isAlive: Bool { (try? child.reap()) == .some(nil) }

    /// Lets it end, which takes a moment; one that does not is killed.
    func finish() {
        child.closeInput()
        _ = try? child.drain(timeoutSeconds: 1)
    }

    func ask(_ request: HelperRequest) throws(ForgeError) { try child.send(Array("\(request.json)\n".utf8)) }
}
