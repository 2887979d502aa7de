import ForgeArchive
import ForgeBase
import ForgeStore
import ForgeSystem
import Glibc

/// dpkg's database in the image, written as dpkg itself writes it when it has unpacked a package, and dpkg in the
/// image to configure what is unpacked. See dpkg(1), deb-triggers(5) and dpkg's internals manual.
struct Dpkg {
    let root: RootDirectory
    let store: Store
    let packages: [DebPackage]
    let program: RootProgram

    private static let folder: ByteString = "var/lib/dpkg"

    /// A file of the database.
    private func path(_ name: String) -> ByteString { Dpkg.folder.appending(ByteString(name)) }

    /// An empty database.
    func begin() throws {
        for folder in ["info", "updates", "triggers", "alternatives", "parts"] {
            _ = try root.directory(path(folder))
        }
        try root.write(path("info/format"), "1\n")
        try root.write(path("status"), "")
    }

    // MARK: Unpacked

    /// Records packages as unpacked, after their files were placed.
    /// - Parameter lost: paths (absolute) of a package that another one replaces.
    func record(_ indices: [Int], lost: [Int: Set<ByteString>]) throws {
        var status = try root.read(path("status")) ?? []
        for index in indices {
            let package = packages[index]
            let prefix = "info/\(package.databaseName)."
            for file in package.controlFiles {
                let mode: UInt32 = file.isExecutable ? 0o755 : 0o644
                try root.write(path(prefix + file.name), store.read(file.digest), mode: mode)
            }
            try writeList(of: index, lost: lost[index] ?? [])
            status += stanza(package)
        }
        try root.write(path("status"), status)
        for index in indices { try registerInterests(of: packages[index]) }
    }

    /// Writes a package's `.list`: absolute paths as shipped, in the archive's order, the root as `/.`.
    func writeList(of index: Int, lost: Set<ByteString>) throws {
        var list: [UInt8] = []
        for name in packages[index].order {
            let absolute = ByteString([UInt8(ascii: "/")] + name.bytes)
            if lost.contains(absolute) { continue }
            list += name.bytes.isEmpty ? Array("/.".utf8) : absolute.bytes
            list.append(UInt8(ascii: "\n"))
        }
        try root.write(path("info/\(packages[index].databaseName).list"), list)
    }

    /// The control file as a stanza of the status file. dpkg brings the fields into its own order.
    private func stanza(_ package: DebPackage) -> [UInt8] {
        var text: [UInt8] = []
        for line in package.control.split(separator: UInt8(ascii: "\n")) {
            text += line
            text.append(UInt8(ascii: "\n"))
        }
        text += "Status: install ok unpacked\n".utf8
        if !package.conffiles.isEmpty {
            text += "Conffiles:\n".utf8
            for file in package.conffiles {
                text += [UInt8(ascii: " ")] + file.path.bytes
                text += (file.isObsolete ? " newconffile remove-on-upgrade\n" : " newconffile\n").utf8
            }
        }
        return text + [UInt8(ascii: "\n")]
    }

    // MARK: Triggers

    private struct Interest {
        var trigger: String
        /// `-noawait` in the declaration.
        var option: String
    }

    private func interests(of package: DebPackage) throws -> [Interest] {
        guard let file = package.controlFiles.first(where: { $0.name == "triggers" }) else { return [] }
        return String(decoding: try store.read(file.digest), as: UTF8.self).split(separator: "\n").compactMap { line in
            let words = line.prefix { $0 != "#" }.split { $0 == " " || $0 == "\t" }
            guard words.count == 2, words[0].hasPrefix("interest") else { return nil }
            return Interest(trigger: String(words[1]), option: words[0] == "interest-noawait" ? "/noawait" : "")
        }
    }

    private func registerInterests(of package: DebPackage) throws {
        for interest in try interests(of: package) {
            let isFile = interest.trigger.hasPrefix("/")
            let file = path(isFile ? "triggers/File" : "triggers/\(interest.trigger)")
            var text = try root.text(file)
            text += (isFile ? "\(interest.trigger) " : "") + package.databaseName + interest.option + "\n"
            try root.write(file, text)
        }
    }

    /// Activates the file triggers of configured packages for files that have been placed, as unpacking by dpkg does.
    /// - Parameters:
    ///   - shipped: absolute paths.
    ///   - configured: packages whose interests count.
    func activateTriggers(for shipped: [ByteString], of configured: [Int]) throws {
        var triggers: Set<String> = []
        for index in configured {
            for interest in try interests(of: packages[index]) where interest.trigger.hasPrefix("/") {
                triggers.insert(interest.trigger)
            }
        }
        let active = triggers.sorted { $0.precedes($1) }.filter { trigger in
            let directory = ByteString(trigger)
            return shipped.contains { $0.isBelow(directory) }
        }
        guard !active.isEmpty else { return }
        // What dpkg-trigger writes: dpkg reads it when it starts. `-` says that no package waits.
        try root.write(path("triggers/Unincorp"), active.map { "\($0) -\n" }.joined())
    }

    // MARK: Scripts

    /// Runs the preinst scripts of packages in order, each from where dpkg has it, with the package's control files
    /// beside it.
    func runPreinst(_ indices: [Int]) throws {
        for index in indices {
            let package = packages[index]
            guard package.script("preinst") != nil else { continue }
            try root.write(path("tmp.ci/control"), package.control)
            for file in package.controlFiles {
                let mode: UInt32 = file.isExecutable ? 0o755 : 0o644
                try root.write(path("tmp.ci/\(file.name)"), store.read(file.digest), mode: mode)
            }
            let outcome = try program.run(
                "/var/lib/dpkg/tmp.ci/preinst", ["install"], extra: environment(of: package, script: "preinst"))
            root.forget()
            try root.remove(path("tmp.ci"))
            guard outcome.report.succeeded else {
                throw ForgeError(
                    .stageFailed,
                    "the preinst script of \(package.name) \(package.version) \(outcome.report.status)",
                    details: outcome.lastLines(15), remedy: Dpkg.advice)
            }
        }
    }

    private func environment(of package: DebPackage, script: String) -> [(String, String)] {
        let version = packages.first { $0.name == "dpkg" }?.version ?? ""
        return [
            ("DPKG_MAINTSCRIPT_PACKAGE", package.name), ("DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT", "1"),
            ("DPKG_MAINTSCRIPT_ARCH", package.architecture), ("DPKG_MAINTSCRIPT_NAME", script),
            ("DPKG_MAINTSCRIPT_DEBUG", "0"), ("DPKG_RUNNING_VERSION", version), ("DPKG_ADMINDIR", "/var/lib/dpkg"),
            ("DPKG_ROOT", ""), ("DPKG_FORCE", "unsafe-io"),
        ]
    }

    private static let advice =
        "see the log for everything it said; `forge shell` opens the stage's sandbox, where the script can be run again"

    /// Configures everything that is unpacked.
    func configure() throws {
        let arguments = [
            "--configure", "--pending", "--force-unsafe-io", "--force-confdef", "--force-confold", "--abort-after=1",
        ]
        let outcome = try program.run("/usr/bin/dpkg", arguments)
        root.forget()
        guard !outcome.report.succeeded else { return }
        throw Dpkg.failure(outcome)
    }

    /// What dpkg's own report says: `dpkg: error processing package X (--configure):` and, in the next lines, why;
    /// before it, what the script printed.
    static func failure(_ outcome: RootProgram.Outcome) -> ForgeError {
        let lines = outcome.output.split(separator: "\n").map(String.init)
        let mark = "dpkg: error processing package "
        guard let at = lines.firstIndex(where: { $0.hasPrefix(mark) }) else {
            return ForgeError(
                .stageFailed, "dpkg \(outcome.report.status) while it configured packages",
                details: outcome.lastLines(15), remedy: advice)
        }
        let package = String(lines[at].dropFirst(mark.count).prefix { $0 != " " })
        let reason = at + 1 < lines.count ? lines[at + 1].trimmed : "dpkg \(outcome.report.status)"
        // Since the line that names the package, or what fits on a screen.
        let start = lines[..<at].lastIndex { $0.hasPrefix("Setting up \(package) ") } ?? max(0, at - 15)
        let said = lines[max(start, at - 15)..<at].filter { !$0.trimmed.isEmpty }
        return ForgeError(
            .stageFailed, "\(package) can't be configured: \(reason)", details: Array(said), remedy: advice)
    }
}
