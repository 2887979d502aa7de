package import ForgeBase
import Glibc

/// What a lock pins for one `debian-packages` stage: packages by digest, and when the archives had them. No host: a
/// package is accepted from anywhere, because its digest is known.
///
/// As JSON, canonical:
/// `{"archives":{"debian":{"snapshot":"20261120T083000Z"}},"date":1795168800,"packages":[{"architecture":"amd64",`
/// `"archive":"debian","digest":"<sha256>/<size>","name":"curl","path":"pool/main/c/curl/….deb","version":"…"}]}`
package struct DebianLock: Sendable, Equatable {
    package struct Archive: Sendable, Equatable {
        /// As in the stage's options, for example `debian-security`.
        package var id: String
        /// The time by which a snapshot service knows the archive's state, for example `20261120T083000Z`.
        package var snapshot: String?

        package init(id: String, snapshot: String? = nil) {
            self.id = id
            self.snapshot = snapshot
        }
    }

    package struct Package: Sendable, Equatable {
        package var name: String
        package var version: String
        /// `amd64` … or `all`.
        package var architecture: String
        /// Id of the archive that it comes from.
        package var archive: String
        /// Below the archive's base URL: `Filename` of the index.
        package var path: String
        /// Of the `.deb` file.
        package var digest: Digest

        package init(
            name: String, version: String, architecture: String, archive: String, path: String, digest: Digest
        ) {
            self.name = name
            self.version = version
            self.architecture = architecture
            self.archive = archive
            self.path = path
            self.digest = digest
        }

        /// The name that apt gives the file: `<name>_<version>_<architecture>.deb`, `:` escaped.
        package var fileName: String {
            "\(name)_\(version.split(separator: ":", omittingEmptySubsequences: false).joined(separator: "%3a"))"
                + "_\(architecture).deb"
        }
    }

    /// The newest date of the signed indexes that vouch for the packages, in seconds since 1970.
    package var date: Int64
    package var archives: [Archive]
    package var packages: [Package]

    package init(date: Int64, archives: [Archive], packages: [Package]) {
        self.date = date
        self.archives = archives
        self.packages = packages
    }

    /// The date as people write it, in UTC: `2026-11-20`.
    package var day: String {
        var time = time_t(date)
        var parts = tm()
        gmtime_r(&time, &parts)
        func two(_ number: Int32) -> String { (number < 10 ? "0" : "") + String(number) }
        return "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))"
    }
}

extension DebianLock {
    package var json: JSON {
        let archives = archives.map { archive in
            (archive.id, JSON.object(archive.snapshot.map { [("snapshot", .string($0))] } ?? []))
        }
        let packages = packages.map { package in
            JSON.object([
                ("name", .string(package.name)), ("version", .string(package.version)),
                ("architecture", .string(package.architecture)), ("archive", .string(package.archive)),
                ("path", .string(package.path)), ("digest", .string(package.digest.description)),
            ])
        }
        return JSON.object([("date", .int(date)), ("archives", .object(archives)), ("packages", .array(packages))])
            .canonical
    }

    /// - Throws: `.badInput` if a field is missing or would lead out of a directory: locks are files that people merge.
    package init(json: JSON) throws(ForgeError) {
        guard let date = json["date"]?.int, let archives = json["archives"]?.object,
            let packages = json["packages"]?.array
        else { throw DebianLock.fault("it has no date, archives and packages") }
        self.date = date
        self.archives = archives.map { Archive(id: $0.0, snapshot: $0.1["snapshot"]?.string) }
        self.packages = []
        for item in packages {
            guard let name = item["name"]?.string, let version = item["version"]?.string,
                let architecture = item["architecture"]?.string, let archive = item["archive"]?.string,
                let path = item["path"]?.string, let digest = item["digest"]?.string.flatMap({ Digest($0) })
            else { throw DebianLock.fault("the package “\(item["name"]?.string ?? "?")” lacks a field") }
            for (text, what) in [(name, "name"), (version, "version"), (architecture, "architecture")]
            where !DebianLock.isWord(text) {
                throw DebianLock.fault("“\(text)” is no \(what) of a package")
            }
            let parts = path.split(separator: "/", omittingEmptySubsequences: false)
            guard parts.allSatisfy({ !$0.isEmpty && $0 != "." && $0 != ".." }) else {
                throw DebianLock.fault("“\(path)” is no path below an archive")
            }
            guard archives.contains(where: { $0.0 == archive }) else {
                throw DebianLock.fault("\(name) is of the archive “\(archive)”, which is not listed")
            }
            self.packages.append(
                Package(
                    name: name, version: version, architecture: architecture, archive: archive, path: path,
                    digest: digest))
        }
    }

    /// Characters of names, versions and architectures, as Debian's policy has them.
    private static func isWord(_ text: String) -> Bool {
        !text.isEmpty && text.first != "."
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"):
                    true
                default: "+-.~:".utf8.contains(byte)
                }
            }
    }

    private static func fault(_ why: String) -> ForgeError {
        ForgeError(
            .badInput, "the lock's part for Debian packages is not valid: \(why)",
            remedy: "restore forge.lock from version control, or make it anew with `forge lock`")
    }
}
