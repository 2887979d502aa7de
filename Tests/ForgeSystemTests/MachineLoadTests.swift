import Testing

@testable import ForgeSystem

@Suite struct MachineLoadTests {
    @Test func theKernelsTablesAreRead() {
        let load = MachineLoad(
            stat: "cpu  100 20 30 4000 50 6 7 8 9 9\ncpu0 1 1 1 1 1 1 1 1 1 1\nintr 5\n",
            diskstats:
                "   8 0 sda 10 0 2000 5 6 0 100 9 0 1 1\n   8 1 sda1 10 0 999 5 6 0 999 9 0 1 1\n 7 0 loop0 1 1 77 1\n",
            meminfo: "MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable:     400 kB\n", disks: ["sda"], ticks: 100)
        #expect(abs(load.busy - 1.71) < 1e-9 && load.waiting == 0.5)
        #expect(load.disk?.read == 1_024_000 && load.disk?.written == 51_200, "partitions don't count twice")
        #expect(load.memory == 614_400)
    }

    @Test func whatIsMissingIsNothing() {
        let load = MachineLoad(stat: "", diskstats: nil, meminfo: "", disks: [], ticks: 100)
        #expect(load.busy == 0 && load.disk == nil && load.memory == 0)
    }

    @Test func thisMachineHasALoad() {
        let load = MachineLoad(disks: MachineLoad.disks)
        #expect(load.busy > 0 && load.memory > 0)
    }
}
