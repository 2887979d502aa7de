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
        guard let image = outcome.artifacts.first(where: { $0.path.hasSuffix(".iso") && $0.path != "seed.iso" }) else {
            throw ForgeError(
                .badInput, "\(recipe.name) has no ISO to boot", remedy: "add an artifact made by the stage iso")
        }
        let scratch = try session.store().makeScratch("run")
        let port = try session.arguments.number("ssh-port", least: 1) ?? 2222
        var machine = VirtualMachine(
            medium: .cdrom(image.absolute),
            firmware: VirtualMachine.Firmware(rawValue: session.arguments.value("firmware") ?? "bios") ?? .bios,
            acceleration: try host.acceleration(
                kernel: Files.exists("\(out)/vmlinuz") ? "\(out)/vmlinuz" : nil, asked: Host.environment("FORGE_ACCEL")),
            memory: try session.arguments.number("memory", least: 128) ?? 2048, sshPort: port)
        if machine.firmware == .uefi {
            let files = try HostMachine.firmware()
            let variables = "\(scratch.path)/firmware-variables"
            try Files.write(variables, try Files.read(files.variables))
            machine.firmwareFiles = (files.code, variables)
        }
        if let seed = session.arguments.value("seed") ?? (Files.exists("\(out)/seed.iso") ? "\(out)/seed.iso" : nil),
            !session.arguments.has("no-seed")
        {
            machine.seed = .image(seed)
        }
        if let disk = session.arguments.value("disk") {
            if !Files.exists(disk) { try Files.makeSparse(disk, size: 8 << 30) }
            machine.disks = [(disk, disk.hasSuffix(".qcow2") ? "qcow2" : "raw")]
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
}
