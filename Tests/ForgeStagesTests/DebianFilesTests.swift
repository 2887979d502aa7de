import ForgeBase
import ForgePackages
import ForgeRecipe
import ForgeScripts
import ForgeStages
import ForgeStore
import ForgeSystem
import Glibc
import Testing

/// The stage against archives that are directories, through libcurl and a real store.
@Suite final class DebianFilesTests {
    private let scratch: String
    private let store: Store
    private var notes: [String] = []

    init() throws {
        var template = Array("/tmp/forge-debian-packages-XXXXXX".utf8CString)
        scratch = mkdtemp(&template).map { String(cString: $0) } ?? "/nonexistent"
        store = try Store(directory: scratch + "/cache")
    }

    deinit { try? Files.remove(scratch) }

    // MARK: Means

    /// A package whose file is in the archive directory.
    private func publish(
        _ name: String, _ version: String, size: Int, in directory: String = "mirror", archive: String = "debian"
    ) throws -> LockedPackage {
        let bytes = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ size) }
        let package = LockedPackage(
            name: name, version: version, architecture: "amd64", digest: Digest.of(bytes),
            path: "pool/main/\(name)/\(name)_\(version).deb", archive: archive, suite: "bookworm", source: name,
            sourceVersion: version)
        let file = "\(scratch)/\(directory)/\(package.path)"
        try Files.makeDirectories(Files.parent(of: file))
        try Files.write(file, bytes)
        return package
    }

    private func entry(_ packages: [LockedPackage]) -> LockEntry {
        LockEntry(
            id: "packages", parameters: [:], locker: "debian", request: .object([]), date: 1_795_168_800,
            body: .debian(
                DebianLock(
                    snapshot: "20261120T100000Z", archives: [archive("debian"), archive("debian-security")],
                    packages: packages)))
    }

    private func archive(_ id: String) -> LockedArchive {
        LockedArchive(
            archive: id, suite: "bookworm", codename: "bookworm", components: ["main"], date: 1_795_168_800,
            release: Digest.of("Release of \(id)"), signedBy: "", indexes: [])
    }

    private func run(
        _ packages: [LockedPackage], mirrors: [String: [String]]? = nil, snapshot: String? = nil
    ) throws -> StageResult {
        let places = Mirrors(
            archives: mirrors ?? ["debian": ["file://\(scratch)/mirror"]],
            snapshots: snapshot.map { ["debian": ["file://\(scratch)/old\($0)"]] } ?? [:])
        var fetch = FetchOptions()
        fetch.retryDelay = .milliseconds(1)
        return try DebianFiles(context(), output: "packages", locked: entry(packages), mirrors: places).run(
            options: fetch)
    }

    private func context() -> StageContext {
        StageContext(
            store: store, scratch: scratch, inputs: [], options: .object([]), epoch: 0, architecture: "amd64", jobs: 1)
    }

    private func failure(_ body: () throws -> Void) -> ForgeError? {
        do {
            try body()
            Issue.record("nothing was thrown")
        } catch let error as ForgeError {
            return error
        } catch { Issue.record("not a ForgeError: \(error)") }
        return nil
    }

    // MARK: Tests

    @Test func theTreeHasOneFileForEachPackage() throws {
        let packages = [
            try publish("bash", "5.2.15-2+b2", size: 40_000), try publish("apt", "1:2.6.1~deb12u1", size: 100),
        ]
        let result = try run(packages)
        #expect(result.provides.isEmpty)
        let output = try #require(result.outputs.first)
        #expect(result.outputs.map(\.name) == ["packages"])
        #expect(output.kind == .tree)
        let tree = try Tree.load(output.digest, from: store)
        #expect(
            tree.entries == [
                TreeEntry("", .directory, mode: 0o755),
                TreeEntry("apt_1%3a2.6.1~deb12u1_amd64.deb", .file(packages[1].digest), mode: 0o644),
                TreeEntry("bash_5.2.15-2+b2_amd64.deb", .file(packages[0].digest), mode: 0o644),
            ])
        for package in packages { #expect(try Digest.of(store.read(package.digest)) == package.digest) }
        #expect(try Files.list("\(scratch)/cache/partial").isEmpty)
    }

    /// A source package whose files are in the archive directory.
    private func publishSource(_ name: String, _ version: String, files: [String]) throws -> LockedSource {
        let files = try files.map { file in
            let path = "pool/main/\(name)/\(file)"
            try Files.makeDirectories(Files.parent(of: "\(scratch)/mirror/\(path)"))
            try Files.write("\(scratch)/mirror/\(path)", "\(name) \(version) \(file)")
            return LockedSource.File(path: path, digest: Digest.of("\(name) \(version) \(file)"))
        }
        return LockedSource(name: name, version: version, archive: "debian", suite: "bookworm", files: files)
    }

    private func run(sources: [LockedSource]) throws -> StageResult {
        var entry = self.entry([])
        if case .debian(var lock) = entry.body {
            lock.sources = sources
            entry.body = .debian(lock)
        }
        let places = Mirrors(archives: ["debian": ["file://\(scratch)/mirror"]])
        return try DebianFiles(context(), output: "sources", locked: entry, mirrors: places).run()
    }

    @Test func theTreeHasTheFilesOfEachSourceUnderTheirOwnNames() throws {
        let hello = try publishSource("hello", "2.10-3", files: ["hello_2.10-3.dsc", "hello_2.10.orig.tar.xz"])
        let result = try run(sources: [hello])
        let output = try #require(result.outputs.first)
        #expect(output.name == "sources")
        #expect(
            try Tree.load(output.digest, from: store).entries == [
                TreeEntry("", .directory, mode: 0o755),
                TreeEntry("hello_2.10-3.dsc", .file(hello.files[0].digest), mode: 0o644),
                TreeEntry("hello_2.10.orig.tar.xz", .file(hello.files[1].digest), mode: 0o644),
            ])
        #expect(result.provides.map { $0["name"]?.string } == ["hello"])
        #expect(result.provides.first?["files"]?.array?.first?["sha256"]?.string == hello.files[0].digest.hex)
    }

    @Test func twoFilesOfOneNameAreRefused() throws {
        let sources = try [
            publishSource("a", "1", files: ["same.tar.xz"]), publishSource("b", "1", files: ["same.tar.xz"]),
        ]
        let error = failure { _ = try run(sources: sources) }
        #expect(error?.message == "two different files of the lock are called same.tar.xz")
    }

    @Test func theOrderOfTheLockDoesNotMatter() throws {
        let packages = try (1...9).map { try publish("p\($0)", "1.\($0)", size: 50 * $0) }
        #expect(try run(packages).outputs == run(packages.reversed()).outputs)
    }

    @Test func aFullStoreNeedsNoMirror() throws {
        let packages = [try publish("bash", "5.2", size: 40_000)]
        let first = try run(packages)
        try Files.remove("\(scratch)/mirror")
        // No mirror is known at all, and a partial directory would be made by the first download.
        try Files.remove("\(scratch)/cache/partial")
        #expect(try run(packages, mirrors: [:]).outputs == first.outputs)
        #expect(!Files.exists("\(scratch)/cache/partial"))
    }

    @Test func eachArchiveHasItsMirrors() throws {
        let packages = [
            try publish("a", "1", size: 10), try publish("b", "1", size: 20, in: "other", archive: "debian-security"),
        ]
        _ = try run(
            packages, mirrors: ["debian": ["file://\(scratch)/mirror"], "debian-security": ["file://\(scratch)/other"]])
        #expect(try packages.allSatisfy { try store.contains($0.digest) })
    }

    @Test func anArchiveWithoutMirrorIsNamed() throws {
        let package = try publish("a", "1.5", size: 10, archive: "debian-security")
        let error = failure { _ = try run([package]) }
        #expect(error?.code == .badInput)
        #expect(error?.message == "no mirror is known for the archive “debian-security”")
        #expect(error?.remedy?.contains("FORGE_MIRROR_DEBIAN_SECURITY") == true)
    }

    /// A snapshot service takes its picture after the Release file's date.
    @Test(arguments: ["/@SNAPSHOTID@/debian", ""], ["20261120T160000Z", "20261121T160000Z"])
    func whatIsGoneComesFromTheSnapshot(_ form: String, _ time: String) throws {
        let place = form.isEmpty ? "old/\(time)" : "old/\(time)/debian"
        let package = try publish("bash", "5.2", size: 40_000, in: place)
        _ = try run([package], snapshot: form)
        #expect(try store.contains(package.digest))
    }

    @Test func whatIsGoneEverywhereIsNamedWithTheWaysOut() throws {
        let package = try publish("bash", "5.2.15-2+b2", size: 40_000)
        try Files.remove("\(scratch)/mirror")
        let error = failure { _ = try run([package], snapshot: "") }
        let file = "pool/main/bash/bash_5.2.15-2%2Bb2.deb"
        #expect(
            error?.description == """
                bash 5.2.15-2+b2 (amd64) is no longer offered by the mirrors
                  the lock is of 2026-11-20
                  file://\(scratch)/mirror/\(file): no such file
                  file://\(scratch)/old/20261120T160000Z/\(file) (snapshot): no such file
                  file://\(scratch)/old/20261121T160000Z/\(file) (snapshot): no such file
                  file://\(scratch)/old/20261120T100000Z/\(file) (snapshot): no such file
                  → name a mirror that still has it with --mirror, another snapshot service with --snapshot, or take \
                today's versions with `forge lock --update`
                """)
        #expect(error?.code == .network)
    }

    /// With every byte in the store, a build needs no network; without, it says what is missing.
    @Test func offlineIsWhatTheStoreHas() throws {
        let packages = [try publish("a", "1", size: 10), try publish("b", "2", size: 40_000)]
        _ = try store.put(file: "\(scratch)/mirror/\(packages[0].path)")
        let places = Mirrors(archives: ["debian": ["file://\(scratch)/mirror"]])
        let lock = entry(packages)
        let error = failure {
            _ = try DebianFiles(context(), output: "packages", locked: lock, mirrors: places, offline: true).run()
        }
        #expect(error?.code == .network)
        #expect(error?.message == "1 of 2 packages are not in the cache, and --offline forbids to fetch them")
        #expect(error?.details.last == "b 2 (amd64)")
        let online = try run(packages)
        let offline = try DebianFiles(context(), output: "packages", locked: lock, mirrors: Mirrors(), offline: true)
            .run()
        #expect(offline.outputs == online.outputs)
    }

    @Test func otherBytesThanLockedAreRefused() throws {
        let package = try publish("bash", "5.2", size: 40_000)
        try Files.write("\(scratch)/mirror/\(package.path)", [UInt8](repeating: 0, count: 40_000))
        let error = failure { _ = try run([package]) }
        #expect(error?.code == .verification)
        #expect(error?.details.last?.contains("wrong bytes: SHA-256 is ") == true)
        #expect(try !store.contains(package.digest))
    }

    @Test func aLockOfSomethingElseIsRefused() throws {
        let entry = LockEntry(
            id: "x", parameters: [:], locker: "other", request: .object([]), date: 0, body: .other(.null))
        let error = failure {
            _ = try DebianFiles(context(), output: "packages", locked: entry, mirrors: Mirrors())
        }
        #expect(error?.code == .badInput)
    }
}
