import ForgeBase
import ForgeRecipe
import ForgeSystem
import Testing

@Suite struct LockFileTests {
    static func package(_ name: String, version: String = "1.0", path: String? = nil) -> LockedPackage {
        LockedPackage(
            name: name, version: version, architecture: "amd64", digest: Digest.of(name + version),
            path: path ?? "pool/main/\(name)_\(version)_amd64.deb", archive: "debian", suite: "bookworm", source: name,
            sourceVersion: version, section: "admin", isEssential: name == "bash")
    }

    static func entry(_ packages: [LockedPackage], suite: String = "bookworm") -> LockEntry {
        let archive = LockedArchive(
            archive: "debian", suite: "bookworm", codename: "bookworm", components: ["main"], date: 1_780_000_000,
            release: Digest.of("release"), signedBy: "F00D",
            indexes: [.init(path: "main/Packages.xz", digest: Digest.of("index"))])
        return LockEntry(
            id: "packages", parameters: ["suite": suite], locker: "debian",
            request: .object([("packages", .array([.string("bash")])), ("base", .string("required"))]),
            date: 1_780_000_000,
            body: .debian(DebianLock(snapshot: "20260528T202640Z", archives: [archive], packages: packages)))
    }

    static let file = LockFile(entries: [entry([package("bash"), package("curl", version: "2:7.88~rc1-1+b2")])])

    @Test func whatIsWrittenIsReadAgain() throws {
        let text = Self.file.text
        #expect(try LockFile(parsing: Array(text.utf8), file: "forge.lock") == Self.file)
        let lines = text.split(separator: "\n")
        #expect(lines.filter { $0.contains("\"name\": ") }.count == 2, "one package a line")
        var other = Self.file
        other.set(
            LockEntry(
                id: "sources", parameters: [:], locker: "url", request: .null, date: 5,
                body: .other(.object([("a", .int(1))]))))
        #expect(try LockFile(parsing: Array(other.text.utf8), file: "forge.lock") == other)
        #expect(try LockEntry(json: other.entries[0].json) == other.entries[0])
    }

    static let sources: LockFile = {
        var entry = LockFileTests.entry([])
        if case .debian(var lock) = entry.body {
            lock.sources = ["hello", "linux"].map { name in
                LockedSource(
                    name: name, version: "2.10-3", archive: "debian", suite: "bookworm",
                    files: [.init(path: "pool/main/\(name)_2.10-3.dsc", digest: Digest.of(name))])
            }
            entry.body = .debian(lock)
        }
        return LockFile(entries: [entry])
    }()

    @Test func sourcesAreWrittenAndReadAgain() throws {
        let text = Self.sources.text
        #expect(try LockFile(parsing: Array(text.utf8), file: "forge.lock") == Self.sources)
        #expect(text.split(separator: "\n").filter { $0.contains(".dsc\"") }.count == 2, "one source a line")
        #expect(Self.sources.entries[0].files.map(\.digest) == [Digest.of("hello"), Digest.of("linux")])
    }

    @Test func downloadsAreWrittenAndReadAgain() throws {
        let files = [
            LockedDownload(name: "bin/kubelet", file: LockedBytes(sha256: Digest.of("kubelet").hex)),
            LockedDownload(name: "licence", file: LockedBytes(Digest.of("licence"))),
        ]
        let file = LockFile(entries: [
            LockEntry(
                id: "upstream", parameters: [:], locker: "downloads", request: .object([]), date: 0,
                body: .downloads(files))
        ])
        let read = try LockFile(parsing: Array(file.text.utf8), file: "forge.lock")
        #expect(read == file)
        #expect(read.entries[0].files.map(\.digest) == [nil, Digest.of("licence")])
        #expect(read.entries[0].count == (2, "file"))
        for (old, new) in [
            ("licence", "bin/kubelet"), (Digest.of("kubelet").hex, "x"), ("\"size\": 7", "\"size\": -1"),
        ] {
            let forged = file.text.replacing(old, with: new)
            #expect(forged != file.text)
            #expect(throws: ForgeError.self) { try LockFile(parsing: Array(forged.utf8), file: "forge.lock") }
        }
    }

    @Test(arguments: [
        ("\"name\": \"hello\"", "\"name\": \"linux\"", "source “linux” is locked twice"),
        ("\"name\": \"hello\"", "\"name\": \"a/b\"", "“a/b” can't be a name"),
        ("pool/main/hello", "pool/../hello", "“pool/../hello_2.10-3.dsc” is no path below an archive"),
        (
            "2.10-3\", \"archive\": \"debian\"", "2.10-3\", \"archive\": \"other\"",
            "source “hello” is of an archive that is not locked"
        ),
    ])
    func aForgedSourceIsRefused(_ old: String, _ new: String, _ message: String) throws {
        let text = Self.sources.text
        let range = try #require(text.firstRange(of: old), "\(text)")
        let forged = text.replacingCharacters(in: range, with: new)
        let error = #expect(throws: ForgeError.self) {
            try LockFile(parsing: Array(forged.utf8), file: "forge.lock")
        }
        #expect(error?.message == "not a valid lock: \(message)")
    }

    @Test func imagesAreWrittenAndReadAgain() throws {
        let images = ["a", "b"].map { name in
            LockedImage(
                name: "r.example/\(name):1", manifest: Digest.of(name), mediaType: "m",
                blobs: [Digest.of("config"), Digest.of("layer \(name)")])
        }
        let file = LockFile(entries: [
            LockEntry(
                id: "images", parameters: [:], locker: "images", request: .object([]), date: 0, body: .images(images))
        ])
        let read = try LockFile(parsing: Array(file.text.utf8), file: "forge.lock")
        #expect(read == file)
        #expect(read.entries[0].files.count == 6 && read.entries[0].count == (2, "image"))
        #expect(file.text.split(separator: "\n").filter { $0.contains("r.example/") }.count == 2, "one image a line")
        for (old, new) in [("r.example/a:1", "r.example/b:1"), (Digest.of("config").hex, "x"), ("blobs", "blob")] {
            let forged = file.text.replacing(old, with: new)
            #expect(forged != file.text)
            #expect(throws: ForgeError.self) { try LockFile(parsing: Array(forged.utf8), file: "forge.lock") }
        }
    }

    @Test func entriesAreFoundByIdAndParametersAndReplaced() {
        var file = Self.file
        file.set(Self.entry([], suite: "trixie"))
        #expect(file.entries.map { $0.parameters["suite"] } == ["bookworm", "trixie"])
        file.set(Self.entry([Self.package("zsh")], suite: "bookworm"))
        #expect(file.entries.count == 2)
        #expect(file.entry("packages", parameters: ["suite": "bookworm"])?.debian?.packages.map(\.name) == ["zsh"])
        #expect(file.entry("packages", parameters: [:]) == nil)
    }

    @Test func anUnchangedFileIsNotWritten() throws {
        let path = "/tmp/forge-lock-test-\(Digest.of("x").hex.prefix(8))-\(UInt64.random(in: 0...UInt64.max))"
        defer { try? Files.remove(path) }
        #expect(try LockFile.load(path) == nil)
        #expect(try Self.file.save(path))
        #expect(try !Self.file.save(path))
        #expect(try LockFile.load(path) == Self.file)
    }

    @Test(arguments: [
        ("\"version\": 1,", "\"version\": 2,", "this lock has format 2; this forge reads format 1"),
        ("\"id\"", "\"ids\"", "unknown key “ids”; did you mean “id”?"),
        ("\"sha256\": \"", "\"sha256\": \"X", "“sha256” is not 64 lower-case hexadecimal digits"),
        ("pool/main/bash", "pool/../../etc/bash", "“pool/../../etc/bash_1.0_amd64.deb” is no path below an archive"),
        ("pool/main/bash", "/etc/bash", "“/etc/bash_1.0_amd64.deb” is no path below an archive"),
        ("\"name\": \"bash\"", "\"name\": \"curl\"", "package “curl” is locked twice"),
        ("\"name\": \"bash\"", "\"name\": \"../x\"", "“../x” can't be a name"),
        ("\"base\": \"required\"", "\"base\": \"standard\"", "the request of stage “packages” was edited"),
        ("\"size\": 7", "\"size\": -7", "“size” is not a whole number"),
        (
            "\"archive\": \"debian\", \"suite\": \"bookworm\", \"source\": \"bash\"",
            "\"archive\": \"other\", \"suite\": \"bookworm\", \"source\": \"bash\"",
            "package “bash” is of an archive that is not locked"
        ),
    ])
    func aForgedLockIsRefusedWithItsPlace(_ old: String, _ new: String, _ message: String) throws {
        let text = Self.file.text
        try #require(text.contains(old), "\(text)")
        let range = try #require(text.firstRange(of: old))
        let forged = text.replacingCharacters(in: range, with: new)
        let result = Result { () throws(ForgeError) in try LockFile(parsing: Array(forged.utf8), file: "forge.lock") }
        guard case .failure(let error) = result else {
            Issue.record("accepted")
            return
        }
        #expect(error.message == "not a valid lock: \(message)")
        #expect(error.code == .badInput && error.remedy != nil)
        let line = text[..<range.lowerBound].split(separator: "\n", omittingEmptySubsequences: false).count
        let location = try #require(error.location)
        #expect(location.file == "forge.lock" && abs(location.line - line) <= 2, "\(location) for line \(line)")
    }

    @Test func brokenTextsAreRefused() {
        for text in ["", "{", "[]", "{\"version\": 1, \"entries\": [1]}", "{\"version\": \"1\", \"entries\": []}"] {
            #expect(throws: ForgeError.self) { try LockFile(parsing: Array(text.utf8), file: "forge.lock") }
        }
    }

    @Test func changesAreListedByName() {
        let old = Self.entry([Self.package("a"), Self.package("b"), Self.package("c")]).debian
        let new = Self.entry([Self.package("b", version: "2.0"), Self.package("c"), Self.package("d")]).debian
        #expect(
            new.flatMap { old?.changes(to: $0) }?.map(\.description) == [
                "a 1.0 (removed)", "b 1.0 → 2.0", "d 1.0 (new)",
            ])
    }
}

extension String {
    fileprivate func replacingCharacters(in range: Range<Index>, with text: String) -> String {
        String(self[..<range.lowerBound]) + text + String(self[range.upperBound...])
    }
}
