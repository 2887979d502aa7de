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

    /// The machines of a test, and what is beside them.
    private final class Machines {
        var guests: [Guest] = []
        var disks: [TestDisk] = []
        var cluster: Cluster?

        func stop() {
            for guest in guests { guest.stop() }
            cluster?.stop()
        }
    }

    /// Boots the machines and makes the test's checks.
    /// - Parameter root: the tree of the control plane's root file system, if the test has a cluster.
    func perform(_ host: HostMachine, root: Digest?) throws -> TestReport {
        let start = session.seconds
        session.console.note("boot \(name)")
        let scratch = try session.store().makeScratch("test")
        let machines = Machines()
        defer { machines.stop() }
        var report = TestReport(name: name)
        do {
            try boot(machines, host, root, scratch.path, &report)
            for check in test.checks { try make(check, machines, &report) }
        } catch let error as ForgeError where error.code == .stageFailed {
            report.failures.append(error.description)
        }
        report.seconds = session.seconds - start
        try conclude(report, machines)
        return report
    }

    private func boot(
        _ machines: Machines, _ host: HostMachine, _ root: Digest?, _ scratch: String, _ report: inout TestReport
    ) throws {
        let signals = try Signals()
        machines.disks = try test.disks.enumerated().map { try TestDisk($1, at: "\(scratch)/disk\($0)") }
        let count =
            try session.arguments.number("machines", least: 1, most: Int(BootTest.mostMachines)) ?? test.machines
        if let setup = test.cluster, let root {
            let programs = Cluster.Programs(
                root: root, cache: try session.cacheDirectory(), helper: try session.helper())
            let cluster = try Cluster(setup, programs, machines: count, time: session.time, signals: signals)
            machines.cluster = cluster
            let seconds = try cluster.waitUntilReady()
            session.console.note("      the control plane is ready after \(Format.seconds(seconds))")
            for number in 1...count {
                let place = Cluster.Place(number: number)
                let directory = "\(scratch)/machine-\(number)"
                try Files.makeDirectories(directory)
                var machine = try machine(
                    host, machines.disks,
                    .tap(place.tap, hardwareAddress: place.hardwareAddress, address: place.address))
                machine.seed = try cluster.seed(of: place)
                machines.guests.append(
                    try Guest(
                        machine, qemu: host.qemu, directory: directory, time: session.time, signals: signals,
                        namespaces: cluster.namespaces))
            }
        } else {
            var machine = try machine(host, machines.disks, .user(sshPort: try Guest.freePort()))
            machine.seed = try seed(scratch)
            machines.guests = [
                try Guest(machine, qemu: host.qemu, directory: scratch, time: session.time, signals: signals)
            ]
        }
        let limit = try session.arguments.number("timeout", least: 1).map(Double.init) ?? Double(test.seconds)
        for guest in machines.guests {
            try guest.waitForShell(seconds: limit)
            report.bootSeconds = max(report.bootSeconds ?? 0, guest.seconds)
            session.console.note("      answers after \(Format.seconds(guest.seconds))")
        }
    }

    private func make(_ check: BootTest.TimedCheck, _ machines: Machines, _ report: inout TestReport) throws {
        for (number, guest) in machines.guests.enumerated() {
            let cluster = check.onCluster ? machines.cluster : nil
            let failure = try MachineCheck(guest: guest, disks: machines.disks, cluster: cluster).failure(check)
            let place = check.onCluster ? "cluster: " : machines.guests.count > 1 ? "machine \(number + 1): " : ""
            let name = place + MachineCheck.name(check.check)
            session.console.note("\(failure == nil ? "  ok" : "FAIL")  \(name) (at \(Format.seconds(guest.seconds)))")
            report.add(name, after: guest.seconds, failure)
            if check.onCluster { return }
        }
    }

    /// Says how it went, and keeps what the machines have shown if that was not well.
    private func conclude(_ report: TestReport, _ machines: Machines) throws {
        guard !report.failures.isEmpty else {
            session.console.note("pass  \(name) (\(Format.seconds(report.seconds)))")
            return
        }
        for failure in report.failures { session.console.error(ForgeError(.stageFailed, "\(name): \(failure)")) }
        for (number, guest) in machines.guests.enumerated() {
            let machine = number == 0 ? "" : "-\(number + 1)"
            try keep(guest.consoleText(), as: "console", machine, saying: "the console of that boot")
        }
        if let cluster = machines.cluster {
            for line in cluster.tail() { session.console.note(line) }
            try keep(try cluster.logs(), as: "cluster", "", saying: "the logs of the control plane")
        }
    }

    private func keep(_ text: String, as kind: String, _ suffix: String, saying what: String) throws {
        let path = "\(session.outputDirectory(recipe))-\(kind)-\(test.name)-\(firmware.rawValue)\(suffix).log"
        try Files.write(path, Array(text.utf8))
        session.console.note("\(what): \(session.layout.display(path))")
    }

    /// A machine without its seed.
    private func machine(
        _ host: HostMachine, _ disks: [TestDisk], _ network: VirtualMachine.Network
    ) throws -> VirtualMachine {
        let out = session.outputDirectory(recipe)
        let kernel = test.kernel.map { "\(out)/\($0.image)" } ?? "\(out)/vmlinuz"
        var machine = VirtualMachine(
            medium: .nothing, firmware: firmware == .uefi ? .uefi : .bios,
            acceleration: try host.acceleration(
                kernel: Files.exists(kernel) ? kernel : nil, asked: Host.environment("FORGE_ACCEL")),
            memory: try session.arguments.number("memory", least: 128) ?? Int(test.memory >> 20),
            processors: Int(test.cpus), network: network)
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
        return machine
    }

    /// The seed of a machine that is alone.
    private func seed(_ scratch: String) throws -> VirtualMachine.Seed? {
        let published = "\(session.outputDirectory(recipe))/seed.iso"
        if let seed = session.arguments.value("seed") { return .image(seed) }
        if !test.seed.isEmpty {
            let directory = "\(scratch)/seed"
            try Files.makeDirectories(directory)
            for file in test.seed { try Files.write("\(directory)/\(file.name)", file.content) }
            return .directory(directory)
        }
        guard Files.exists(published), !session.arguments.has("no-seed") else { return nil }
        return .image(published)
    }
}
