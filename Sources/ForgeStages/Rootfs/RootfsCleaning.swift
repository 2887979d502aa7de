import ForgeBase
import ForgeStore
import ForgeSystem
import Glibc

/// Takes away what belongs to one machine or one moment, so that two builds give the same tree and every node its own
/// identity.
struct RootfsCleaning {
    let root: RootDirectory
    let options: RootfsOptions
    let epoch: Int64

    func run() throws {
        try removeTraces()
        try removeIdentity()
        try emptyLogs()
        try fixShadowDays()
        try removeOptional()
        try checkTemporaries()
    }

    /// Caches, locks, backups and journals of the tools that made the tree.
    private func removeTraces() throws {
        let paths: [ByteString] = [
            "usr/sbin/policy-rc.d", "var/lib/dpkg/tmp.ci", "var/lib/dpkg/lock", "var/lib/dpkg/lock-frontend",
            "var/lib/dpkg/triggers/Lock", "var/lib/dpkg/status-old", "var/lib/dpkg/diversions-old",
            "var/lib/dpkg/statoverride-old", "var/lib/dpkg/available-old", "var/cache/debconf/config.dat-old",
            "var/cache/debconf/templates.dat-old", "var/cache/debconf/passwords.dat-old",
            "var/cache/ldconfig/aux-cache", "etc/passwd-", "etc/group-", "etc/shadow-", "etc/gshadow-", "etc/subuid-",
            "etc/subgid-", "etc/.pwd.lock", "var/lib/apt/lists/lock", "var/cache/apt/archives/lock",
            "var/cache/apt/pkgcache.bin", "var/cache/apt/srcpkgcache.bin", "root/.bash_history", "root/.wget-hsts",
        ]
        for path in paths { try root.remove(path) }
        for folder: ByteString in ["var/lib/apt/lists", "var/cache/apt/archives"] {
            try each(in: folder) { path, status in if status.kind == .file { try root.remove(path) } }
        }
        for folder: ByteString in ["tmp", "run", "var/tmp"] {
            try each(in: folder) { path, _ in if path != "run/lock" { try root.remove(path) } }
        }
    }

    /// What every node makes for itself at its first boot: see machine-id(5) and systemd-random-seed.service(8).
    private func removeIdentity() throws {
        for path: ByteString in [
            "var/lib/systemd/random-seed", "var/lib/systemd/credential.secret", "var/lib/urandom/random-seed",
            "var/lib/dbus/machine-id", "etc/resolv.conf.bak", "etc/.resolv.conf.systemd-resolved.bak",
        ] { try root.remove(path) }
        // An empty file: systemd then makes an id at boot, and a read-only root can have one mounted over it.
        try root.write("etc/machine-id", [], mode: 0o444)
        if options.hostname == nil { try root.remove("etc/hostname") }
        try each(in: "etc/ssh") { path, _ in
            let name = path.lastPart.description
            if name.hasPrefix("ssh_host_"), name.hasSuffix("_key") || name.hasSuffix("_key.pub") {
                try root.remove(path)
            }
        }
    }

    /// Logs become empty where a package's script made them on purpose (wtmp and its like), and go otherwise.
    private func emptyLogs() throws {
        let kept: Set<ByteString> = ["wtmp", "btmp", "lastlog", "faillog"]
        func clear(_ folder: ByteString) throws {
            try each(in: folder) { path, status in
                switch status.kind {
                case .directory: try clear(path)
                case .file where kept.contains(path.lastPart): try root.write(path, [])
                case .file: try root.remove(path)
                default: break
                }
            }
        }
        try clear("var/log")
    }

    /// The days on which passwords were last changed, third field of /etc/shadow, become the day of the epoch.
    private func fixShadowDays() throws {
        guard let bytes = try root.read("etc/shadow") else { return }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n").map { line in
            var fields = line.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
            if fields.count > 2, Int(fields[2]) != nil { fields[2] = String(epoch / 86_400) }
            return fields.joined(separator: ":") + "\n"
        }
        try root.write("etc/shadow", lines.joined())
    }

    /// What the recipe wants gone: globs over absolute paths.
    private func removeOptional() throws {
        if !options.keepsByteCode { try removeByteCode(in: ByteString([])) }
        for pattern in options.remove {
            let found = try matches(pattern)
            guard !found.isEmpty else {
                throw ForgeError(
                    .badInput, "stage rootfs: “\(pattern)” in remove matches nothing in the image",
                    remedy: "take it out, or correct it")
            }
            for path in found { try root.remove(path) }
        }
    }

    private func removeByteCode(in folder: ByteString) throws {
        try each(in: folder) { path, status in
            guard status.kind == .directory else { return }
            if path.lastPart == "__pycache__" { try root.remove(path) } else { try removeByteCode(in: path) }
        }
    }

    /// Paths that match a glob part by part, so that `*` does not match `/`.
    private func matches(_ pattern: String) throws -> [ByteString] {
        var found: [ByteString] = [ByteString([])]
        for part in pattern.split(separator: "/") {
            var next: [ByteString] = []
            for folder in found {
                guard let place = try root.follow(folder), root.status(place)?.kind == .directory else { continue }
                try each(in: place) { path, _ in
                    if ByteString(String(part)).withCString({ glob in
                        path.lastPart.withCString { fnmatch(glob, $0, FNM_PERIOD) }
                    }) == 0 {
                        next.append(path)
                    }
                }
            }
            found = next
        }
        return found.filter { !$0.bytes.isEmpty }
    }

    /// dpkg's own temporary names left in the tree mean that something was not configured.
    private func checkTemporaries() throws {
        func look(_ folder: ByteString) throws {
            try each(in: folder) { path, status in
                if status.kind == .directory { return try look(path) }
                let name = path.lastPart.description
                if name.hasSuffix(".dpkg-new") || name.hasSuffix(".dpkg-tmp") {
                    throw ForgeError(.bug, "/\(path) was left by an installation that did not finish")
                }
            }
        }
        try look("etc")
    }

    /// Calls `body` for every name in a directory, with its path; nothing if there is no such directory.
    private func each(in folder: ByteString, _ body: (ByteString, FileStatus) throws -> Void) throws {
        guard root.status(folder)?.kind == .directory else { return }
        for name in try root.handle.descend(folder).list() {
            let path = folder.appending(name)
            if let status = root.status(path) { try body(path, status) }
        }
    }
}
