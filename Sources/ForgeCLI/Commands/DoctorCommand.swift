import ForgeBase
import ForgeSystem
import Glibc

/// `forge doctor`: everything that forge needs of a host, looked at, with the remedy beside what is missing.
struct DoctorCommand {
    let session: Session

    private struct Finding {
        enum Grade: String { case ok, warning, missing }
        var grade: Grade
        var what: String
        var remedy: String?
    }

    func run() throws -> ExitCode {
        var findings: [Finding] = []
        findings.append(check("kernel \(Host.kernelRelease)") { try Host.checkKernel() })
        findings.append(check("forge-helper beside forge") { _ = try session.helper() })
        findings.append(
            check("user, mount, pid, ipc, uts and network namespaces") {
                _ = try Command(session.helper(), ["ready"], namespaces: .private(network: false)).outputOrThrow(
                    code: .unsupportedHost)
            })
        for (program, package, purpose) in [
            ("gpgv", "gpgv", "verifies archives' signatures"),
            ("qemu-system-x86_64", "qemu-system-x86", "forge run and forge test"),
            ("ssh", "openssh-client", "forge test"), ("busybox", "busybox", "forge run --netboot"),
            ("mke2fs", "e2fsprogs", "forge run --disk"), ("dot", "graphviz", "forge graph --format svg"),
        ] {
            let needed = program == "gpgv"
            let found = Host.findProgram(program)
            findings.append(
                Finding(
                    grade: found != nil ? .ok : needed ? .missing : .warning,
                    what: found ?? "no \(program) (\(purpose))", remedy: found == nil ? "apt install \(package)" : nil))
        }
        do {
            try Bridge.check()
            findings.append(Finding(grade: .ok, what: "network interfaces for forge test --join"))
        } catch {
            findings.append(
                Finding(grade: .warning, what: "\(error.message) (forge test --join)", remedy: error.remedy))
        }
        let keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
        findings.append(
            Files.exists(keyring)
                ? Finding(grade: .ok, what: keyring)
                : Finding(grade: .missing, what: "no \(keyring)", remedy: "apt install debian-archive-keyring"))
        findings.append(disk(try session.cacheDirectory()))
        return report(findings)
    }

    private func check(_ what: String, _ body: () throws -> Void) -> Finding {
        do {
            try body()
            return Finding(grade: .ok, what: what)
        } catch {
            let known = error as? ForgeError
            return Finding(
                grade: .missing, what: "\(what): \(known?.message ?? "\(error)")", remedy: known?.remedy)
        }
    }

    /// A cold build of a node image takes about 4 GB of cache.
    private func disk(_ cache: String) -> Finding {
        var info = statvfs()
        guard statvfs(cache, &info) == 0 else {
            return Finding(grade: .warning, what: "cannot look at the disk of \(cache)")
        }
        let free = Int64(info.f_bavail) * Int64(info.f_frsize)
        let text = "\(Format.bytes(free)) free in \(cache)"
        return free > 8_000_000_000
            ? Finding(grade: .ok, what: text)
            : Finding(grade: .warning, what: text, remedy: "a build takes some GB: free space, or --cache DIR")
    }

    private func report(_ findings: [Finding]) -> ExitCode {
        let console = session.console
        let missing = findings.contains { $0.grade == .missing }
        if console.json {
            console.result(
                JSON.array(
                    findings.map {
                        .object([
                            ("grade", .string($0.grade.rawValue)), ("what", .string($0.what)),
                            ("remedy", $0.remedy.map(JSON.string) ?? .null),
                        ])
                    }
                ).pretty(depth: 1))
        } else {
            for finding in findings {
                let style: Console.Style = finding.grade == .ok ? .green : finding.grade == .warning ? .yellow : .red
                let grade = finding.grade.rawValue
                console.result(
                    "\(console.styled(grade, style))\(String(repeating: " ", count: 9 - grade.count))\(finding.what)")
                if let remedy = finding.remedy { console.result("         → \(remedy)") }
            }
        }
        return missing ? .unsupportedHost : .done
    }
}
