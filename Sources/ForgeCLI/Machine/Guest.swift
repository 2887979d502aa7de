import ForgeBase
import ForgeSystem
import Glibc

/// A booted virtual machine that is spoken to by SSH, with a key of its own that exists only as long as the machine.
///
/// The key reaches the guest as a systemd credential (systemd.system-credentials(7), `tmpfiles.extra`), so the image
/// needs neither a password nor anything of forge's in it.
final class Guest {
    private let command: Command
    private var child: Child
    private let directory: String
    private let network: VirtualMachine.Network
    private let namespaces: Namespaces
    let console: String
    private let time: any TimeSource
    private let signals: Signals
    /// When the machine was switched on, in seconds of `time`.
    let start: Double

    /// Boots a machine.
    /// - Parameters:
    ///   - machine: without console, credentials and firmware variables, which are made here.
    ///   - directory: an empty directory of this boot.
    ///   - namespaces: where the machine runs and can be reached.
    init(
        _ machine: VirtualMachine, qemu: String, directory: String, time: any TimeSource, signals: Signals,
        namespaces: Namespaces = .none
    ) throws {
        var machine = machine
        self.directory = directory
        self.time = time
        self.signals = signals
        self.namespaces = namespaces
        network = machine.network
        console = "\(directory)/console.log"
        machine.console = console
        machine.credentials = [try Guest.credential(in: directory)]
        if machine.firmware == .uefi {
            let files = try HostMachine.firmware()
            let variables = "\(directory)/firmware-variables"
            try Files.write(variables, try Files.read(files.variables))
            machine.firmwareFiles = (files.code, variables)
        }
        command = Command(qemu, machine.arguments, namespaces: namespaces)
        start = Double(time.monotonic()) / 1e9
        child = try command.start()
    }

    /// A key pair, and the credential that lets root of the guest accept it.
    static func credential(in directory: String) throws -> (name: String, file: String) {
        let key = "\(directory)/key"
        guard let program = Host.findProgram("ssh-keygen") else {
            throw ForgeError(.unsupportedHost, "there is no ssh-keygen", remedy: "apt install openssh-client")
        }
        _ = try Command(program, ["-q", "-t", "ed25519", "-N", "", "-C", "forge", "-f", key]).outputOrThrow()
        let publicKey = String(decoding: try Files.read(key + ".pub"), as: UTF8.self).split(separator: "\n").first ?? ""
        let lines = "d /root/.ssh 0700 root root -\nf+ /root/.ssh/authorized_keys 0600 root root - \(publicKey)\n"
        let file = "\(directory)/tmpfiles"
        try Files.write(file, lines)
        return ("tmpfiles.extra", file)
    }

    /// Seconds since the machine was switched on.
    var seconds: Double { Double(time.monotonic()) / 1e9 - start }

    /// What the serial console has shown.
    func consoleText() -> String { String(decoding: (try? Files.read(console)) ?? [], as: UTF8.self) }

    /// Waits until the guest answers.
    func waitForShell(seconds limit: Double) throws {
        let begin = seconds
        while seconds - begin < limit {
            try pause(milliseconds: 0)
            if let report = try child.reap() {
                throw ForgeError(.stageFailed, "the machine stopped (QEMU \(report.status))", details: tail())
            }
            if consoleText().contains("Kernel panic") {
                throw ForgeError(.stageFailed, "the kernel panicked", details: tail())
            }
            if let result = try? run("true", seconds: 15), result.status == 0 { return }
            try pause(milliseconds: 1000)
        }
        throw ForgeError(
            .stageFailed, "the machine did not answer by SSH within \(Format.seconds(limit))", details: tail(),
            remedy: "see the whole console: \(console)")
    }

    /// Starts the system again, with the same disks, and waits until it answers.
    func reboot(seconds limit: Double) throws {
        let begin = seconds
        // The connection may be cut before the command has ended.
        _ = try? run("systemctl reboot", seconds: min(limit, 60))
        // QEMU ends where a machine would start again (-no-reboot): what is left is what is on the disks.
        while try child.reap() == nil {
            guard seconds - begin < limit else {
                throw ForgeError(
                    .stageFailed, "the machine did not go down for a reboot within \(Format.seconds(limit))",
                    details: tail())
            }
            try pause(milliseconds: 1000)
        }
        child = try command.start()
        try waitForShell(seconds: limit - (seconds - begin))
    }

    /// Waits a while, or until the machine ends.
    /// - Throws: `interrupted` if a signal comes.
    func pause(milliseconds: Int32) throws {
        let ready = try Poller.wait(fds: [child.pidfd, signals.fd], timeoutMilliseconds: milliseconds)
        if ready[1], signals.next() != nil { throw ForgeError(.interrupted, "stopped; the machine is gone") }
    }

    private func tail() -> [String] {
        consoleText().split(whereSeparator: \.isNewline).suffix(15).map { line in
            "│ " + String(line.filter { $0 == "\t" || $0.asciiValue.map { $0 >= 0x20 } ?? true })
        }
    }

    /// Runs a shell command in the guest.
    func run(_ command: String, seconds limit: Double = 60) throws -> (status: Int32, output: String) {
        guard let ssh = Host.findProgram("ssh") else {
            throw ForgeError(.unsupportedHost, "there is no ssh", remedy: "apt install openssh-client")
        }
        let result = try Command(
            ssh,
            Guest.options(directory: directory, port: network.ssh.port) + ["root@\(network.ssh.address)", command],
            errors: .null, namespaces: namespaces
        )
        .run(timeoutSeconds: limit)
        guard case .exited(let status) = result.report.status else { return (255, "") }
        return (status, String(decoding: result.output, as: UTF8.self))
    }

    static func options(directory: String, port: Int) -> [String] {
        [
            "-F", "none", "-i", "\(directory)/key", "-p", String(port), "-o", "BatchMode=yes", "-o",
            "IdentitiesOnly=yes",
            "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
            "-o", "ConnectTimeout=10",
        ]
    }

    func stop() {
        child.kill()
        _ = try? child.drain()
    }

    /// A port of the loopback that nobody listens on.
    static func freePort() throws -> Int {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw ForgeError.system("cannot make a socket") }
        let file = FileDescriptor(owning: descriptor)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(file.raw, $0, length) == 0 && getsockname(file.raw, $0, &length) == 0
            }
        }
        guard bound else { throw ForgeError.system("cannot find a free port") }
        return Int(UInt16(bigEndian: address.sin_port))
    }
}
