import ForgeArchive
import ForgeBase
import ForgePackages
import ForgeStore
import ForgeSystem
import Glibc

/// One relation to another package: a name, and a version if one is asked for.
struct PackageRelation: Sendable, Equatable {
    var name: String
    /// `<<`, `<=`, `=`, `>=`, `>>`.
    var comparison: String?
    var version: String?

    /// Whether a version fits.
    func accepts(_ other: String) -> Bool {
        guard let comparison, let version else { return true }
        let order = DebianVersion.compare(other, version)
        switch comparison {
        case "<<": return order < 0
        case "<=", "<": return order <= 0
        case "=": return order == 0
        case ">=", ">": return order >= 0
        case ">>": return order > 0
        default: return false
        }
    }

    /// Reads `a (>= 1) | b, c:any`: a list of lists of alternatives.
    static func parse(_ text: String?) -> [[PackageRelation]] {
        (text ?? "").split(separator: ",").map { group in
            group.split(separator: "|").compactMap { alternative in
                let words = alternative.split { " \t\n()[]<>=".contains($0) }
                guard let first = words.first else { return nil }
                var relation = PackageRelation(name: String(first.prefix { $0 != ":" }))
                if let open = alternative.firstIndex(of: "("), let close = alternative.lastIndex(of: ")") {
                    let inner = alternative[alternative.index(after: open)..<close]
                    relation.comparison = String(inner.filter { "<>=".contains($0) })
                    relation.version = inner.split { " \t<>=".contains($0) }.first.map(String.init)
                }
                return relation
            }
        }
    }
}

/// A Debian package as the root file system stage needs it.
struct DebPackage: Sendable {
    /// Name of the file in the input.
    let file: String
    /// Of the .deb file.
    let digest: Digest
    /// The text of the control file.
    let control: [UInt8]
    /// Scripts and lists of the control archive.
    let controlFiles: [DebArchive.ControlFile]
    let tree: Tree
    /// Paths in the archive's order.
    let order: [ByteString]

    let name: String
    let version: String
    let architecture: String
    /// Name and version of the source package, as Debian writes them.
    let source: String
    let isEssential: Bool
    /// `name:architecture` where several architectures may be installed together, else the name: dpkg's file names.
    let databaseName: String
    let preDepends: [[PackageRelation]]
    let depends: [[PackageRelation]]
    let provides: [PackageRelation]
    let replaces: [PackageRelation]
    /// Configuration files, as the package lists them.
    let conffiles: [Conffile]

    /// A line of the control archive's `conffiles`.
    struct Conffile: Sendable {
        /// Absolute.
        var path: ByteString
        /// `remove-on-upgrade`: the package no longer has it.
        var isObsolete: Bool
    }

    /// Where a script of a name is; nil if the package has none.
    func script(_ name: String) -> DebArchive.ControlFile? { controlFiles.first { $0.name == name } }

    /// Unpacks a package into the store, or takes what an earlier run has unpacked.
    init(file: String, digest: Digest, store: Store, scratch: String) throws {
        self.file = file
        self.digest = digest
        let unpacked: Unpacked
        if let known = try Unpacked(memoOf: digest, in: store) {
            unpacked = known
        } else {
            unpacked = try Unpacked(unpacking: digest, file: file, store: store, scratch: scratch)
            try unpacked.remember(digest, in: store)
        }
        (control, controlFiles, tree, order) = (unpacked.control, unpacked.files, unpacked.tree, unpacked.order)
        guard let fields = try Deb822Stanza.parse(control, file: "\(file) (control)").first,
            let name = fields["Package"], let version = fields["Version"], let architecture = fields["Architecture"]
        else {
            throw ForgeError(.verification, "\(file): its control file has no Package, Version or Architecture")
        }
        (self.name, self.version, self.architecture) = (name, version, architecture)
        let source = fields["Source"] ?? name
        self.source = source.contains("(") ? source : "\(source) (\(version))"
        isEssential = fields["Essential"] == "yes"
        databaseName = fields["Multi-Arch"] == "same" ? "\(name):\(architecture)" : name
        preDepends = PackageRelation.parse(fields["Pre-Depends"])
        depends = PackageRelation.parse(fields["Depends"])
        provides = PackageRelation.parse(fields["Provides"]).flatMap { $0 }
        replaces = PackageRelation.parse(fields["Replaces"]).flatMap { $0 }
        conffiles = try DebPackage.conffiles(controlFiles, store)
    }

    private static func conffiles(_ files: [DebArchive.ControlFile], _ store: Store) throws -> [Conffile] {
        guard let list = files.first(where: { $0.name == "conffiles" }) else { return [] }
        let mark = Array("remove-on-upgrade ".utf8)
        return try store.read(list.digest).split(separator: UInt8(ascii: "\n")).compactMap { line in
            let isObsolete = line.starts(with: mark)
            let path = isObsolete ? line.dropFirst(mark.count) : line
            return path.first == UInt8(ascii: "/") ? Conffile(path: ByteString(path), isObsolete: isObsolete) : nil
        }
    }

    /// What the stage reports of a package.
    var json: JSON {
        .object([
            ("type", .string("deb")), ("name", .string(name)), ("version", .string(version)),
            ("architecture", .string(architecture)), ("source", .string(source)),
            ("digest", .string(digest.description)),
        ])
    }
}

/// What unpacking a package gave, remembered by the digest of the .deb file.
private struct Unpacked {
    /// Changes with the meaning of the memo.
    static let memo = "deb.1"

    let control: [UInt8]
    let files: [DebArchive.ControlFile]
    let tree: Tree
    let order: [ByteString]

    init(unpacking digest: Digest, file: String, store: Store, scratch: String) throws {
        // Its own checksums cover parts of a package only, and what is unpacked is remembered by this digest.
        try store.each(digest) { _ in }
        var path = try store.path(of: digest)
        // Small packages are rows of the store's database.
        let copy = "\(scratch)/\(digest.hex).deb"
        if path == nil {
            try store.export(digest, to: copy, mode: 0o600)
            path = copy
        }
        defer { unlink(copy) }
        let archive = try DebArchive(path: path ?? copy, name: file, into: store)
        control = archive.control
        files = archive.controlFiles
        tree = archive.tree
        order = archive.order
    }

    init?(memoOf digest: Digest, in store: Store) throws {
        guard let value = try store.memo(Unpacked.memo, digest.hash),
            let json = try? JSON(parsing: value, file: "memo"),
            let control = json["control"]?.string.flatMap({ Digest($0) }), try store.contains(control),
            let tree = json["tree"]?.string.flatMap({ Digest($0) }), try store.contains(tree),
            let order = json["order"]?.string.flatMap({ Digest($0) }), try store.contains(order)
        else { return nil }
        var files: [DebArchive.ControlFile] = []
        for item in json["files"]?.array ?? [] {
            guard let name = item["name"]?.string, let digest = item["digest"]?.string.flatMap({ Digest($0) }),
                let executable = item["executable"]?.bool, try store.contains(digest)
            else { return nil }
            files.append(DebArchive.ControlFile(name: name, digest: digest, isExecutable: executable))
        }
        self.files = files
        self.control = try store.read(control)
        self.tree = try Tree.load(tree, from: store)
        // Garbage collection may have taken files of a package that no result holds.
        for object in self.tree.objects where try !store.contains(object) { return nil }
        self.order = try store.read(order).split(separator: 0, omittingEmptySubsequences: false).dropLast().map {
            ByteString($0)
        }
    }

    func remember(_ digest: Digest, in store: Store) throws {
        var list: [UInt8] = []
        for path in order { list += path.bytes + [0] }
        let json = JSON.object([
            ("control", .string(try store.put(control).description)),
            ("tree", .string(try tree.save(in: store).description)),
            ("order", .string(try store.put(text: list).description)),
            (
                "files",
                .array(
                    files.map {
                        .object([
                            ("name", .string($0.name)), ("digest", .string($0.digest.description)),
                            ("executable", .bool($0.isExecutable)),
                        ])
                    })
            ),
        ])
        store.setMemo(Unpacked.memo, digest.hash, Array(json.description.utf8))
    }
}
