import ForgeBase
import Testing

@testable import ForgeSystem

@Suite struct HostTests {
    @Test func kernelVersionsAreReadWithTheirSuffixes() {
        #expect(Host.parseVersion("6.1.0-37-amd64") == (6, 1))
        #expect(Host.parseVersion("5.15.153.1-microsoft-standard-WSL2") == (5, 15))
        #expect(Host.parseVersion("7") == (7, 0))
        #expect(Host.kernelVersion.major > 4)
    }

    /// The first directory of PATH that has it, before those of the system.
    @Test func programsAreFoundByPATH() throws {
        let lab = try Lab()
        _ = try lab.directory("first")
        for name in ["forge-made-up", "true"] {
            _ = try lab.write("first/" + name, "#!/bin/sh\necho found \(name)\n", mode: 0o755)
            let command = Command(
                Lab.probe, ["plain", name], environment: [("PATH", "/no/such:\(lab.path)/first:/usr/bin:/bin")])
            #expect(String(decoding: try command.run().output, as: UTF8.self) == "found \(name)\n")
        }
    }

    @Test func theMachineIsDescribed() {
        #expect(Host.coreCount >= 1)
        #expect(Host.memory > 1 << 20)
        #expect(!Host.userName.isEmpty)
        #expect(Host.findProgram("sh")?.hasSuffix("/sh") == true)
        #expect(Host.findProgram("no-such-program") == nil)
    }
}
