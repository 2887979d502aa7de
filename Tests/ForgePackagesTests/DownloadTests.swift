import ForgeBase
import ForgePackages
import ForgeRecipe
import ForgeSystem
import Testing

/// Published checksums, in the forms that they have.
@Suite struct ChecksumListTests {
    static let (a, b, c) = (hex("a"), hex("b"), hex("c"))
    static func hex(_ digit: String) -> String { String(repeating: digit, count: 64) }
    static let url = "https://dl.example.org/v1/bin/amd64/kube%6Cet?x=1"

    func find(_ text: String, _ url: String = url) throws -> String {
        try ChecksumList(Array(text.utf8)).sha256(of: url, place: "https://dl.example.org/sums")
    }

    @Test(arguments: [
        a, "\(a)\n", "  \n\(a)\r\n", a.uppercased(),
        "\(a)  kubelet\n", "\(a) *kubelet\n", "\(b)  kubeadm\n\(a)  kubelet\n",
        "SHA256 (kubelet) = \(a)\n", "SHA256 (kubeadm) = \(b)\nSHA256 (kubelet) = \(a)\n",
        "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n\(a)  kubelet\n-----BEGIN PGP SIGNATURE-----\n\niQ=\n",
        // Names with folders: that of the URL, however much of it they say.
        "\(b)  bin/arm64/kubelet\n\(a)  bin/amd64/kubelet\n", "\(b)  ./arm64/kubelet\n\(a)  ./amd64/kubelet\n",
        "\(b)  kubelet\n\(a)  amd64/kubelet\n", "\(a)  dist/kubelet\n", "\(a)  x/kubelet\n\(a)  y/kubelet\n",
    ])
    func aFileIsFoundByItsName(_ text: String) throws { #expect(try find(text) == Self.a, "\(text)") }

    @Test(
        arguments: [
            ("", "has no SHA-256 sums", nil),
            ("<html>not found</html>", "has no SHA-256 sums", nil),
            (String(repeating: "a", count: 63), "has no SHA-256 sums", nil),
            ("SHA256 (kubelet) = " + a + "0", "has no SHA-256 sums", nil),
            ("SHA256 (kubelet)= " + a, "has no SHA-256 sums", nil),
            (
                String(repeating: "a", count: 128) + "  kubelet\n", "has no SHA-256 sums",
                "it has sums of another kind, which forge does not take"
            ),
            (
                "\(a)  kubelat\n\(b)  ctr\n", "has no SHA-256 of kubelet; did you mean “kubelat”?",
                "it names kubelat, ctr"
            ),
            ("\(a)  kubelet.sha256\n", "has no SHA-256 of kubelet", "it names kubelet.sha256"),
            ("\(a)  x/kubelet\n\(b)  y/kubelet\n", "has several SHA-256 sums for files called kubelet", nil),
            ("\(a)\n\(b)\n", "has several SHA-256 sums for files called kubelet", nil),
            ("\(a)  kubelet\n\(b)  kubelet\n", "has several SHA-256 sums for files called kubelet", nil),
        ] as [(String, String, String?)])
    func whatIsNotThereIsAnError(_ text: String, _ message: String, _ detail: String?) {
        let error = failure { _ = try find(text) }
        #expect(error?.code == .verification)
        #expect(error?.message == "https://dl.example.org/sums \(message)")
        #expect(error?.details.first == detail)
    }
}

/// Locks of single files.
@Suite struct DownloadLockTests {
    static let kubelet = Digest.of("kubelet 1").hex

    static func options(_ text: String) throws -> JSON {
        try JSON(parsing: Array("{\"files\": [\(text)]}".utf8), file: "options")
    }

    func lock(
        _ options: JSON, from server: FetchServer? = nil, previous: LockEntry? = nil, update: LockUpdate = .none,
        mirrors: [(String, [String])] = []
    ) throws -> LockOutcome {
        let scratch = Scratch()
        let fetcher = Fetcher(partialDirectory: scratch.partial, options: quick())
        return try DownloadLocker(
            source: fetcher, mirrors: mirrors + (server.map { [("dl.invalid", [$0.url])] } ?? [])
        ).lock(id: "up", parameters: [:], options: options, request: options, previous: previous, update: update)
    }

    static let two = """
        {"name": "bin/kubelet", "url": ["https://dl.invalid/kubelet"], "checksums": "https://dl.invalid/sums"},
        {"name": "kubeadm", "url": ["https://dl.invalid/kubeadm"], "checksums": "https://dl.invalid/sums"}
        """

    @Test func theListIsAskedOnceAndSaysTheDigests() throws {
        let other = Digest.of("kubeadm 1").hex
        let server = FetchServer { _ in .ok(Array("\(Self.kubelet)  kubelet\n\(other)  kubeadm\n".utf8)) }
        let outcome = try lock(Self.options(Self.two), from: server)
        #expect(
            outcome.entry.downloads == [
                LockedDownload(name: "bin/kubelet", file: LockedBytes(sha256: Self.kubelet)),
                LockedDownload(name: "kubeadm", file: LockedBytes(sha256: other)),
            ])
        #expect(outcome.entry.date == 0, "a checksum has no date, and no say in the epoch")
        #expect(server.requests.map(\.path) == ["/sums"], "the files themselves are left to the build")
        #expect(outcome.changes.map(\.description).first == "bin/kubelet sha256:\(Self.kubelet.prefix(12))… (new)")
    }

    @Test func aDigestInTheRecipeAsksNobody() throws {
        let text = #"{"name": "x", "url": ["https://dl.invalid/x"], "sha256": "\#(Self.kubelet)"}"#
        #expect(try lock(Self.options(text)).entry.downloads?.map(\.file.sha256) == [Self.kubelet])
    }

    @Test func onlyWhatIsNamedOrChangedMoves() throws {
        let version = Locked(1)
        let server = FetchServer { _ in
            let version = version.withLock { $0 }
            let lines = ["kubelet", "kubeadm"].map { "\(Digest.of("\($0) \(version)").hex)  \($0)\n" }
            return .ok(Array(lines.joined().utf8))
        }
        func digests(_ version: [Int]) -> [String] {
            zip(["kubelet", "kubeadm"], version).map { Digest.of("\($0) \($1)").hex }
        }
        let options = try Self.options(Self.two)
        let first = try lock(options, from: server).entry
        version.withLock { $0 = 2 }
        let again = try lock(options, previous: first)
        #expect(again.entry == first && again.changes.isEmpty, "without a server: nobody is asked")
        let one = try lock(options, from: server, previous: first, update: .packages(["kubeadm"])).entry
        #expect(one.downloads?.map(\.file.sha256) == digests([1, 2]))
        let all = try lock(options, from: server, previous: first, update: .all)
        #expect(all.entry.downloads?.map(\.file.sha256) == digests([2, 2]))
        #expect(all.changes.count == 2)
        // Another address is another file.
        let moved = try Self.options(Self.two.replacing("dl.invalid/kubelet", with: "dl.invalid/v2/kubelet"))
        #expect(
            try lock(moved, from: server, previous: first).entry.downloads?.map(\.file.sha256) == digests([2, 1]))
    }

    @Test func aListThatIsNotThereIsNamed() throws {
        let server = FetchServer { _ in .status(404) }
        let text = #"{"name": "x", "url": ["\#(server.url)/x"], "checksums": "\#(server.url)/x.sha256"}"#
        let error = failure { _ = try lock(Self.options(text)) }
        #expect(error?.code == .network)
        #expect(error?.message == "the checksums of “x” are not there")
        #expect(error?.details == ["\(server.url)/x.sha256"])
        #expect(server.requests.count == 1)
    }

    @Test func anUnreachableListIsAnotherError() throws {
        let place = "http://127.0.0.1:\(FetchServer.closedPort())"
        let text = #"{"name": "x", "url": ["\#(place)/x"], "checksums": "\#(place)/x.sha256"}"#
        let error = failure { _ = try lock(Self.options(text)) }
        #expect(error?.code == .network)
        #expect(error?.message == "cannot download \(place)/x.sha256")
    }

    @Test(arguments: [
        (#"{"name": "x", "url": []}"#, "file “x”: it has no URL"),
        (#"{"name": "x", "url": ["https://a/x"]}"#, "file “x”: nothing says what its bytes must be"),
        (
            #"{"name": "x", "url": ["https://a/x"], "sha256": "00", "checksums": "https://a/s"}"#,
            "file “x”: it has both “sha256” and “checksums”"
        ),
        (
            #"{"name": "a/b", "url": ["u"], "sha256": "00"}, {"name": "a", "url": ["u"], "sha256": "00"}"#,
            "file “a”: “a/b” has the same place in the output"
        ),
        (
            #"{"name": "x", "url": ["u"], "sha256": "00", "executable": true, "unpack": {}}"#,
            "file “x”: “executable” is for files, and what is unpacked has modes of its own"
        ),
        ("", "“files” names no file"),
    ])
    func whatTypesCannotSayIsChecked(_ text: String, _ message: String) throws {
        let error = failure { _ = try lock(Self.options(text)) }
        #expect(error?.code == .badInput)
        #expect(error?.message == message)
        #expect(error?.remedy != nil)
    }
}
