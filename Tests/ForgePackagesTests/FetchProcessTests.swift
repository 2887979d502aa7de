import ForgeBase
import ForgePackages
import ForgeRecipe
import ForgeStore
import ForgeSystem
import Glibc
import Testing

/// Downloads in a process of their own, as `forge` runs them: killed, resumed, behind a proxy.
@Suite struct FetchProcessTests {
    let scratch = Scratch()
    let body = content(3_000_000)
    var cache: String { scratch.path + "/cache" }

    /// `forge-helper`, beside the tests.
    private static let helper: String = {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = readlink("/proc/self/exe", &buffer, buffer.count)
        let own = String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
        let beside = Files.parent(of: own) + "/forge-helper"
        return Files.exists(beside) ? beside : Files.parent(of: #filePath) + "/../../.build/debug/forge-helper"
    }()

    private func request(mirror: String) throws -> [UInt8] {
        let suite = LockedArchive(
            archive: "debian", suite: "bookworm", codename: "bookworm", components: ["main"], date: 1,
            release: Digest.of("Release"), signedBy: "", indexes: [])
        let package = LockedPackage(
            name: "thing", version: "1.0", architecture: "all", digest: Digest.of(body), path: "pool/thing.deb",
            archive: "debian", suite: "bookworm", source: "thing", sourceVersion: "1.0")
        let lock = LockEntry(
            id: "packages", parameters: [:], locker: "debian", request: .object([]), date: 1,
            body: .debian(DebianLock(snapshot: "19700101T000001Z", archives: [suite], packages: [package])))
        let store = try Store(directory: cache)
        let locked = try store.put(Array(lock.json.description.utf8))
        try store.flush()
        let text = """
            {"action": "a/packages", "stage": "debian-packages", "run": "builtin:debian-packages", "stage_digest": "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881/1",
             "options": {"repositories": []}, "inputs": [], "outputs": [{"name": "packages", "kind": "tree"}],
             "locked": "\(locked)", "epoch": 0, "architecture": "amd64", "seed": "\(locked)", "cache": "\(cache)",
             "scratch": "\(scratch.path)", "jobs": 1, "mirrors": {"debian": ["\(mirror)"]}, "snapshots": {}}
            """
        return Array(text.utf8)
    }

    private func start(mirror: String, environment: [(String, String)] = []) throws -> Child {
        try Command(
            FetchProcessTests.helper, ["run"], environment: Command.plainEnvironment + environment,
            input: .bytes(request(mirror: mirror)), output: .null, events: true
        ).start()
    }

    private func wait(_ child: Child) throws -> ExitReport {
        while true {
            if let report = try child.reap() { return report }
            usleep(2000)
        }
    }

    @Test(arguments: [SIGKILL, SIGTERM])
    func aKilledDownloadGoesOnWhereItStopped(_ signal: Int32) throws {
        let slow = FetchServer { [body] _ in .init(body: body, pace: 2) }
        let child = try start(mirror: slow.url)
        while slow.sent("/pool/thing.deb") < 1_000_000 {
            try #require(try child.reap() == nil)
            usleep(1000)
        }
        #expect(kill(child.pid, signal) == 0)
        #expect(try wait(child).status == .signalled(signal))
        let partial = try Files.read("\(cache)/partial/\(Digest.of(body).hex)")
        #expect(partial.count > 500_000 && partial[...] == body.prefix(partial.count))

        let server = FetchServer { [body] _ in .ok(body) }
        #expect(try wait(start(mirror: server.url)).succeeded)
        #expect(server.requests.map(\.rangeStart) == [partial.count])
        #expect(try Store(directory: cache, readOnly: true).read(Digest.of(body)) == body)
    }

    @Test func aProxyOfTheEnvironmentIsAsked() throws {
        let proxy = FetchServer { [body] _ in .ok(body) }
        let child = try start(mirror: "http://mirror.invalid/debian", environment: [("http_proxy", proxy.url)])
        #expect(try wait(child).succeeded)
        #expect(proxy.requests.map(\.path) == ["http://mirror.invalid/debian/pool/thing.deb"])
    }

    @Test(.enabled(if: Host.findProgram("openssl") != nil))
    func aCertificateThatNobodyVouchesForIsRefusedAndNotTriedAgain() throws {
        let (key, certificate, port) = ("\(scratch.path)/key", "\(scratch.path)/certificate", FetchServer.closedPort())
        let made = try Shell.run(
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost "
                + "-addext subjectAltName=DNS:localhost -keyout \(key) -out \(certificate)")
        try #require(made.status == 0)
        try Files.write("\(scratch.path)/thing", body)
        let server = try Command(
            "openssl", ["s_server", "-quiet", "-accept", "\(port)", "-key", key, "-cert", certificate, "-WWW"],
            directory: scratch.path, output: .null
        ).start()
        defer { server.kill() }
        let url = "https://localhost:\(port)/thing"
        let object = WantedObject(body, url)
        var fetcher = Fetcher(partialDirectory: cache + "/partial", options: quick())
        // The server needs a moment to listen.
        fetcher.options.attempts = 12
        let error = failure { try fetcher.fetch([object], into: MemoryStore()) }
        #expect(error?.code == .network)
        #expect(error?.details.first?.hasPrefix("\(url): the server's certificate is not trusted (") == true)
    }
}
