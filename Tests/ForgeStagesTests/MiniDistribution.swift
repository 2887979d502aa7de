import ForgeBase
import ForgeRecipe
import ForgeScripts
import ForgeStore
import ForgeSystem
import Glibc
import Testing

@testable import ForgeStages

/// A distribution of a handful of packages, made of this machine's own dpkg, shell and libraries: everything that
/// dpkg needs to configure packages in a root of its own.
final class MiniDistribution: Sendable {
    let path: String
    let store: Store

    init() throws {
        var template = Array("/tmp/forge-rootfs-test-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        store = try Store(directory: path + "/cache")
        try shell("mkdir debs; umask 022\n" + Self.essential)
    }

    deinit { if getenv("KEEP_TEMPS") == nil { try? Removal.remove(path) } }

    /// Programs that dpkg wants to see, those that scripts of the tests run, and their libraries.
    private static let essential = """
        tree=$PWD/dpkg; mkdir -p $tree/DEBIAN $tree/usr/bin $tree/usr/sbin $tree/usr/lib $tree/usr/share/things
        mkdir -p $tree/usr/lib64 $tree/etc/default $tree/var/lib/dpkg $tree/var/log $tree/var/cache $tree/root
        mkdir -p $tree/tmp $tree/run $tree/proc $tree/dev $tree/sys; chmod 1777 $tree/tmp; chmod 700 $tree/root
        for name in sh dpkg dpkg-deb dpkg-divert dpkg-query dpkg-split dpkg-statoverride dpkg-trigger cat chmod cp cut \\
            date diff env id ln ls mkdir mkfifo readlink rm rmdir tar touch; do
            real=$(readlink -f $(command -v $name)); cp $real $tree/usr/bin/$name
            for lib in $(ldd $real | sed -n 's/.*=> \\(\\/[^ ]*\\) .*/\\1/p; s/^\\t\\(\\/[^ ]*\\) .*/\\1/p'); do
                there=/usr${lib#/usr}; mkdir -p $tree${there%/*}; cp -L $lib $tree$there
            done
        done
        # What the library of a false clock needs.
        fake=/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1
        for lib in $([ ! -e $fake ] || ldd $fake | sed -n 's/.*=> \\(\\/[^ ]*\\) .*/\\1/p'); do
            there=/usr${lib#/usr}; mkdir -p $tree${there%/*}; cp -L $lib $tree$there
        done
        for name in ldconfig start-stop-daemon; do
            printf '#!/bin/sh\\nexit 0\\n' > $tree/usr/sbin/$name; chmod 755 $tree/usr/sbin/$name
        done
        printf 'log everything\\n' > $tree/etc/default/dpkg
        printf 'Package: dpkg\\nVersion: 1.22\\nArchitecture: amd64\\nEssential: yes\\nMaintainer: m <m@example>\\n' \\
            > $tree/DEBIAN/control
        printf 'Description: d\\n' >> $tree/DEBIAN/control
        printf 'interest-noawait /usr/share/things\\n' > $tree/DEBIAN/triggers
        printf '/etc/default/dpkg\\n' > $tree/DEBIAN/conffiles
        printf '#!/bin/sh\\n[ "$1" != triggered ] || ls /usr/share/things > /var/lib/things\\n' > $tree/DEBIAN/postinst
        chmod 755 $tree/DEBIAN/postinst
        dpkg-deb --root-owner-group -Znone --build $tree debs/dpkg.deb >/dev/null

        tree=$PWD/base-passwd; mkdir -p $tree/DEBIAN
        printf 'Package: base-passwd\\nVersion: 1\\nArchitecture: all\\nEssential: yes\\nMaintainer: m <m@example>\\n' \\
            > $tree/DEBIAN/control
        printf 'Description: d\\n' >> $tree/DEBIAN/control
        cat > $tree/DEBIAN/preinst <<'END'
        #!/bin/sh
        set -e
        printf 'root:x:0:0:root:/root:/bin/sh\\nnobody:x:65534:65534:n:/:/bin/false\\n' > /etc/passwd
        printf 'root:x:0:\\nadm:x:4:\\nmail:x:8:\\n' > /etc/group
        printf 'root:*:%s:0:99999:7:::\\n' $(($(date +%s) / 86400)) > /etc/shadow; chmod 640 /etc/shadow
        END
        chmod 755 $tree/DEBIAN/preinst
        dpkg-deb --root-owner-group -Znone --build $tree debs/base-passwd.deb >/dev/null
        """

    @discardableResult
    func shell(_ text: String) throws -> String {
        String(decoding: try Command("/bin/sh", ["-euc", text], directory: path).outputOrThrow(), as: UTF8.self)
    }

    /// Adds a package.
    /// - Parameters:
    ///   - fields: further lines of its control file.
    ///   - files: a shell script that makes its files below the working directory.
    ///   - scripts: maintainer scripts by name, without the `#!` line, and other control files.
    func add(
        _ name: String, version: String = "1", fields: [String] = [], files: String = "",
        control: [(String, String)] = []
    ) throws {
        let tree = "\(path)/tree-\(name)"
        try Files.makeDirectories(tree + "/DEBIAN")
        let lines = ["Package: \(name)", "Version: \(version)", "Architecture: all", "Maintainer: m <m@example>"]
        try Files.write(tree + "/DEBIAN/control", (lines + fields + ["Description: d", ""]).joined(separator: "\n"))
        for (file, text) in control {
            let isScript = ["preinst", "postinst", "prerm", "postrm", "config"].contains(file)
            try Files.write("\(tree)/DEBIAN/\(file)", (isScript ? "#!/bin/sh\nset -e\n" : "") + text + "\n")
            chmod("\(tree)/DEBIAN/\(file)", isScript ? 0o755 : 0o644)
        }
        try shell(
            "cd \(tree); umask 022\n\(files)\ndpkg-deb --root-owner-group -Znone --build . ../debs/\(name).deb >/dev/null"
        )
    }

    /// What a build gave.
    struct Built {
        var tree: Tree
        var provides: [JSON]
        var log: String

        private let store: Store

        init(tree: Tree, provides: [JSON], log: String, store: Store) {
            self.tree = tree
            self.provides = provides
            self.log = log
            self.store = store
        }

        /// The text of a file; nil if there is none.
        func text(_ path: String) throws -> String? {
            guard case .file(let digest)? = tree[ByteString(path)]?.kind else { return nil }
            return String(decoding: try store.read(digest), as: UTF8.self)
        }
    }

    /// Makes the root file system as `forge` does: by the helper program, in namespaces of its own.
    func build(
        _ options: [(String, JSON)] = [], jobs: Int = 2, clockOffset: String? = nil, scratch: String = "scratch"
    ) throws -> Built {
        let packages = try TreeReader.ingest(directory: path + "/debs", into: store, owner: .ignore).save(in: store)
        try store.flush()
        let request = JSON.object([
            ("action", .string("test/base")), ("stage", .string("rootfs")), ("run", .string("builtin:rootfs")),
            ("stage_digest", .string("2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881/1")),
            ("options", .object(options)),
            (
                "inputs",
                .array([
                    .object([
                        ("name", .string("packages")), ("label", .string("")), ("kind", .string("tree")),
                        ("digest", .string(packages.description)),
                    ])
                ])
            ),
            ("outputs", .array([.object([("name", .string("tree")), ("kind", .string("tree"))])])),
            ("build_root", .null), ("locked", .null), ("epoch", .int(1_700_000_000)),
            ("architecture", .string("amd64")), ("seed", .string(packages.description)),
            ("cache", .string(path + "/cache")), ("scratch", .string("\(path)/\(scratch)")),
            ("jobs", .int(Int64(jobs))),
            ("mirrors", .object([])), ("snapshots", .object([])),
            ("clock_offset", clockOffset.map(JSON.string) ?? .null),
        ])
        try Files.makeDirectories("\(path)/\(scratch)")
        let command = Command(
            Self.helper, ["run"], input: .bytes(Array(request.description.utf8)), events: true,
            namespaces: .private(network: false))
        let child = try command.start()
        var (log, events): ([UInt8], [UInt8]) = ([], [])
        let (report, timedOut) = try child.drain(timeoutSeconds: 120) { bytes, _ throws(ForgeError) in
            log += bytes
            while let more = try child.readEvents(), !more.isEmpty { events += more }
        }
        while let more = try child.readEvents(), !more.isEmpty { events += more }
        try #require(!timedOut, "the helper hangs")
        try? Removal.remove("\(path)/\(scratch)")
        let text = String(decoding: log, as: UTF8.self)
        let last = events.split(separator: UInt8(ascii: "\n")).last.map { Array($0) } ?? []
        let event = try JSON(parsing: last, file: "events: \(report) \(text)")
        if let error = event["error"].flatMap({ ForgeError(json: $0) }) { throw error }
        let digest = try #require(event["outputs"]?.array?.first?["digest"]?.string.flatMap { Digest($0) }, "\(text)")
        return Built(
            tree: try Tree.load(digest, from: store), provides: event["provides"]?.array ?? [], log: text, store: store)
    }

    /// Where the package manager puts executables: beside the test bundle.
    private static let helper: String = {
        let bundle = CommandLine.arguments.first { $0.contains(".xctest") } ?? ""
        let parts = bundle.split(separator: "/", omittingEmptySubsequences: false)
        let end = parts.firstIndex { $0.hasSuffix(".xctest") } ?? parts.endIndex
        let beside = parts[..<end].joined(separator: "/") + "/forge-helper"
        return Files.exists(beside) ? beside : Files.parent(of: #filePath) + "/../../.build/debug/forge-helper"
    }()
}
