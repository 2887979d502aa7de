import ForgeBase
import ForgeRecipe
import ForgeStore
import ForgeSystem
import Glibc
import Testing

@testable import ForgeCLI

/// The network and the control plane of a test, with a shell script of busybox for Kubernetes.
@Suite(
    .enabled(if: Files.exists(BuildProject.busybox), "needs busybox-static"),
    .enabled(if: access("/dev/net/tun", R_OK | W_OK) == 0, "needs /dev/net/tun"))
struct ClusterTests {
    let project: BuildProject
    let programs: Cluster.Programs

    init() throws {
        project = try BuildProject()
        let store = try Store(directory: project.root + "/cache", sweeping: false)
        let tree = try TreeReader.ingest(
            directory: project.root + "/stages/build-roots/root", into: store, jobs: 1)
        programs = Cluster.Programs(
            root: try tree.save(in: store), cache: project.root + "/cache",
            helper: Files.parent(of: TinyProject.forge) + "/forge-helper")
        try store.flush()
    }

    func cluster(_ script: String, machines: Int = 1, seconds: Int64 = 60) throws -> Cluster {
        try project.write("tests/run", "#!/bin/sh\nset -eu\n\(script)\n")
        try project.write("tests/hello", "from beside the script")
        let setup = BootTest.Cluster(
            root: OutputReference(stage: "s", output: "o"), script: project.root + "/tests/run",
            shownScript: "tests/run", environment: [Variable(name: "COLOUR", value: "red")], seconds: seconds)
        return try Cluster(
            setup, programs, machines: machines, time: SystemTime(), signals: try Signals(catching: []))
    }

    @Test func theScriptMakesSeedsAndCommandsRunBesideIt() throws {
        let cluster = try cluster(
            """
            while read -r number address mac; do
                echo "$address $mac $COLOUR" > machine-$number/user-data; : > machine-$number/meta-data
            done < machines
            busybox nc -ll -p 7000 -e echo served &
            echo started
            touch ready
            wait
            """, machines: 2)
        defer { cluster.stop() }
        _ = try cluster.waitUntilReady()
        guard case .directory(let folder) = try cluster.seed(of: Cluster.Place(number: 2)) else {
            Issue.record("the seed is no folder")
            return
        }
        let text = String(decoding: try Files.read(folder + "/user-data"), as: UTF8.self)
        #expect(text == "10.77.0.12/24 52:54:00:77:00:02 red\n")
        // The same network, folder and scripts, and a process of its own.
        let found = try cluster.run(
            "until busybox nc 10.77.0.1 7000; do sleep 1; done; cat /tests/hello; echo; pwd; exit 3", seconds: 20)
        #expect(found.output == "served\nfrom beside the script\n/cluster\n")
        #expect(found.status == 3)
        #expect(try cluster.logs() == "==> control-plane.log <==\nstarted\n\n")
    }

    @Test func aScriptThatFailsIsShown() throws {
        let cluster = try cluster("echo no etcd >&2; exit 4")
        defer { cluster.stop() }
        let error = #expect(throws: ForgeError.self) { try cluster.waitUntilReady() }
        #expect(error?.message == "tests/run exited with 4")
        #expect(error?.details == ["│ no etcd"])
    }

    @Test func aScriptThatIsNeverReadyIsStopped() throws {
        let number = "9\(getpid())"
        let cluster = try cluster("sleep \(number)", seconds: 1)
        let error = #expect(throws: ForgeError.self) { try cluster.waitUntilReady() }
        #expect(error?.message == "tests/run was not ready within 1.0 s")
        cluster.stop()
        let left = try Command("/bin/sh", ["-c", "grep -lz '^\(number)$' /proc/[0-9]*/cmdline 2>/dev/null; true"]).run()
        #expect(left.output.isEmpty)
    }

    @Test func aSeedThatIsMissingIsNamed() throws {
        let cluster = try cluster("touch machine-1/user-data ready; sleep 60")
        defer { cluster.stop() }
        _ = try cluster.waitUntilReady()
        let error = #expect(throws: ForgeError.self) { try cluster.seed(of: Cluster.Place(number: 1)) }
        #expect(error?.message == "tests/run made no machine-1/meta-data")
    }
}
