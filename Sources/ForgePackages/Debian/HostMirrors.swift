package import ForgeBase
import ForgeSystem

/// Where archives are found: base URLs by archive id. Never part of a lock or of a key.
package struct Mirrors: Sendable, Equatable {
    /// Base URLs in order of preference.
    package var archives: [String: [String]]
    /// Base URLs of snapshot services in order of preference, with `@SNAPSHOTID@` where the time stands.
    package var snapshots: [String: [String]]

    package init(archives: [String: [String]] = [:], snapshots: [String: [String]] = [:]) {
        self.archives = archives
        self.snapshots = snapshots
    }

    /// The other's places where it has some, else these.
    package func overridden(by other: Mirrors) -> Mirrors {
        Mirrors(
            archives: archives.merging(other.archives.filter { !$0.value.isEmpty }) { _, new in new },
            snapshots: snapshots.merging(other.snapshots.filter { !$0.value.isEmpty }) { _, new in new })
    }

    /// The URLs of an archive.
    /// - Throws: `.badInput` that says how to name one.
    package func urls(of archive: String) throws(ForgeError) -> [String] {
        if let urls = archives[archive], !urls.isEmpty { return urls }
        let variable = "FORGE_MIRROR_\(archive.uppercased().replacing("-", with: "_"))"
        throw ForgeError(
            .badInput, "no mirror is known for the archive “\(archive)”",
            details: ["neither the command line, the environment, the recipe nor this machine's apt sources name one"],
            remedy: "pass --mirror \(archive)=URL, or set \(variable)=URL")
    }
}

/// The mirrors that the machine's own apt uses: the nearest and the ones that its owner trusts.
package enum HostMirrors {
    /// Reads `/etc/apt` below a root; unreadable files are passed over, because nothing here is required.
    package static func read(root: String = "") -> Mirrors {
        var mirrors = Mirrors()
        let etc = "\(root)/etc/apt"
        for (uri, suites, isDebian) in entries(etc) {
            for suite in suites {
                let isSecurity = suite.hasSuffix("-security") || suite.hasSuffix("/updates")
                guard isDebian || isDebianSuite(suite) else { continue }
                let id = isSecurity ? "debian-security" : "debian"
                let url = uri.hasSuffix("/") ? String(uri.dropLast()) : uri
                if !mirrors.archives[id, default: []].contains(url) { mirrors.archives[id, default: []].append(url) }
            }
        }
        for file in [etc + "/apt.conf"] + files(etc + "/apt.conf.d", "") { readSnapshots(file, into: &mirrors) }
        return mirrors
    }

    private static func entries(_ etc: String) -> [(uri: String, suites: [String], isDebian: Bool)] {
        var out: [(String, [String], Bool)] = []
        for file in [etc + "/sources.list"] + files(etc + "/sources.list.d", ".list") {
            for line in text(file).split(separator: "\n") {
                var line = line.drop { $0 == " " || $0 == "\t" }
                if let hash = line.firstIndex(of: "#") { line = line[..<hash] }
                guard line.hasPrefix("deb ") || line.hasPrefix("deb\t") || line.hasPrefix("deb[") else { continue }
                line = line.dropFirst(3)
                let isDebian = line.contains("/debian-archive-")
                if let open = line.firstIndex(of: "["), let close = line.firstIndex(of: "]"), open < close {
                    line = line[line.index(after: close)...]
                }
                let words = line.split { $0 == " " || $0 == "\t" }.map(String.init)
                if words.count >= 2 { out.append((words[0], [words[1]], isDebian)) }
            }
        }
        for file in files(etc + "/sources.list.d", ".sources") {
            for stanza in (try? Deb822Stanza.parse(Array(text(file).utf8), file: file)) ?? [] {
                guard stanza["Enabled"]?.lowercased() != "no", stanza.words("Types").contains("deb") else { continue }
                let isDebian = stanza["Signed-By"]?.contains("/debian-archive-") == true
                for uri in stanza.words("URIs") { out.append((uri, stanza.words("Suites"), isDebian)) }
            }
        }
        // `mirror+file:` and `cdrom:` are apt's own affair.
        return out.filter { $0.0.hasPrefix("http://") || $0.0.hasPrefix("https://") || $0.0.hasPrefix("file:/") }
    }

    /// Codenames of Debian, so that another distribution's or a vendor's archive is never taken for it.
    private static func isDebianSuite(_ suite: String) -> Bool {
        let known = [
            "bullseye", "bookworm", "trixie", "forky", "duke", "sid", "unstable", "testing", "stable", "oldstable",
        ]
        let stem = suite.split { $0 == "-" || $0 == "/" }.first.map(String.init) ?? ""
        let rest = suite.dropFirst(stem.count)
        return known.contains(stem)
            && ["", "-updates", "-security", "/updates", "-backports", "-proposed-updates"].contains(rest)
    }

    /// `Acquire::Snapshots::URI::Host::NAME "URL";` and the like, of which only Debian's two archives matter here.
    private static func readSnapshots(_ file: String, into mirrors: inout Mirrors) {
        for line in text(file).split(separator: "\n") where line.contains("Acquire::Snapshots::URI::") {
            let parts = line.split(separator: "\"")
            guard parts.count >= 2, parts[1].contains("@SNAPSHOTID@") else { continue }
            let id = parts[1].contains("debian-security") ? "debian-security" : "debian"
            // As with apt, the last line counts.
            mirrors.snapshots[id] = [String(parts[1])]
        }
    }

    private static func files(_ directory: String, _ suffix: String) -> [String] {
        let names = (try? Files.list(directory)) ?? []
        return names.map(\.description).filter { $0.hasSuffix(suffix) && !$0.hasPrefix(".") }.map {
            "\(directory)/\($0)"
        }
    }

    private static func text(_ file: String) -> String {
        String(decoding: (try? Files.readIfPresent(file)) ?? [], as: UTF8.self)
    }
}
