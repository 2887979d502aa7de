import ForgeBase
import ForgeRecipe
import ForgeStore
import ForgeSystem

/// `forge run`: builds, and boots with the serial console on this terminal.
struct RunCommand {
    let session: Session

    func run() throws -> ExitCode {
        let recipe = try session.recipe()
        let host = try HostMachine()
        let outcome = try Build(session: session, known: recipe).run()
        if let error = outcome.error {
            session.console.error(error)
            return error.code
        }
        let out = session.outputDirectory(recipe)
        let medium = try medium(of: outcome)
        let scratch = try session.store().makeScratch("run")
        let port = try session.arguments.number("ssh-port", least: 1) ?? 2222
        var machine = VirtualMachine(
            medium: medium,
            firmware: VirtualMachine.Firmware(rawValue: session.arguments.value("firmware") ?? "bios") ?? .bios,
            acceleration: try host.acceleration(
                kernel: Files.exists("\(out)/vmlinuz") ? "\(out)/vmlinuz" : nil, asked: Host.environment("FORGE_ACCEL")),
            memory: try session.arguments.number("memory", least: 128) ?? 2048, network: .user(sshPort: port))
        if machine.firmware == .uefi {
            let files = try HostMachine.firmware()
            let variables = "\(scratch.path)/firmware-variables"
            try Files.write(variables, try Files.read(files.variables))
            machine.firmwareFiles = (files.code, variables)
        }
        if let seed = session.arguments.value("seed").map(session.absolute)
            ?? (Files.exists("\(out)/seed.iso") ? "\(out)/seed.iso" : nil),
            !session.arguments.has("no-seed")
        {
            machine.seed = .image(seed)
        }
        if let disk = session.arguments.value("disk") {
            machine.disks = [try dataDisk(session.absolute(disk))]
        }
        // A key for this run alone: images have no password.
        machine.credentials = [try Guest.credential(in: scratch.path)]
        session.console.note("log in from another terminal:")
        let options = Guest.options(directory: scratch.path, port: port)
        session.console.note(
            "    " + (["ssh"] + options + ["root@127.0.0.1"]).map(\.shellQuoted).joined(separator: " "))
        session.console.note("leave with ctrl-A X")
        let child = try Command(
            host.qemu, machine.arguments, input: .descriptor(0), output: .descriptor(1), errors: .descriptor(2),
            keepsTerminal: true
        ).start()
        let (report, _) = try child.drain()
        return report.succeeded ? .done : .stageFailed
    }
    /// What of the artifacts the machine starts from.
    private func medium(of outcome: Build.Outcome) throws -> VirtualMachine.Medium {
        if session.arguments.has("netboot") {
            guard let script = outcome.artifacts.first(where: { Files.name(of: $0.path) == "netboot.ipxe" }) else {
                throw ForgeError(
                    .badInput, "\(outcome.recipe.name) has no folder to boot from the network",
                    remedy: "add an artifact made by the stage netboot: netboot: netboot.files")
            }
            if session.arguments.value("firmware") == "uefi" {
                throw ForgeError(
                    .badInput, "QEMU's iPXE boots by BIOS only", remedy: "leave --firmware uefi out with --netboot")
            }
            return .netboot(folder: Files.parent(of: script.absolute), server: try HostMachine.webServer())
        }
        guard let image = outcome.artifacts.first(where: { $0.path.hasSuffix(".iso") && $0.path != "seed.iso" }) else {
            throw ForgeError(
                .badInput, "\(outcome.recipe.name) has no ISO to boot", remedy: "add an artifact made by the stage iso")
        }
        return .cdrom(image.absolute)
    }

    /// The disk that is kept between runs. One that is there is taken as it is, never formatted.
    private func dataDisk(_ path: String) throws -> (path: String, format: String) {
        let isQcow2 = path.hasSuffix(".qcow2")
        guard !Files.exists(path) else { return (path, isQcow2 ? "qcow2" : "raw") }
        guard !isQcow2 else {
            throw ForgeError(
                .badInput, "there is no \(path), and forge makes raw disk images only",
                remedy: "call it \(path.dropLast(".qcow2".count)).img, or make it: qemu-img create -f qcow2 \(path) 8G")
        }
        try DataDisk.make(path, size: 8 << 30, label: DataDisk.label)
        session.console.note(
            "made \(path): 8 GiB, ext4, labelled \(DataDisk.label); what the machine writes stays there")
        return (path, "raw")
    }
}
