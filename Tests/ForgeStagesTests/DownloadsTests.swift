import ForgeBase
import ForgePackages
import ForgeRecipe
import ForgeScripts
import ForgeStages
import ForgeStore
import ForgeSystem
import Glibc
import Testing

/// The stage against files of this machine, through libcurl and a real store.
@Suite final class DownloadsTests {
    private let scratch: String
    private let store: Store

    init() throws {
        var template = Array("/tmp/forge-downloads-XXXXXX".utf8CString)
        scratch = mkdtemp(&template).map { String(cString: $0) } ?? "/nonexistent"
        store = try Store(directory: scratch + "/cache")
        try Files.makeDirectories(scratch + "/site")
    }

    deinit { try? Files.remove(scratch) }

    private func publish(_ name: String, _ bytes: [UInt8]) throws -> Digest {
        try Files.write("\(scratch)/site/\(name)", bytes)
        return Digest.of(bytes)
    }

    /// A tar archive made by tar(1) of what a shell command leaves in a directory.
    private func publishTar(_ name: String, _ command: String) throws -> Digest {
        let file = "\(scratch)/site/\(name)"
        _ = try Command(
            "/bin/sh",
            ["-euc", "mkdir ../t; cd ../t; umask 022; \(command); tar --owner=1001 --group=1001 -caf \(file) *"],
            directory: scratch + "/site"
        ).outputOrThrow()
        try Files.remove(scratch + "/t")
        return Digest.of(try Files.read(file))
    }

    /// Runs the stage for files given as `name`, options and pin.
    private func run(_ files: [(name: String, more: String, pin: LockedBytes)], offline: Bool = false) throws
        -> StageResult
    {
        let items = files.map { file in
            let url = "http://dl.invalid/\(file.name.split(separator: "/").last ?? "")"
            return #"{"name": "\#(file.name)", "url": ["\#(url)"], "sha256": "\#(file.pin.sha256)"\#(file.more)}"#
        }
        let options = try JSON(parsing: Array("{\"files\": [\(items.joined(separator: ","))]}".utf8), file: "options")
        let entry = LockEntry(
            id: "up", parameters: [:], locker: "downloads", request: .null, date: 0,
            body: .downloads(files.map { LockedDownload(name: $0.name, file: $0.pin) }))
        let work = "\(scratch)/work"
        try Files.makeDirectories(work)
        let context = StageContext(
            store: store, scratch: work, inputs: [], options: options, epoch: 0, architecture: "amd64", jobs: 1)
        var fetch = FetchOptions()
        fetch.retryDelay = .milliseconds(1)
        return try Downloads(
            context,
            LockedSources(
                entry: entry, mirrors: offline ? [] : [("dl.invalid", ["file://\(scratch)/site"])], offline: offline)
        ).run(options: fetch)
    }

    private func tree(_ result: StageResult) throws -> [TreeEntry] {
        try Tree.load(#require(result.outputs.first).digest, from: store).entries
    }

    private func failure(_ body: () throws -> Void) -> ForgeError? { #expect(throws: ForgeError.self) { try body() } }

    private func bytes(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ count) } }

    @Test func filesGetTheirNamesAndModes() throws {
        let kubelet = try publish("kubelet", bytes(40_000))
        let licence = try publish("licence.txt", bytes(100))
        let result = try run([
            ("bin/kubelet", #", "executable": true"#, LockedBytes(sha256: kubelet.hex)),
            ("licence.txt", "", LockedBytes(licence)),
        ])
        #expect(
            try tree(result) == [
                TreeEntry("", .directory, mode: 0o755), TreeEntry("bin", .directory, mode: 0o755),
                TreeEntry("bin/kubelet", .file(kubelet), mode: 0o755),
                TreeEntry("licence.txt", .file(licence), mode: 0o644),
            ])
        #expect(result.outputs.map(\.name) == ["files"])
        #expect(
            result.provides.map { $0["url"]?.string } == ["http://dl.invalid/kubelet", "http://dl.invalid/licence.txt"])
        #expect(result.provides.first?["sha256"]?.string == kubelet.hex)
    }

    /// A pin without a size finds its object too, small and large, in this process and in the next.
    @Test func whatTheStoreHasNeedsNobody() throws {
        let pins = try [bytes(40_000), bytes(7)].enumerated().map { index, bytes in
            ("f\(index)", "", LockedBytes(sha256: try publish("f\(index)", bytes).hex))
        }
        let first = try run(pins)
        try Files.remove(scratch + "/site")
        #expect(try run(pins, offline: true).outputs == first.outputs)
        let next = try Store(directory: scratch + "/cache", readOnly: true)
        for (_, _, pin) in pins { #expect(try next.digest(ofSHA256: pin.sha256)?.hex == pin.sha256) }
        #expect(try next.digest(ofSHA256: Digest.of("else").hex) == nil)
    }

    @Test func offlineWhatIsMissingIsNamed() throws {
        let error = failure {
            _ = try run(
                [("a", "", LockedBytes(Digest.of("a"))), ("b", "", LockedBytes(Digest.of("b")))], offline: true)
        }
        #expect(error?.code == .network)
        #expect(error?.message == "a, b: not in the cache, and --offline forbids to fetch it")
    }

    @Test func otherBytesAreRefusedAndKeptOut() throws {
        let good = try publish("good", bytes(50_000))
        let evil = try publish("kubelet", bytes(40_000))
        let error = failure {
            _ = try run([("kubelet", "", LockedBytes(sha256: Digest.of("x").hex)), ("good", "", LockedBytes(good))])
        }
        #expect(error?.code == .verification)
        #expect(error?.message == "kubelet: the bytes offered are not those that the lock names")
        #expect(error?.remedy?.contains("forge lock --update") == true)
        #expect(try !store.contains(evil))
        #expect(try store.contains(good), "what is right comes in all the same")
    }

    @Test func whatIsGoneIsNamed() throws {
        let error = failure { _ = try run([("kubelet", "", LockedBytes(sha256: Digest.of("x").hex))]) }
        #expect(error?.code == .network)
        #expect(error?.message == "kubelet is not there" || error?.message == "cannot download kubelet")
    }

    @Test func aLockWithoutTheFileIsRefused() throws {
        let entry = LockEntry(
            id: "up", parameters: [:], locker: "downloads", request: .null, date: 0, body: .downloads([]))
        let options = try JSON(
            parsing: Array(#"{"files": [{"name": "x", "url": ["http://a/x"], "checksums": "http://a/s"}]}"#.utf8),
            file: "options")
        let context = StageContext(
            store: store, scratch: scratch, inputs: [], options: options, epoch: 0, architecture: "amd64", jobs: 1)
        let error = failure { _ = try Downloads(context, LockedSources(entry: entry)).run() }
        #expect(error?.message == "the lock of stage “up” does not pin the file “x”")
    }

    // MARK: Archives

    @Test(arguments: ["plugins.tar.gz", "plugins.tar.xz", "plugins.tar"])
    func anArchiveIsUnpackedWithRootAsOwner(_ name: String) throws {
        let digest = try publishTar(
            name, "mkdir -p top/d; echo a > top/a; chmod 4755 top/a; echo b > top/d/b; ln -s ../a top/d/l")
        let entries = try tree(run([("cni/\(name)", #", "unpack": {"strip": 1}"#, LockedBytes(digest))]))
        let base = "cni/\(name)"
        #expect(
            entries == [
                TreeEntry("", .directory, mode: 0o755), TreeEntry("cni", .directory, mode: 0o755),
                TreeEntry(ByteString(base), .directory, mode: 0o755),
                TreeEntry(ByteString("\(base)/a"), .file(Digest.of("a\n")), mode: 0o755),
                TreeEntry(ByteString("\(base)/d"), .directory, mode: 0o755),
                TreeEntry(ByteString("\(base)/d/b"), .file(Digest.of("b\n")), mode: 0o644),
                TreeEntry(ByteString("\(base)/d/l"), .symlink("../a"), mode: 0o777),
            ])
        #expect(!Files.exists(scratch + "/work/archive"))
    }

    @Test func whatIsPickedIsTaken() throws {
        let digest = try publishTar("t.tar.gz", "mkdir -p bin/x; echo a > bin/a; echo b > bin/b; echo c > bin/x/c")
        let unpack = #", "unpack": {"strip": 1, "pick": ["x", "b"]}"#
        #expect(
            try tree(run([("t.tar.gz", unpack, LockedBytes(digest))])).map(\.path.description) == [
                "", "t.tar.gz", "t.tar.gz/b", "t.tar.gz/x", "t.tar.gz/x/c",
            ])
        let error = failure {
            _ = try run([("t.tar.gz", #", "unpack": {"pick": ["bin/bb"]}"#, LockedBytes(digest))])
        }
        #expect(error?.code == .badInput)
        #expect(error?.message == "t.tar.gz has no “bin/bb” in it; did you mean “bin/b”?")
        #expect(error?.details == ["it has bin, bin/a, bin/b, bin/x, bin/x/c"])
    }

    @Test func whatLeadsOutOrIsADeviceIsRefused() throws {
        let out = try publishTar("out.tar", "echo a > a; mkfifo p")
        let pipe = failure { _ = try run([("out.tar", #", "unpack": {}"#, LockedBytes(out))]) }
        #expect(pipe?.code == .verification)
        #expect(pipe?.message == "out.tar: entry “p”: a device or pipe, which no download needs")
        _ = try Command(
            "/bin/sh", ["-euc", "echo a > a; tar -cPf evil.tar --transform 's,^,../,' a"], directory: scratch + "/site"
        ).outputOrThrow()
        let evil = Digest.of(try Files.read(scratch + "/site/evil.tar"))
        let error = failure { _ = try run([("evil.tar", #", "unpack": {}"#, LockedBytes(evil))]) }
        #expect(error?.code == .verification)
        #expect(error?.message.contains("leads out of the archive") == true)
        let text = try publish("text.tar", Array("no archive at all, only a text of some length\n".utf8))
        #expect(failure { _ = try run([("text.tar", #", "unpack": {}"#, LockedBytes(text))]) }?.code == .verification)
    }

    @Test func twoEntriesOfOneNameAfterStrippingAreRefused() throws {
        let digest = try publishTar("two.tar", "mkdir a b; echo 1 > a/x; echo 2 > b/x")
        let error = failure { _ = try run([("two.tar", #", "unpack": {"strip": 1}"#, LockedBytes(digest))]) }
        #expect(error?.message == "“two.tar/x” is there twice")
    }
}
