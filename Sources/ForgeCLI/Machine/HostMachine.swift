import ForgeBase
import ForgeSystem
import Glibc

/// What this host has to boot images with.
struct HostMachine {
    let qemu: String
    /// For example 7 of 7.2.
    let qemuMajor: Int

    /// - Throws: `.unsupportedHost` if there is no QEMU.
    init() throws {
        guard let path = Host.findProgram("qemu-system-x86_64") else {
            throw ForgeError(
                .unsupportedHost, "there is no qemu-system-x86_64 in PATH",
                remedy: "apt install qemu-system-x86, or run ci/setup --test")
        }
        qemu = path
        let output = try Command(path, ["--version"]).outputOrThrow()
        let text = String(decoding: output, as: UTF8.self)
        qemuMajor =
            text.split(separator: " ").first { $0.first?.isNumber == true }
            .flatMap { $0.split(separator: ".").first }.flatMap { Int($0) } ?? 0
    }

    /// UEFI firmware as distributions ship it: code, and a template of variables.
    static func firmware() throws -> (code: String, variables: String) {
        let known = [
            ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
            ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
            ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
        ]
        guard let found = known.first(where: { Files.exists($0.0) && Files.exists($0.1) }) else {
            throw ForgeError(
                .unsupportedHost, "there is no UEFI firmware for QEMU on this host",
                details: known.map { "looked for \($0.0)" }, remedy: "apt install ovmf, or --firmware bios")
        }
        return found
    }

    /// What shows a folder to machines that boot from the network; see `VirtualMachine.Medium.netboot`.
    static func webServer() throws -> String {
        if let path = Host.findProgram("busybox") { return path }
        throw ForgeError(
            .unsupportedHost, "there is no busybox, whose web server shows a netboot folder to the machine",
            remedy: "apt install busybox, or run ci/setup --test")
    }

    /// KVM if it really boots a kernel here, else the emulator. /dev/kvm may be there and even start without ever
    /// getting anywhere (nested virtual machines), so a kernel is started and must say its first line.
    ///
    /// QEMU before 8 lets newer kernels crash at random when it emulates several processors with several threads.
    func acceleration(kernel: String?, asked: String?) throws -> VirtualMachine.Acceleration {
        let version = try kernel.flatMap { KernelImage.version(of: try Files.read($0)) }
        let old = version.map { $0.hasPrefix("6.1.") || $0.hasPrefix("5.") } ?? false
        let emulation = VirtualMachine.Acceleration.emulation(threads: qemuMajor >= 8 || old)
        switch asked {
        case "kvm": return .kvm
        case "tcg": return emulation
        default:
            guard let kernel, access("/dev/kvm", R_OK | W_OK) == 0 else { return emulation }
            return try kvmBoots(kernel) ? .kvm : emulation
        }
    }

    private func kvmBoots(_ kernel: String) throws -> Bool {
        let child = try Command(
            qemu,
            [
                "-accel", "kvm", "-cpu", "host", "-m", "256", "-display", "none", "-no-reboot", "-monitor", "none",
                "-serial", "stdio", "-kernel", kernel, "-append", "console=ttyS0 earlyprintk=serial panic=-1",
            ]
        ).start()
        defer { child.kill() }
        var seen: [UInt8] = []
        let deadline = SystemTime().monotonic() + 4_000_000_000
        while SystemTime().monotonic() < deadline {
            _ = try Poller.wait(fds: [child.output], timeoutMilliseconds: 100)
            guard let piece = try child.readOutput() else { break }
            seen += piece
            if String(decoding: seen, as: UTF8.self).contains("Linux version") { return true }
        }
        return false
    }
}
