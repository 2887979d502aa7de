import ForgeBase
import ForgePackages
import ForgeRecipe
import ForgeStore
import ForgeSystem
import Glibc
import Testing

/// Throw-away keys, made once a run.
final class TestKeys: Sendable {
    static let shared = Result { try TestKeys() }

    let home: String
    /// Public keys: one that is good, one that expired in 2021, one that is revoked.
    let good: Keyring
    let expired: Keyring
    let revoked: Keyring

    private init() throws {
        let home = Scratch().path + "-keys"
        try Files.makeDirectories(home)
        chmod(home, 0o700)
        let make = "gpg --homedir \(home) --batch --quiet --pinentry-mode loopback --passphrase ''"
        for command in [
            "\(make) --quick-gen-key good@example.org ed25519 sign never",
            "\(make) --quick-gen-key revoked@example.org ed25519 sign never",
            "\(make) --faked-system-time 20210101T000000 --quick-gen-key expired@example.org ed25519 sign 30d",
        ] {
            let output = try Shell.run(command)
            guard output.status == 0 else { throw ForgeError(.io, "gpg failed: \(output.text)") }
        }
        func export(_ name: String, _ more: String = "") throws -> Keyring {
            let file = "\(home)/\(name).gpg"
            _ = try Shell.run("gpg --homedir \(home) --batch \(more) --export \(name)@example.org > \(file)")
            return try Keyring(file: file)
        }
        self.home = home
        // The agent that gpg starts outlives it, and there is no end of a test run to hang this on.
        atexit {
            guard let home = (try? TestKeys.shared.get())?.home else { return }
            _ = try? Shell.run(
                "gpgconf --homedir \(home) --kill all; gpgconf --homedir \(home)/other --kill all; rm -rf \(home)")
        }
        good = try export("good")
        expired = try export("expired")
        // The certificate that gpg makes with each key, with the colon in front of its armor removed, revokes it.
        _ = try Shell.run(
            """
            print=$(gpg --homedir \(home) --with-colons --list-keys revoked@example.org | awk -F: '/^fpr/{print $10; exit}')
            sed 's/^:---/---/' \(home)/openpgp-revocs.d/$print.rev > \(home)/revocation
            mkdir -m 700 \(home)/other
            gpg --homedir \(home) --export $print | gpg --homedir \(home)/other --batch --import
            gpg --homedir \(home)/other --batch --import \(home)/revocation
            gpg --homedir \(home)/other --batch --export $print > \(home)/revoked.gpg
            """)
        revoked = try Keyring(file: "\(home)/revoked.gpg")
    }
}

/// An archive of a few packages, made and signed for one test, served from files.
final class TinyArchive {
    let scratch = Scratch()
    /// `Packages` of each suite: stanzas.
    var suites: [String: [String]] = [:]
    /// `Sources` of each suite: stanzas.
    var sources: [String: [String]] = [:]
    /// Fields of each suite's Release in the place of the usual ones; empty values remove them.
    var release: [String: String] = [:]
    var signer = "good"
    /// More options for gpg, for example a time.
    var gpg = ""
    var date: Int64 = 1_790_000_000

    var url: String { "file://\(scratch.path)/mirror" }

    /// A package's stanza; its file's digest depends on the text.
    static func package(_ name: String, _ version: String = "1.0", _ fields: [String: String] = [:]) -> String {
        var fields = fields
        let architecture = fields.removeValue(forKey: "Architecture") ?? "amd64"
        let text = fields.keys.sorted().map { "\($0): \(fields[$0] ?? "")\n" }.joined()
        let digest = Digest.of("\(name) \(version) \(text)")
        return "Package: \(name)\nVersion: \(version)\nArchitecture: \(architecture)\n\(text)"
            + "Filename: pool/main/\(name)_\(version)_\(architecture).deb\nSize: \(digest.size)\nSHA256: \(digest.hex)\n"
            + "Description: \(name)\n"
    }

    /// A source package's stanza; its files' digests depend on their names.
    static func source(_ name: String, _ version: String = "1.0") -> String {
        let files = ["\(name)_\(version).tar.xz", "\(name)_\(version).dsc"]
        let sums = files.map { " \(Digest.of($0).hex) \($0.utf8.count) \($0)\n" }.joined()
        return "Package: \(name)\nBinary: \(name)\nVersion: \(version)\nArchitecture: any\n"
            + "Directory: pool/main/\(name)\nFiles:\n 0123 1 old.dsc\nChecksums-Sha256:\n\(sums)"
    }

    /// Writes every suite and signs it.
    func publish(byHash: Bool = true) throws {
        for (suite, stanzas) in suites {
            let folder = "mirror/dists/\(suite)"
            let packages = stanzas.joined(separator: "\n")
            let digest = Digest.of(packages)
            try scratch.write("\(folder)/main/binary-amd64/Packages", packages)
            if byHash { try scratch.write("\(folder)/main/binary-amd64/by-hash/SHA256/\(digest.hex)", packages) }
            var fields = [
                "Suite": "stable", "Codename": suite, "Date": rfc822(date), "Acquire-By-Hash": "yes",
                "Architectures": "amd64 all", "Components": "main",
            ]
            fields.merge(release) { _, new in new }
            let text = fields.filter { !$0.value.isEmpty }.keys.sorted().map { "\($0): \(fields[$0] ?? "")\n" }.joined()
            var sums =
                release["SHA256"] == "" ? "" : "SHA256:\n \(digest.hex) \(digest.size) main/binary-amd64/Packages\n"
            if let stanzas = sources[suite] {
                let text = stanzas.joined(separator: "\n")
                try scratch.write("\(folder)/main/source/Sources", text)
                sums += " \(Digest.of(text).hex) \(text.utf8.count) main/source/Sources\n"
            }
            try scratch.write("\(folder)/Release", text + sums)
            try sign("\(scratch.path)/\(folder)")
        }
    }

    func sign(_ folder: String) throws {
        let keys = try TestKeys.shared.get()
        let base =
            "gpg --homedir \(keys.home) --batch --yes --quiet --pinentry-mode loopback --passphrase '' \(gpg) "
            + "-u \(signer)@example.org"
        let output = try Shell.run(
            "\(base) --clearsign -o \(folder)/InRelease \(folder)/Release && "
                + "\(base) --detach-sign -o \(folder)/Release.gpg \(folder)/Release")
        guard output.status == 0 else { throw ForgeError(.io, "gpg failed: \(output.text)") }
    }

    private func rfc822(_ seconds: Int64) -> String {
        var time = time_t(seconds)
        var parts = tm()
        gmtime_r(&time, &parts)
        var text = [CChar](repeating: 0, count: 64)
        let count = strftime(&text, text.count, "%a, %d %b %Y %H:%M:%S UTC", &parts)
        return String(decoding: text[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Changes a file of the mirror.
    func edit(_ path: String, _ change: (String) -> String) throws {
        let file = "\(scratch.path)/mirror/dists/\(path)"
        try Files.write(file, change(String(decoding: try Files.read(file), as: UTF8.self)))
    }

    // MARK: Locking

    var store: any ObjectStore = MemoryStore()
    var now: Int64 = 1_790_000_100
    var allowsExpired = false
    var keyring: Keyring?
    var snapshots: [String: [String]] = [:]
    /// Every URL that was asked for.
    let counter = CountingSource()

    func locker() throws -> DebianLocker {
        let keyring = try keyring ?? TestKeys.shared.get().good
        try Files.write("\(scratch.path)/keys.gpg", keyring.bytes)
        counter.fetcher = Fetcher(partialDirectory: scratch.path + "/partial")
        let reader = SuiteReader(
            source: counter, store: store, verifier: SignatureVerifier(scratch: scratch.path + "/tmp"), now: now,
            allowsExpired: allowsExpired)
        return DebianLocker(
            reader: reader, mirrors: Mirrors(archives: ["tiny": [url]], snapshots: snapshots),
            recipeFolder: scratch.path)
    }

    func request(
        _ packages: [String], suites: [DebianRequest.Suite]? = nil, pins: [PackagePin] = [],
        base: BaseSet = .essential
    ) -> DebianRequest {
        DebianRequest(
            suites: suites ?? [.init(archive: "tiny", suite: "moss")], archives: ["tiny": .init(keyring: "keys.gpg")],
            selection: Selection(base: base, packages: packages, pins: pins))
    }

    func request(sources: [String], suites: [DebianRequest.Suite]? = nil) -> DebianRequest {
        var request = request([], suites: suites)
        request.sources = sources
        return request
    }

    func lock(
        _ request: DebianRequest, previous: LockEntry? = nil, update: DebianLocker.Update = .none
    ) throws -> DebianLocker.Outcome {
        try locker().lock(id: "packages", parameters: [:], request: request, previous: previous, update: update)
    }
}

/// Counts what is asked of a mirror.
final class CountingSource: DocumentSource {
    var fetcher: Fetcher?
    private(set) var urls: [String] = []

    func get(anyOf urls: [String], limit: Int64) throws -> FetchedDocument {
        self.urls += urls
        guard let fetcher else { return .notFound }
        return try fetcher.get(anyOf: urls, limit: limit)
    }

    func reset() { urls = [] }
}

extension LockEntry {
    /// `name version` of each package.
    var list: [String] { debian?.packages.map { "\($0.name) \($0.version)" } ?? [] }
    /// `name version` of each source.
    var sourceList: [String] { debian?.sources.map { "\($0.name) \($0.version)" } ?? [] }
}
