import ForgeBase
import ForgeRecipe
import ForgeStore
import ForgeSystem
import Glibc

/// `forge test`: builds, boots, checks.
struct TestCommand {
    let session: Session

    /// One boot of one test.
    private struct Run {
        var test: BootTest
        var firmware: BootTest.Firmware
        var name: String { "\(test.name) (\(firmware.rawValue))" }
    }

    private struct Report {
        var name: String
        var seconds: Double
        var bootSeconds: Double?
        var failures: [String]

        var json: JSON {
            .object([
                ("test", .string(name)), ("passed", .bool(failures.isEmpty)), ("seconds", .double(seconds)),
                ("boot_seconds", bootSeconds.map(JSON.double) ?? .null),
                ("failures", .array(failures.map(JSON.string))),
            ])
        }
    }

    func run() throws -> ExitCode {
        let recipe = try session.recipe()
        let runs = try chosen(recipe)
        let host = try HostMachine()
        let outcome = try Build(session: session, known: recipe).run()
        if let error = outcome.error {
            session.console.error(error)
            return error.code
        }
        var reports: [Report] = []
        for run in runs { reports.append(try perform(run, recipe, host)) }
        let failed = reports.count { !$0.failures.isEmpty }
        if session.console.json {
            session.console.result(
                JSON.object([
                    ("recipe", .string(recipe.name)), ("passed", .int(Int64(reports.count - failed))),
                    ("failed", .int(Int64(failed))), ("tests", .array(reports.map(\.json))),
                ]).description)
        }
        session.console.note("\(reports.count - failed) passed, \(failed) failed")
        return failed == 0 ? .done : .stageFailed
    }

    private func chosen(_ recipe: Recipe) throws -> [Run] {
        let only = session.arguments.list("only")
        for name in only where !recipe.tests.contains(where: { $0.name == name }) {
            let names = recipe.tests.map(\.name)
            throw ForgeError(
                .badInput, "\(recipe.name) has no test “\(name)”\(Suggestion.hint(for: name, in: names))",
                remedy: "tests: \(names.joined(separator: ", "))")
        }
        let firmware = session.arguments.value("firmware")
        let runs = recipe.tests.filter { only.isEmpty || only.contains($0.name) }.flatMap { test in
            test.firmware.filter { firmware == nil || $0.rawValue == firmware }.map { Run(test: test, firmware: $0) }
        }
        guard !runs.isEmpty else {
            throw ForgeError(.badInput, "no test of \(recipe.name) fits", remedy: "write `tests:` in its recipe.yaml")
        }
        return runs
    }

    private func perform(_ run: Run, _ recipe: Recipe, _ host: HostMachine) throws -> Report {
        let start = session.seconds
        session.console.note("boot \(run.name)")
        let scratch = try session.store().makeScratch("test")
        let machine = try machine(run, recipe, host, scratch.path)
        let guest = try Guest(machine, qemu: host.qemu, directory: scratch.path, time: session.time)
        defer { guest.stop() }
        var report = Report(name: run.name, seconds: 0, failures: [])
        let signals = try Signals()
        do {
            let limit = try session.arguments.number("timeout", least: 1).map(Double.init) ?? Double(run.test.seconds)
            let boot = try guest.waitForShell(seconds: limit) { signals.next() != nil }
            report.bootSeconds = boot
            session.console.note("      answers after \(Format.seconds(boot))")
            for check in run.test.checks {
                let failure = try MachineCheck(guest: guest, time: session.time).failure(check)
                let name = MachineCheck.name(check.check)
                session.console.note(failure == nil ? "  ok  \(name)" : "FAIL  \(name)")
                if let failure { report.failures.append("\(name): \(failure)") }
            }
        } catch let error as ForgeError where error.code == .stageFailed {
            report.failures.append(error.description)
        }
        report.seconds = session.seconds - start
        if report.failures.isEmpty {
            session.console.note("pass  \(run.name) (\(Format.seconds(report.seconds)))")
        } else {
            let kept = "\(session.outputDirectory(recipe))-console-\(run.test.name)-\(run.firmware.rawValue).log"
            try Files.write(kept, Array(guest.consoleText().utf8))
            for failure in report.failures {
                session.console.error(ForgeError(.stageFailed, "\(run.name): \(failure)"))
            }
            session.console.note("the console of that boot: \(session.layout.display(kept))")
        }
        return report
    }

    private func machine(_ run: Run, _ recipe: Recipe, _ host: HostMachine, _ scratch: String) throws -> VirtualMachine
    {
        let out = session.outputDirectory(recipe)
        let kernel = "\(out)/vmlinuz"
        var machine = VirtualMachine(
            medium: .cdrom(""), firmware: run.firmware == .uefi ? .uefi : .bios,
            acceleration: try host.acceleration(
                kernel: Files.exists(kernel) ? kernel : nil, asked: Host.environment("FORGE_ACCEL")),
            memory: try session.arguments.number("memory", least: 128) ?? Int(run.test.memory >> 20),
            processors: Int(run.test.cpus), sshPort: try Guest.freePort())
        switch run.test.medium {
        case .iso(let path): machine.medium = .cdrom("\(out)/\(path)")
        case .disk(let path): machine.medium = .disk("\(out)/\(path)")
        case .netboot(let kernel, let initrd, let commandLine):
            machine.medium = .kernel("\(out)/\(kernel)", initrd: "\(out)/\(initrd)", commandLine: commandLine)
        }
        for (i, size) in run.test.disks.enumerated() {
            let path = "\(scratch)/disk\(i)"
            try Files.makeSparse(path, size: size)
            machine.disks.append((path, "raw"))
        }
        if let seed = session.arguments.value("seed") {
            machine.seed = .image(seed)
        } else if !run.test.seed.isEmpty {
            let directory = "\(scratch)/seed"
            try Files.makeDirectories(directory)
            for file in run.test.seed { try Files.write("\(directory)/\(file.name)", file.content) }
            machine.seed = .directory(directory)
        } else if Files.exists("\(out)/seed.iso"), !session.arguments.has("no-seed") {
            machine.seed = .image("\(out)/seed.iso")
        }
        return machine
    }
}

/// Looks whether something holds in a guest, again until it does or its time is over.
struct MachineCheck {
    let guest: Guest
    let time: any TimeSource

    static func name(_ check: BootTest.Check) -> String {
        switch check {
        case .unit(let unit, let state): "\(unit) is \(state.rawValue)"
        case .command(let command, _, _): "`\(command.prefix(60))`"
        case .noFailedUnits: "no unit has failed"
        }
    }

    /// Why it does not hold; nil if it does.
    func failure(_ check: BootTest.TimedCheck) throws -> String? {
        let start = time.monotonic()
        while true {
            let failure = try look(check.check)
            if failure == nil || time.monotonic() - start > check.seconds * 1_000_000_000 { return failure }
            _ = try Poller.wait(fds: [], timeoutMilliseconds: 2000)
        }
    }

    private func look(_ check: BootTest.Check) throws -> String? {
        switch check {
        case .unit(let unit, let state):
            let found = trimmed(try guest.run("systemctl is-active \(unit.shellQuoted)").output)
            return found == state.rawValue ? nil : "it is \(found.isEmpty ? "unknown" : found)"
        case .noFailedUnits(let except):
            // What is still starting may fail yet.
            let state = trimmed(try guest.run("systemctl is-system-running").output)
            guard state == "running" || state == "degraded" else {
                return "the system is \(state.isEmpty ? "unknown" : state)"
            }
            let failed = try guest.run("systemctl list-units --failed --plain --no-legend").output
                .split(separator: "\n").compactMap { $0.split(separator: " ").first.map(String.init) }
                .filter { !except.contains($0) }
            return failed.isEmpty ? nil : "failed: \(failed.joined(separator: ", "))"
        case .command(let command, let exit, let expectation):
            let result = try guest.run(command)
            guard result.status == exit else {
                return "it ended with \(result.status), not \(exit): \(trimmed(result.output))"
            }
            switch expectation {
            case .anything: return nil
            case .exactly(let text):
                return trimmed(result.output) == trimmed(text)
                    ? nil : "it printed “\(trimmed(result.output))”, not “\(trimmed(text))”"
            case .containing(let text):
                return result.output.contains(text) ? nil : "“\(text)” is not in “\(trimmed(result.output))”"
            }
        }
    }

    private func trimmed(_ text: String) -> String {
        String(text.drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
    }
}
