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
        /// `netboot.ipxe` of a folder, which a web server shows: the program that serves one request from its standard
        /// input to its standard output.
        case netboot(folder: String, server: String)
        case nothing
    }

    /// A kernel that QEMU starts in place of a boot loader.
    struct Kernel: Sendable {
        var image: String
        var initrd: String
        var commandLine: String
    }

    /// How the machine is reached.
    enum Network: Sendable {
        /// QEMU's own network: a port of the host's loopback leads to the guest's port 22.
        case user(sshPort: Int)
        /// A tap: the machine has an address of its own.
        case tap(String, hardwareAddress: String, address: String)

        /// Where its SSH is.
        var ssh: (address: String, port: Int) {
            switch self {
            case .user(let port): ("127.0.0.1", port)
            case .tap(_, _, let address): (address, 22)
            }
        }
    }

    /// A cloud-init seed.
    enum Seed: Sendable {
        /// A file system image labelled `cidata`.
        case image(String)
        /// Its files; QEMU shows them as a FAT file system.
        case directory(String)
    }

    var medium: Medium
    var kernel: Kernel?
    var firmware: Firmware
    var acceleration: Acceleration
    /// MiB.
    var memory = 2048
    var processors = 2
    /// Raw or qcow2 disks to keep data on; the guest has them as `/dev/vda`, `/dev/vdb` … in this order, behind a disk
    /// that it starts from.
    var disks: [(path: String, format: String)] = []
    var seed: Seed?
    var network: Network
    /// systemd credentials, by name.
    var credentials: [(name: String, file: String)] = []
    /// Files of the UEFI firmware; only for `.uefi`.
    var firmwareFiles: (code: String, variables: String)?
    /// Where the serial console goes: `stdio`, or a file that it is added to.
    var console: String = "stdio"

    /// The arguments of `qemu-system-x86_64`.
    var arguments: [String] {
        ["-machine", "q35", "-m", String(memory), "-smp", String(processors), "-display", "none", "-no-reboot"]
            + processor + firmwareDrives + drives + networkCard + ["-device", "virtio-rng-pci"]
            + credentials.flatMap {
                ["-fw_cfg", "name=opt/io.systemd.credentials/\($0.name),file=\(escaped($0.file))"]
            } + serial
    }

    private var processor: [String] {
        switch acceleration {
        case .kvm: ["-accel", "kvm", "-cpu", "host"]
        case .emulation(let threads): ["-accel", "tcg,thread=\(threads ? "multi" : "single")", "-cpu", "max"]
        }
    }

    private var firmwareDrives: [String] {
        guard let files = firmwareFiles, firmware == .uefi else { return [] }
        return [
            "-drive", "if=pflash,format=raw,unit=0,readonly=on,file=\(escaped(files.code))",
            "-drive", "if=pflash,format=raw,unit=1,file=\(escaped(files.variables))",
        ]
    }

    /// Every disk is a device of its own, because QEMU puts those before the ones that a drive brings along, and the guest
    /// numbers them in the order in which they come.
    private var drives: [String] {
        var list: [String] = []
        func attach(_ id: String, _ options: String) {
            list += ["-drive", "if=none,id=\(id),\(options)", "-device", "virtio-blk-pci,drive=\(id)"]
        }
        switch medium {
        case .cdrom(let path):
            list += ["-drive", "file=\(escaped(path)),media=cdrom,readonly=on,format=raw", "-boot", "d"]
        case .disk(let path): attach("medium", "file=\(escaped(path)),format=qcow2,snapshot=on")
        case .netboot, .nothing: break
        }
        if let kernel {
            list += ["-kernel", kernel.image, "-initrd", kernel.initrd, "-append", kernel.commandLine]
        }
        for (number, disk) in disks.enumerated() {
            attach("disk\(number)", "file=\(escaped(disk.path)),format=\(disk.format)")
        }
        switch seed {
        case .image(let path): attach("seed", "file=\(escaped(path)),format=raw,readonly=on")
        case .directory(let path): attach("seed", "driver=vvfat,read-only=on,label=CIDATA,dir=\(escaped(path))")
        case nil: break
        }
        return list
    }

    private var networkCard: [String] {
        guard case .user(let port) = network else { return tapCard }
        var options = "user,id=net0,hostfwd=tcp:127.0.0.1:\(port)-:22"
        guard case .netboot(let folder, let server) = medium else {
            return ["-netdev", options, "-device", "virtio-net-pci,netdev=net0"]
        }
        // The server is an address of QEMU's own network, which starts the program for each connection: no port of the
        // host, and nothing that outlives the machine. What the host has configured for a server is not read.
        let command = "\(server) httpd -i -c /dev/null -h \(folder.shellQuoted)"
        options += ",bootfile=http://10.0.2.100/netboot.ipxe,guestfwd=tcp:10.0.2.100:80-cmd:\(escaped(command))"
        return ["-netdev", options, "-device", "virtio-net-pci,netdev=net0,bootindex=0"]
    }

    private var tapCard: [String] {
        guard case .tap(let name, let hardwareAddress, _) = network else { return [] }
        return [
            "-netdev", "tap,id=net0,ifname=\(name),script=no,downscript=no", "-device",
            "virtio-net-pci,netdev=net0,mac=\(hardwareAddress)",
        ]
    }

    private var serial: [String] {
        guard console != "stdio" else { return ["-serial", "mon:stdio"] }
        return [
            "-chardev", "file,id=console,path=\(escaped(console)),append=on", "-serial", "chardev:console", "-monitor",
            "none",
        ]
    }

    /// In QEMU's option lists a comma is written twice.
    private func escaped(_ path: String) -> String {
        path.split(separator: ",", omittingEmptySubsequences: false).joined(separator: ",,")
    }
}
