import ForgeBase
import ForgeSystem

/// A virtual machine that boots an image: pure data, from which the QEMU command line is made.
struct VirtualMachine: Sendable {
    enum Firmware: String, Sendable, CaseIterable { case bios, uefi }

    /// How the guest's processor is made.
    enum Acceleration: Sendable, Equatable {
        case kvm
        /// QEMU's emulator, with one thread for each processor or one for all.
        case emulation(threads: Bool)
    }

    /// What the machine starts from.
    enum Medium: Sendable {
        case cdrom(String)
        /// A qcow2 disk; nothing is written to the file.
        case disk(String)
        /// Kernel and initramfs, as a network boot loader hands them over.
        case kernel(String, initrd: String, commandLine: String)
    }

    /// A cloud-init seed.
    enum Seed: Sendable {
        /// A file system image labelled `cidata`.
        case image(String)
        /// Its files; QEMU shows them as a FAT file system.
        case directory(String)
    }

    var medium: Medium
    var firmware: Firmware
    var acceleration: Acceleration
    /// MiB.
    var memory = 2048
    var processors = 2
    var seed: Seed?
    /// Raw or qcow2 disks to keep data on.
    var disks: [(path: String, format: String)] = []
    /// Port of the host's loopback that leads to the guest's port 22.
    var sshPort: Int
    /// systemd credentials, by name.
    var credentials: [(name: String, file: String)] = []
    /// Files of the UEFI firmware; only for `.uefi`.
    var firmwareFiles: (code: String, variables: String)?
    /// Where the serial console goes: `stdio`, or a file.
    var console: String = "stdio"

    /// The arguments of `qemu-system-x86_64`.
    var arguments: [String] {
        var list = [
            "-machine", "q35", "-m", String(memory), "-smp", String(processors), "-display", "none", "-no-reboot",
        ]
        switch acceleration {
        case .kvm: list += ["-accel", "kvm", "-cpu", "host"]
        case .emulation(let threads): list += ["-accel", "tcg,thread=\(threads ? "multi" : "single")", "-cpu", "max"]
        }
        if let files = firmwareFiles, firmware == .uefi {
            list += ["-drive", "if=pflash,format=raw,unit=0,readonly=on,file=\(escaped(files.code))"]
            list += ["-drive", "if=pflash,format=raw,unit=1,file=\(escaped(files.variables))"]
        }
        switch medium {
        case .cdrom(let path):
            list += ["-drive", "file=\(escaped(path)),media=cdrom,readonly=on,format=raw", "-boot", "d"]
        case .disk(let path):
            list += ["-drive", "file=\(escaped(path)),if=virtio,format=qcow2,snapshot=on"]
        case .kernel(let kernel, let initrd, let commandLine):
            list += ["-kernel", kernel, "-initrd", initrd, "-append", commandLine]
        }
        switch seed {
        case .image(let path): list += ["-drive", "file=\(escaped(path)),if=virtio,format=raw,readonly=on"]
        case .directory(let path):
            list += ["-drive", "if=none,id=seed,driver=vvfat,read-only=on,label=CIDATA,dir=\(escaped(path))"]
            list += ["-device", "virtio-blk-pci,drive=seed"]
        case nil: break
        }
        for disk in disks { list += ["-drive", "file=\(escaped(disk.path)),if=virtio,format=\(disk.format)"] }
        list += [
            "-netdev", "user,id=net0,hostfwd=tcp:127.0.0.1:\(sshPort)-:22", "-device", "virtio-net-pci,netdev=net0",
        ]
        list += ["-device", "virtio-rng-pci"]
        for credential in credentials {
            list += ["-fw_cfg", "name=opt/io.systemd.credentials/\(credential.name),file=\(escaped(credential.file))"]
        }
        list +=
            console == "stdio"
            ? ["-serial", "mon:stdio"] : ["-serial", "file:\(escaped(console))", "-monitor", "none"]
        return list
    }

    /// In QEMU's option lists a comma is written twice.
    private func escaped(_ path: String) -> String {
        path.split(separator: ",", omittingEmptySubsequences: false).joined(separator: ",,")
    }
}

/// What is known of a Linux image without running it.
enum KernelImage {
    /// The version text of a bzImage, for example `6.1.0-30-amd64`, as the boot protocol says where it is
    /// (Documentation/arch/x86/boot.rst, field `kernel_version`).
    static func version(of bytes: [UInt8]) -> String? {
        guard bytes.count > 0x210, Array(bytes[0x202..<0x206]) == Array("HdrS".utf8) else { return nil }
        let start = 0x200 + Int(bytes[0x20e]) + Int(bytes[0x20f]) << 8
        guard start < bytes.count else { return nil }
        let text = bytes[start...].prefix(200).prefix { $0 > 0x20 && $0 < 0x7f }
        return text.isEmpty ? nil : String(decoding: text, as: UTF8.self)
    }
}
