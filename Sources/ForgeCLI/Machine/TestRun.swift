import ForgeBase
import ForgeRecipe
import ForgeStore
import ForgeSystem

/// One boot of one test.
struct TestRun {
    let session: Session
    let recipe: Recipe
    let test: BootTest
    let firmware: BootTest.Firmware

    var name: String { "\(test.name) (\(firmware.rawValue))" }

    struct Report {
        /// A check that was made.
        struct Check {
            var name: String
            /// From power-on to its end.
            var seconds: Double
            /// Nil: it holds.
            var failure: String?
        }

        var name: String
        var seconds: Double
        var bootSeconds: Double?
        var checks: [Check] = []
        /// What is wrong, of checks and of the boot.
        var failures: [String]

        var json: JSON {
            .object([
                ("test", .string(name)), ("passed", .bool(failures.isEmpty)), ("seconds", .double(seconds)),
                ("boot_seconds", bootSeconds.map(JSON.double) ?? .null),
                (
                    "checks",
                    .array(
                        checks.map {
                            .object([
                                ("check", .string($0.name)), ("passed", .bool($0.failure == nil)),
                                ("seconds", .double($0.seconds)),
                            ])
                        })
                ),
                ("failures", .array(failures.map(JSON.string))),
            ])
        }
    }

    /// Boots the machine and makes the test's checks.
    func perform(_ host: HostMachine) throws -> Report {
        let start = session.seconds
        session.console.note("boot \(name)")
        let scratch = try session.store().makeScratch("test")
        let disks = try test.disks.enumerated().map { try TestDisk($1, at: "\(scratch.path)/disk\($0)") }
        let guest = try Guest(
            try machine(host, scratch.path, disks), qemu: host.qemu, directory: scratch.path, time: session.time,
            signals: try Signals())
        defer { guest.stop() }
        var report = Report(name: name, seconds: 0, failures: [])
        do {
            let limit = try session.arguments.number("timeout", least: 1).map(Double.init) ?? Double(test.seconds)
            let boot = try guest.waitForShell(seconds: limit)
            report.bootSeconds = boot
            session.console.note("      answers after \(Format.seconds(boot))")
            for check in test.checks {
                let failure = try MachineCheck(guest: guest, disks: disks).failure(check)
                take(failure, of: MachineCheck.name(check.check), after: guest.seconds, into: &report)
            }
        } catch let error as ForgeError where error.code == .stageFailed {
            report.failures.append(error.description)
        }
        report.seconds = session.seconds - start
        try conclude(report, guest)
        return report
    }

    private func take(_ failure: String?, of name: String, after seconds: Double, into report: inout Report) {
        session.console.note("\(failure == nil ? "  ok" : "FAIL")  \(name) (at \(Format.seconds(seconds)))")
        report.checks.append(Report.Check(name: name, seconds: seconds, failure: failure))
        if let failure { report.failures.append("\(name): \(failure)") }
    }

    /// Says how it went, and keeps what the machine has shown if that was not well.
    private func conclude(_ report: Report, _ guest: Guest) throws {
        guard !report.failures.isEmpty else {
            session.console.note("pass  \(name) (\(Format.seconds(report.seconds)))")
            return
        }
        let kept = "\(session.outputDirectory(recipe))-console-\(test.name)-\(firmware.rawValue).log"
        try Files.write(kept, Array(guest.consoleText().utf8))
        for failure in report.failures { session.console.error(ForgeError(.stageFailed, "\(name): \(failure)")) }
        session.console.note("the console of that boot: \(session.layout.display(kept))")
    }

    private func machine(_ host: HostMachine, _ scratch: String, _ disks: [TestDisk]) throws -> VirtualMachine {
        let out = session.outputDirectory(recipe)
        let kernel = test.kernel.map { "\(out)/\($0.image)" } ?? "\(out)/vmlinuz"
        var machine = VirtualMachine(
            medium: .nothing, firmware: firmware == .uefi ? .uefi : .bios,
            acceleration: try host.acceleration(
                kernel: Files.exists(kernel) ? kernel : nil, asked: Host.environment("FORGE_ACCEL")),
            memory: try session.arguments.number("memory", least: 128) ?? Int(test.memory >> 20),
            processors: Int(test.cpus), sshPort: try Guest.freePort())
        var commandLine = ["console=ttyS0,115200"]
        switch test.medium {
        case .iso(let path):
            machine.medium = .cdrom("\(out)/\(path)")
            if test.kernel != nil { commandLine.append("forge.media=\(try ISOImage.label(of: "\(out)/\(path)"))") }
        case .disk(let path): machine.medium = .disk("\(out)/\(path)")
        case .netboot(let path):
            machine.medium = .netboot(folder: "\(out)/\(path)", server: try HostMachine.webServer())
        case .nothing: break
        }
        if let kernel = test.kernel {
            machine.kernel = VirtualMachine.Kernel(
                image: "\(out)/\(kernel.image)", initrd: "\(out)/\(kernel.initrd)",
                commandLine: (commandLine + [kernel.commandLine]).filter { !$0.isEmpty }.joined(separator: " "))
        }
        machine.disks = disks.map { ($0.path, "raw") }
        machine.seed = try seed(out, scratch)
        return machine
    }

    private func seed(_ out: String, _ scratch: String) throws -> VirtualMachine.Seed? {
        if let seed = session.arguments.value("seed") { return .image(seed) }
        if !test.seed.isEmpty {
            let directory = "\(scratch)/seed"
            try Files.makeDirectories(directory)
            for file in test.seed { try Files.write("\(directory)/\(file.name)", file.content) }
            return .directory(directory)
        }
        guard Files.exists("\(out)/seed.iso"), !session.arguments.has("no-seed") else { return nil }
        return .image("\(out)/seed.iso")
    }
}
