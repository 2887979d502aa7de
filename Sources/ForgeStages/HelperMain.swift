import ForgeBase
import ForgeEngine
import ForgePackages
import ForgeRecipe
import ForgeScripts
import ForgeStore
import ForgeSystem
import Glibc

/// `forge-helper`: one action, lock or clean-up in a process of its own, so that the main program stays slim and a crash
/// of a library takes nothing else with it.
package enum HelperMain {
    /// - Parameter words: the command line without the program's name.
    package static func main(_ words: [String]) -> Int32 {
        ActionChild.reporting { events in
            switch words.first {
            case "run":
                let request = try HelperRequest(json: try ActionChild.message())
                try ActionChild.run(events, request, in: try Store(directory: request.cache, sweeping: false), perform)
            case "shell" where words.count > 1: return try shell(words[1], command: words.count > 2 ? words[2] : nil)
            case "control-plane" where words.count == 2:
                return try ControlPlane.run(
                    try ControlPlaneRequest(json: try JSON(parsing: try Files.read(words[1]), file: words[1])))
            case "lock": try HelperLock(events: events).run(try ActionChild.message())
            case "hash": try HelperHash(events: events).run(try ActionChild.message())
            case "remove" where words.count == 2: try Files.remove(words[1])
            case "revision" where words.count == 2: events.send(try Revision.json(of: words[1]))
            case "ready": break
            default:
                throw ForgeError(
                    .badInput, "forge-helper is started by forge, not by hand", remedy: "see `forge --help`")
            }
            return 0
        }
    }

    private static func perform(_ request: HelperRequest, _ store: Store, _ events: Events) throws -> StageResult {
        switch request.program {
        case .script: throw ForgeError(.bug, "\(request.action) is a script, which `forge run-scripts` runs")
        case .builtin(let name): return try Builtins.run(name, request, try context(request, store, events))
        }
    }

    private static func context(_ request: HelperRequest, _ store: Store, _ events: Events) throws -> StageContext {
        StageContext(
            store: store, scratch: request.scratch,
            inputs: request.inputs,
            options: request.options, epoch: request.epoch, architecture: request.architecture, jobs: request.jobs,
            clockOffset: request.clockOffset,
            progress: { done, total, unit, phase in
                events.send(
                    HelperEvent.progress(ActionProgress(phase: phase, done: done, total: total, unit: unit)).json)
            },
            log: { bytes in _ = bytes.withUnsafeBytes { write(STDOUT_FILENO, $0.baseAddress, $0.count) } })
    }

    /// A shell in the sandbox of a stage.
    private static func shell(_ file: String, command: String?) throws -> Int32 {
        let request = try HelperRequest(json: try JSON(parsing: try Files.read(file), file: file))
        guard request.program == .script else {
            throw ForgeError(
                .badInput, "stage “\(request.stage)” is built in: it has no sandbox of its own",
                remedy: "see its log: forge log RECIPE STAGE")
        }
        let store = try Store(directory: request.cache)
        var (sandbox, used) = try ScriptStage(request, store).prepare()
        defer { withExtendedLifetime(used) {} }
        sandbox.keepsTerminal = true
        let terminal = Host.environment("TERM") ?? "dumb"
        let environment =
            ScriptStage.environment(for: request) + [("TERM", terminal), ("PS1", "\(request.stage):\\w# ")]
        let arguments = command.map { ["-c", $0] } ?? ["--norc", "-i"]
        let report = try sandbox.run(
            "/bin/bash", arguments, environment: environment, directory: "/work", input: .descriptor(STDIN_FILENO))
        guard case .exited(let status) = report.status else { return 1 }
        return status
    }
}

/// The built-in stages by the names that `stage.yaml` files use.
enum Builtins {
    static func run(_ name: String, _ request: HelperRequest, _ context: StageContext) throws -> StageResult {
        switch name {
        case "debian-packages": return try debian(request, context, output: "packages")
        case "debian-source": return try debian(request, context, output: "sources")
        case "downloads":
            return try Downloads(context, LockedSources(request, in: context.store)).run()
        case "image-copy":
            return try ImageCopy(context, LockedSources(request, in: context.store)).run()
        case "rootfs": return try runRootfs(context)
        case "fetch-url": return try SourceStages(request: request, context: context).url()
        case "fetch-git": return try SourceStages(request: request, context: context).git()
        case "overlay": return try OverlayStage(context: context).run()
        case "merge": return try MergeStage(context: context).run()
        case "tarball": return try TarballStage(context: context).run()
        case "oci-image": return try OCIImageStage(context: context).run()
        case "oci-archive": return try OCIArchiveStage(context: context).run()
        default:
            throw ForgeError(
                .badInput, "stage “\(request.stage)” asks for a built-in “\(name)” that this forge does not have",
                remedy: "is forge-helper as new as the stages?")
        }
    }

    private static func debian(
        _ request: HelperRequest, _ context: StageContext, output: String
    ) throws -> StageResult {
        let entry = try LockEntry(of: request, in: context.store)
        let given = Mirrors(
            archives: Dictionary(request.mirrors) { $1 },
            snapshots: Dictionary(request.snapshots) { $1 })
        // What is given here and now goes over what the recipe says; this host's apt sources stand behind both.
        let mirrors = DebianOptions.mirrors(request.options).overridden(by: given)
        return try DebianFiles(context, output: output, locked: entry, mirrors: mirrors, offline: request.offline).run()
    }
}

extension LockEntry {
    /// The lock's entry of an action.
    init(of request: HelperRequest, in store: Store) throws {
        guard let digest = request.locked else { throw ForgeError(.bug, "\(request.action) has no lock") }
        self = try LockEntry(json: try JSON(parsing: try store.read(digest), file: "lock"))
    }
}
