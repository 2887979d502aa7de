import ForgeBase
import ForgeSystem
import Testing

/// `forge run` with a program in place of QEMU that says how it was started.
@Suite(.enabled(if: Host.findProgram("mke2fs") != nil && Host.findProgram("ssh-keygen") != nil))
struct RunCommandTests {
    let project: TinyProject

    init() throws {
        project = try TinyProject()
        try project.edit("rootfs.tar.zst: tarball.archive", "node.iso: tarball.archive")
        try project.write(
            "bin/qemu-system-x86_64",
            "#!/bin/sh\ncase $1 in --version) echo QEMU emulator version 7.2.0 ;; *) echo \"$@\"; esac\n")
        _ = try Command("chmod", ["+x", project.path + "/bin/qemu-system-x86_64"]).outputOrThrow()
    }

    private func run(_ words: String..., expecting status: Int32 = 0) throws -> String {
        var environment = Command.plainEnvironment
        environment[0].1 = project.path + "/bin:" + environment[0].1
        let command = Command(
            TinyProject.forge, ["run", "tiny"] + words, environment: environment, directory: project.path)
        let (report, output) = try command.run()
        let text = String(decoding: output, as: UTF8.self)
        #expect(report.status == .exited(status), "\(text)")
        return text
    }

    /// Paths are those of the directory that forge was called in, not of the one that QEMU runs in.
    @Test func aDiskIsMadeWhereItWasNamed() throws {
        let first = try run("--disk", "data.img", "--no-seed")
        let disk = project.path + "/data.img"
        #expect(first.contains("ext4, labelled FORGE_DATA"))
        #expect(first.contains("id=disk0,file=\(disk),format=raw"))
        let status = try #require(try Files.status(disk))
        #expect(status.size == 8 << 30)
        let head = try FileDescriptor(opening: disk).read(upTo: 4096)
        #expect(Array(head[1080..<1082]) == [0x53, 0xef], "the magic number of ext4")

        // One that is there is taken as it is.
        try Files.write(disk, "somebody's")
        let second = try run("--disk", "data.img", "--seed", "my.iso")
        #expect(!second.contains("FORGE_DATA"))
        #expect(second.contains("id=seed,file=\(project.path)/my.iso"))
        #expect(try Files.read(disk) == Array("somebody's".utf8))
    }

    @Test func aDiskThatForgeCannotMakeIsRefused() throws {
        let text = try run("--disk", "data.qcow2", expecting: ExitCode.badInput.rawValue)
        #expect(text.contains("forge makes raw disk images only") && text.contains("qemu-img create -f qcow2"))
        #expect(!Files.exists(project.path + "/data.qcow2"))
    }

    @Test func aRecipeWithoutANetbootFolderSaysSo() throws {
        let text = try run("--netboot", expecting: ExitCode.badInput.rawValue)
        #expect(text.contains("tiny has no folder to boot from the network"))
    }
}
