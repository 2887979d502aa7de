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

    @Test func theMachineIsDescribed() {
        #expect(Host.coreCount >= 1)
        #expect(Host.memory > 1 << 20)
        #expect(!Host.userName.isEmpty)
        #expect(Host.findProgram("sh")?.hasSuffix("/sh") == true)
        #expect(Host.findProgram("no-such-program") == nil)
    }
}
