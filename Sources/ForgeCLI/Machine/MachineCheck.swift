import ForgeBase
import ForgeRecipe
import ForgeSystem

/// Looks whether something holds in a guest, again until it does or its time is over.
struct MachineCheck {
    let guest: Guest
    /// The disks of the test.
    var disks: [TestDisk] = []
    /// Where a command is run; nil: in the guest.
    var cluster: Cluster?

    static func name(_ check: BootTest.Check) -> String {
        switch check {
        case .unit(let unit, let state): "\(unit) is \(state.rawValue)"
        case .command(let command, _, _): "`\(command.prefix(60))`"
        case .noFailedUnits: "no unit has failed"
        case .reboot: "reboot"
        case .unchanged(let disk): "disk \(disk) is unchanged"
        }
    }

    /// Why it does not hold; nil if it does.
    func failure(_ check: BootTest.TimedCheck) throws -> String? {
        let end = guest.seconds + Double(check.seconds)
        // A machine starts once, however long it takes.
        if check.check == .reboot {
            try guest.reboot(seconds: Double(check.seconds))
            return nil
        }
        while true {
            let failure: String?
            do {
                failure = try look(check.check, seconds: max(10, end - guest.seconds))
            } catch let error as ForgeError where error.code == .stageFailed {
                failure = error.message
            }
            if failure == nil || guest.seconds > end { return failure }
            try guest.pause(milliseconds: 2000)
        }
    }

    private func look(_ check: BootTest.Check, seconds: Double) throws -> String? {
        switch check {
        case .unit(let unit, let state):
            let found = try guest.run("systemctl is-active \(unit.shellQuoted)").output.trimmed
            return found == state.rawValue ? nil : "it is \(found.isEmpty ? "unknown" : found)"
        case .noFailedUnits(let except):
            // What is still starting may fail yet.
            let state = try guest.run("systemctl is-system-running").output.trimmed
            guard state == "running" || state == "degraded" else {
                return "the system is \(state.isEmpty ? "unknown" : state)"
            }
            let failed = try guest.run("systemctl list-units --failed --plain --no-legend").output
                .split(separator: "\n").compactMap { $0.split(separator: " ").first.map(String.init) }
                .filter { !except.contains($0) }
            return failed.isEmpty ? nil : "failed: \(failed.joined(separator: ", "))"
        case .command(let command, let exit, let expectation):
            let result =
                try cluster?.run(command, seconds: seconds) ?? guest.run(command, seconds: seconds)
            return MachineCheck.fault(of: result, exit, expectation)
        case .reboot: return nil
        case .unchanged(let disk):
            // What the guest has written may still be in its memory.
            let sync = try guest.run("sync")
            guard sync.status == 0 else { return "sync ended with \(sync.status)" }
            return try disks[disk].difference()
        }
    }

    /// How the end of a command differs from what a test wants; nil if it does not.
    static func fault(
        of result: (status: Int32, output: String), _ exit: Int32, _ expectation: BootTest.Expectation
    ) -> String? {
        let output = result.output.trimmed
        guard result.status == exit else { return "it ended with \(result.status), not \(exit): \(output)" }
        switch expectation {
        case .anything: return nil
        case .exactly(let text):
            return output == text.trimmed ? nil : "it printed “\(output)”, not “\(text.trimmed)”"
        case .containing(let text):
            return result.output.contains(text) ? nil : "“\(text)” is not in “\(output)”"
        }
    }
}

/// A disk of a test, and what it was when the test began.
struct TestDisk {
    let path: String
    private let digest: Digest

    init(_ disk: BootTest.Disk, at path: String) throws {
        switch disk.format {
        case .blank: try Files.makeSparse(path, size: disk.size)
        case .ext4: try DataDisk.make(path, size: disk.size, label: disk.label)
        }
        self.path = path
        digest = try TestDisk.digest(path)
    }

    /// How its bytes differ from those it had; nil if they do not.
    func difference() throws -> String? {
        let found = try TestDisk.digest(path)
        return found == digest ? nil : "its SHA-256 was \(digest.hex) and is \(found.hex)"
    }

    private static func digest(_ path: String) throws -> Digest {
        let file = try FileDescriptor(opening: path)
        var hasher = SHA256()
        try file.each { hasher.update($0) }
        return hasher.finish()
    }
}
