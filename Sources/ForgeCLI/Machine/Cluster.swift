import ForgeBase
import ForgeEngine
import ForgeRecipe
import ForgeSystem
import Glibc

/// A control plane beside the machines of a test: the recipe's script, in the root file system that the recipe names and in
/// a network of its own, a bridge that the machines are plugged into. Nothing of it outlives this process.
final class Cluster {
    /// A machine's place in the network. The script is told it, and makes the machine's seed.
    struct Place {
        /// The first is 1.
        let number: Int

        var tap: String { "tap\(number)" }
        var address: String { "10.77.0.\(10 + number)" }
        var hardwareAddress: String { "52:54:00:77:00:0\(number)" }

        /// The line of the list that the script reads.
        var line: String { "\(number) \(address)/\(Cluster.bits) \(hardwareAddress)\n" }
    }

    static let address = "10.77.0.1"
    static let bits = 24

    private let setup: BootTest.Cluster
    private let programs: Programs
    private let time: any TimeSource
    private let signals: Signals
    private let scratch: Scratch
    private let child: Child
    private var commands = 0

    /// Where the control plane's programs come from, and what starts them.
    struct Programs {
        /// The tree of the root file system.
        var root: Digest
        /// The cache directory that has it.
        var cache: String
        /// The path of `forge-helper`.
        var helper: String
    }

    /// Starts the script.
    init(
        _ setup: BootTest.Cluster, _ programs: Programs, machines: Int, time: any TimeSource, signals: Signals
    ) throws {
        try Bridge.check()
        self.setup = setup
        self.programs = programs
        self.time = time
        self.signals = signals
        scratch = try Scratch(cache: programs.cache, name: "cluster", helper: programs.helper)
        let places = (1...machines).map(Place.init(number:))
        let shared = "\(scratch.path)/shared"
        for place in places { try Files.makeDirectories("\(shared)/machine-\(place.number)") }
        try Files.makeDirectories("\(shared)/log")
        try Files.write("\(shared)/machines", places.map(\.line).joined())
        let log = try FileDescriptor(creating: "\(shared)/log/\(Cluster.ownLog)", mode: 0o644)
        let script = "\(ControlPlanePlace.scripts)/\(Files.name(of: setup.script))"
        var command = try Cluster.command([script], name: "script", setup, programs, scratch.path)
        command.output = .descriptor(log.raw)
        command.errors = .merged
        command.namespaces = .bridged(
            Bridge(name: "cluster", address: Cluster.address, bits: Cluster.bits, taps: places.map(\.tap)))
        child = try command.start()
    }

    /// The name of the log of the script itself, beside those that it writes.
    private static let ownLog = "control-plane.log"

    /// A program in the root file system, with a scratch directory called `name`.
    private static func command(
        _ words: [String], name: String, _ setup: BootTest.Cluster, _ programs: Programs, _ scratch: String
    ) throws -> Command {
        let request = ControlPlaneRequest(
            root: programs.root, command: words,
            environment: Command.plainEnvironment + [("HOME", ControlPlanePlace.shared), ("FORGE_ADDRESS", address)]
                + setup.environment.map { ($0.name, $0.value) },
            scripts: Files.parent(of: setup.script), shared: "\(scratch)/shared", scratch: "\(scratch)/\(name)",
            cache: programs.cache)
        try Files.makeDirectories(request.scratch)
        let file = "\(request.scratch).json"
        try Files.write(file, request.json.description)
        return Command(programs.helper, ["control-plane", file], errors: .null, events: true)
    }

    /// The user and network namespaces of the control plane, for the machines and those who speak to them.
    var namespaces: Namespaces { .joined(child.pidfd) }

    private var seconds: Double { Double(time.monotonic()) / 1e9 }

    /// Waits until the script says that the control plane is ready.
    /// - Returns: seconds it took.
    func waitUntilReady() throws -> Double {
        let start = seconds
        while !Files.exists("\(scratch.path)/shared/ready") {
            let ready = try Poller.wait(fds: [signals.fd, child.pidfd], timeoutMilliseconds: 250)
            if ready[0], signals.next() != nil { throw ForgeError(.interrupted, "stopped; the control plane is gone") }
            if ready[1], let report = try child.reap() { throw failure("\(setup.shownScript) \(report.status)") }
            if seconds - start > Double(setup.seconds) {
                throw failure("\(setup.shownScript) was not ready within \(Format.seconds(Double(setup.seconds)))")
            }
        }
        return seconds - start
    }

    /// The seed that the script has made for a machine.
    func seed(of place: Place) throws -> VirtualMachine.Seed {
        let folder = "\(scratch.path)/shared/machine-\(place.number)"
        for name in ["user-data", "meta-data"] where !Files.exists("\(folder)/\(name)") {
            throw ForgeError(
                .stageFailed, "\(setup.shownScript) made no machine-\(place.number)/\(name)",
                remedy: "it must write the seed of each machine before \(ControlPlanePlace.shared)/ready")
        }
        return .directory(folder)
    }

    /// Runs a shell command in the root file system of the control plane, in its network, beside the script.
    func run(_ command: String, seconds limit: Double) throws -> (status: Int32, output: String) {
        commands += 1
        var helper = try Cluster.command(
            ["/bin/sh", "-c", command], name: "command-\(commands)", setup, programs, scratch.path)
        helper.namespaces = namespaces
        let child = try helper.start()
        var output: [UInt8] = []
        let (report, timedOut) = try child.drain(timeoutSeconds: limit) { bytes, _ in output += bytes }
        if timedOut { throw ForgeError(.stageFailed, "it ran longer than \(Format.seconds(limit)) and was stopped") }
        if let fault = Cluster.fault(of: child) { throw fault }
        guard case .exited(let status) = report.status else { return (255, "") }
        return (status, String(decoding: output, as: UTF8.self))
    }

    private func failure(_ message: String) -> ForgeError {
        Cluster.fault(of: child) ?? ForgeError(.stageFailed, message, details: tail())
    }

    /// What a helper that has ended could not do, which it says better itself; nil if it was its program that failed.
    private static func fault(of helper: Child) -> ForgeError? {
        for line in ((try? helper.readEvents()) ?? []).split(separator: UInt8(ascii: "\n")) {
            if let json = try? JSON(parsing: Array(line), file: "helper"),
                case .error(let error)? = HelperEvent(json: json)
            {
                return error
            }
        }
        return nil
    }

    /// The last lines of what the script has said.
    func tail() -> [String] {
        let bytes = (try? Files.read("\(scratch.path)/shared/log/\(Cluster.ownLog)")) ?? []
        return String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isNewline).suffix(15).map { "│ \($0)" }
    }

    /// Every log, each below its name.
    func logs() throws -> String {
        let folder = "\(scratch.path)/shared/log"
        return try Files.list(folder).sorted().map { name in
            "==> \(name) <==\n\(String(decoding: try Files.read("\(folder)/\(name)"), as: UTF8.self))\n"
        }.joined()
    }

    func stop() {
        child.kill()
        _ = try? child.drain()
        scratch.remove()
    }
}
