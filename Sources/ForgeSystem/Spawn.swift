import CLinux
import ForgeBase
import Glibc

/// One thing a child does to its namespaces before its program starts. Made by Swift, carried out by C.
struct SpawnStep: Sendable, Equatable {
    var operation: Operation
    var source: String?
    var target: String?
    var type: String?
    var data: String?
    var flags: UInt = 0
    /// What the step is for, as an error says it: "cannot <purpose>".
    var purpose: String

    enum Operation: UInt32, Sendable {
        case mount, openTree, place, directory, symlink, pivot, detachRoot, hostName, loopback, newKeyring
        case noNewPrivileges, fixedAddresses, remove, join, bridge, tap
    }

    static func mount(
        _ type: String, at target: String, flags: Int32 = 0, data: String? = nil, purpose: String? = nil
    ) -> SpawnStep {
        SpawnStep(
            operation: .mount, source: type, target: target, type: type, data: data, flags: UInt(flags),
            purpose: purpose ?? "mount \(target)")
    }

    static let privateMounts = SpawnStep(
        operation: .mount, target: "/", flags: UInt(MountFlags.recursive | MountFlags.isolated),
        purpose: "take the mounts apart from the host's")

    static func hostName(_ name: String) -> SpawnStep {
        SpawnStep(operation: .hostName, source: name, purpose: "set the host name")
    }

    static let loopback = SpawnStep(operation: .loopback, purpose: "bring up the loopback interface")

    static func directory(_ path: String, mode: UInt = 0o755) -> SpawnStep {
        SpawnStep(operation: .directory, target: path, flags: mode, purpose: "make the directory \(path)")
    }

    static func symlink(_ text: String, at path: String) -> SpawnStep {
        SpawnStep(operation: .symlink, source: text, target: path, purpose: "make the link \(path)")
    }
}

/// `MS_*` of mount(2), which Swift does not import.
enum MountFlags {
    static let noSetID: Int32 = 2
    static let noDevices: Int32 = 4
    static let noExecutables: Int32 = 8
    static let bind: Int32 = 4096
    static let recursive: Int32 = 16384
    static let isolated: Int32 = 1 << 18
}

/// `CLONE_NEW*` of clone(2), which Swift imports as the wrong type or not at all.
enum NamespaceFlags {
    static let mount: UInt32 = 0x0002_0000
    static let uts: UInt32 = 0x0400_0000
    static let ipc: UInt32 = 0x0800_0000
    static let user: UInt32 = 0x1000_0000
    static let pid: UInt32 = 0x2000_0000
    static let network: UInt32 = 0x4000_0000
}

/// Everything the kernel is told to start a child.
struct SpawnPlan {
    /// Nil: the child runs the steps and exits with 0.
    var program: String?
    /// With `argv[0]`.
    var arguments: [String] = []
    /// `NAME=value`.
    var environment: [String] = []
    var directory = "/"
    /// Become 0, 1, 2, 3; -1 is closed.
    var descriptors: (Int32, Int32, Int32, Int32) = (-1, -1, -1, -1)
    var namespaces: UInt32 = 0
    var ownSession = true
    var steps: [SpawnStep] = []
    var idMap: IDMap?
}

/// Where a child failed before its program ran.
struct SpawnFailure: Error {
    var phase: forge_phase
    var step: SpawnStep?
    /// `errno`.
    var code: Int32
}

/// A child that runs.
struct Spawned {
    var pid: Int32
    var pidfd: Int32
    /// The report pipe of a child with a reaper, else -1.
    var reports: Int32
}

extension SpawnPlan {
    /// Starts the child and waits until its program runs (or, without a program, until the steps are done).
    /// - Throws: `SpawnFailure`, or a `ForgeError` of the id mapping.
    func start() throws -> Spawned {
        let strings = CStrings()
        var list: [forge_step] = steps.map { step in
            forge_step(
                operation: Int32(step.operation.rawValue), descriptor: -1, flags: step.flags,
                source: strings.add(step.source), target: strings.add(step.target), type: strings.add(step.type),
                data: strings.add(step.data))
        }
        var spawned = forge_spawned()
        let result = withExtendedLifetime(strings) {
            list.withUnsafeMutableBufferPointer { steps in
                var request = forge_spawn_request()
                request.path = strings.add(program)
                request.arguments = strings.vector(arguments)
                request.environment = strings.vector(environment)
                request.directory = strings.add(directory)
                request.descriptors = descriptors
                request.namespaces = namespaces
                request.own_session = ownSession ? 1 : 0
                request.steps = steps.baseAddress
                request.step_count = steps.count
                return forge_spawn(&request, &spawned)
            }
        }
        guard result == 0 else {
            throw SpawnFailure(phase: forge_phase(UInt32(spawned.failure.phase)), code: spawned.failure.value)
        }
        if let idMap {
            do { try idMap.apply(to: spawned.pid) } catch {
                abandon(spawned)
                throw error
            }
            _ = forge_spawn_open_gate(&spawned)
        }
        return try confirm(spawned)
    }

    /// Reads the child's first report.
    private func confirm(_ spawned: forge_spawned) throws(SpawnFailure) -> Spawned {
        var record = forge_record()
        let got = forge_spawn_read(spawned.reports, &record)
        if got == 1 && record.kind == FORGE_STARTED {
            return Spawned(pid: spawned.pid, pidfd: spawned.pidfd, reports: spawned.reports)
        }
        let reaps = namespaces & NamespaceFlags.pid != 0 && program != nil
        if got == 0 && !reaps {
            close(spawned.reports)
            return Spawned(pid: spawned.pid, pidfd: spawned.pidfd, reports: -1)
        }
        abandon(spawned)
        guard got == 1 else { throw SpawnFailure(phase: FORGE_AT_PARENT, code: ECHILD) }
        let phase = forge_phase(UInt32(record.phase))
        let step = phase == FORGE_AT_STEP ? steps[Int(record.index)] : nil
        throw SpawnFailure(phase: phase, step: step, code: record.value)
    }

    /// Ends a child that never got to its program.
    private func abandon(_ spawned: forge_spawned) {
        if spawned.gate >= 0 { close(spawned.gate) }
        _ = forge_pidfd_signal(spawned.pidfd, SIGKILL)
        var usage = forge_usage()
        _ = forge_reap(spawned.pid, &usage)
        close(spawned.reports)
        close(spawned.pidfd)
    }

}

/// C strings and vectors that live as long as this object.
private final class CStrings {
    private var strings: [UnsafeMutablePointer<CChar>] = []
    private var vectors: [UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>] = []

    deinit {
        strings.forEach { free($0) }
        vectors.forEach { $0.deallocate() }
    }

    func add(_ text: String?) -> UnsafeMutablePointer<CChar>? {
        guard let text, let copy = strdup(text) else { return nil }
        strings.append(copy)
        return copy
    }

    /// The strings, ended by a null pointer.
    func vector(_ texts: [String]) -> UnsafeMutablePointer<UnsafeMutablePointer<CChar>?> {
        let vector = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>.allocate(capacity: texts.count + 1)
        for (index, text) in texts.enumerated() { (vector + index).initialize(to: add(text)) }
        (vector + texts.count).initialize(to: nil)
        vectors.append(vector)
        return vector
    }
}
