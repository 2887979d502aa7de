import ForgeBase
import ForgeRecipe
import ForgeSystem
import Testing

@testable import ForgeCLI

@Suite struct VirtualMachineTests {
    @Test func theCommandLineNamesEverythingThatIsAttached() {
        var machine = VirtualMachine(
            medium: .cdrom("/out/a,b.iso"), firmware: .uefi, acceleration: .emulation(threads: false),
            network: .user(sshPort: 2222))
        machine.firmwareFiles = ("/code", "/variables")
        machine.seed = .directory("/seed")
        machine.disks = [("/disk", "raw")]
        machine.console = "/console"
        let line = machine.arguments.joined(separator: " ")
        #expect(line.contains("tcg,thread=single"))
        #expect(line.contains("file=/out/a,,b.iso,media=cdrom,readonly=on"), "a comma in a path is doubled")
        #expect(line.contains("unit=0,readonly=on,file=/code") && line.contains("unit=1,file=/variables"))
        #expect(line.contains("driver=vvfat,read-only=on,label=CIDATA,dir=/seed"))
        #expect(line.contains("hostfwd=tcp:127.0.0.1:2222-:22"))
        #expect(line.contains("file,id=console,path=/console,append=on -serial chardev:console"))
    }

    /// The guest numbers its disks in the order of the devices: those of a test come before the seed.
    @Test func disksComeBeforeTheSeed() throws {
        var machine = VirtualMachine(
            medium: .cdrom("/out/a.iso"), firmware: .bios, acceleration: .kvm, network: .user(sshPort: 1))
        machine.kernel = VirtualMachine.Kernel(image: "/k", initrd: "/i", commandLine: "forge.media=X a=b")
        machine.disks = [("/one", "raw"), ("/two", "qcow2")]
        machine.seed = .image("/seed.iso")
        let line = machine.arguments.joined(separator: " ")
        #expect(line.contains("-kernel /k -initrd /i -append forge.media=X a=b"))
        let devices = machine.arguments.filter { $0.hasPrefix("virtio-blk-pci") }
        #expect(devices == ["disk0", "disk1", "seed"].map { "virtio-blk-pci,drive=\($0)" })
        #expect(line.contains("if=none,id=disk1,file=/two,format=qcow2"))
    }

    /// The web server is an address of QEMU's own network; a folder's name is safe from its shell and from its lists.
    @Test func aFolderIsBootedFromTheNetwork() {
        let machine = VirtualMachine(
            medium: .netboot(folder: "/my out,put", server: "/bin/busybox"), firmware: .bios, acceleration: .kvm,
            network: .user(sshPort: 7))
        let options = machine.arguments.first { $0.hasPrefix("user,") }
        #expect(
            options == "user,id=net0,hostfwd=tcp:127.0.0.1:7-:22,bootfile=http://10.0.2.100/netboot.ipxe,"
                + "guestfwd=tcp:10.0.2.100:80-cmd:/bin/busybox httpd -i -c /dev/null -h '/my out,,put'")
        #expect(machine.arguments.contains("virtio-net-pci,netdev=net0,bootindex=0"))
        #expect(!machine.arguments.contains("-boot"))
    }

    @Test func aMachineOfAClusterIsOnItsTap() {
        let place = Cluster.Place(number: 2)
        let machine = VirtualMachine(
            medium: .cdrom("/a.iso"), firmware: .bios, acceleration: .kvm,
            network: .tap(place.tap, hardwareAddress: place.hardwareAddress, address: place.address))
        #expect(machine.arguments.contains("tap,id=net0,ifname=tap2,script=no,downscript=no"))
        #expect(machine.arguments.contains("virtio-net-pci,netdev=net0,mac=52:54:00:77:00:02"))
        #expect(machine.network.ssh == ("10.77.0.12", 22))
        #expect(!machine.arguments.contains { $0.contains("hostfwd") })
    }

    @Test func theLabelOfAnISOIsRead() throws {
        let project = try TinyProject()
        var bytes = [UInt8](repeating: 0, count: 17 * 2048)
        bytes[16 * 2048] = 1
        bytes.replaceSubrange(16 * 2048 + 1..<16 * 2048 + 6, with: Array("CD001".utf8))
        bytes.replaceSubrange(16 * 2048 + 40..<16 * 2048 + 72, with: Array("FORGE_0A1B2C3D                  ".utf8))
        try Files.write(project.path + "/a.iso", bytes)
        #expect(try ISOImage.label(of: project.path + "/a.iso") == "FORGE_0A1B2C3D")
        try Files.write(project.path + "/b.iso", Array("short".utf8))
        #expect(throws: ForgeError.self) { try ISOImage.label(of: project.path + "/b.iso") }
    }

    @Test func aDataDiskIsMadeOnceAndNeverOverAFile() throws {
        let project = try TinyProject()
        let path = project.path + "/data.img"
        try DataDisk.make(path, size: 16 << 20, label: DataDisk.label)
        let bytes = try Files.read(path)
        // The superblock of ext4: magic number and volume name.
        #expect(Array(bytes[1024 + 56..<1024 + 58]) == [0x53, 0xef])
        #expect(String(decoding: bytes[1024 + 120..<1024 + 130], as: UTF8.self) == "FORGE_DATA")
        #expect(throws: ForgeError.self) { try DataDisk.make(path, size: 16 << 20, label: "OTHER") }
        #expect(try Files.read(path) == bytes)
    }

    @Test func aDiskOfATestKnowsWhetherItsBytesHaveChanged() throws {
        let project = try TinyProject()
        let disk = try TestDisk(
            BootTest.Disk(size: 1 << 20, format: .blank, label: ""), at: project.path + "/disk0")
        #expect(try disk.difference() == nil)
        try Files.write(disk.path, [UInt8](repeating: 1, count: 1 << 20))
        #expect(try disk.difference()?.contains("SHA-256") == true)
    }

    @Test func aDiskIsNeverWrittenTo() {
        let machine = VirtualMachine(
            medium: .disk("/d.qcow2"), firmware: .bios, acceleration: .kvm, network: .user(sshPort: 1))
        #expect(machine.arguments.contains("if=none,id=medium,file=/d.qcow2,format=qcow2,snapshot=on"))
    }

    @Test func theKernelsVersionIsReadFromTheImage() {
        var image = [UInt8](repeating: 0, count: 0x600)
        image.replaceSubrange(0x202..<0x206, with: Array("HdrS".utf8))
        image[0x20f] = 0x03
        image.replaceSubrange(0x500..<0x50f, with: Array("6.1.0-56-amd64 ".utf8))
        #expect(KernelImage.version(of: image) == "6.1.0-56-amd64")
        #expect(KernelImage.version(of: Array("not a kernel".utf8)) == nil)
    }
}
