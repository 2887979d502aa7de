import ForgeArchive
import ForgeBase
import ForgeEngine
import ForgeScripts
import ForgeStore

/// The stage `overlay`: files of the recipe as a layer.
///
/// Modes come from the executable bit alone and the owner is root, so that a checkout with another umask or user gives
/// the same layer; options say where it is otherwise.
struct OverlayStage {
    let context: StageContext

    /// Directories that systems give another mode or group than 0755 root. A layer that puts a file into one must not
    /// change it: the uppermost layer that has a directory decides its mode. Git keeps no modes of directories.
    static let directories: [ByteString: (mode: UInt32, gid: UInt32)] = [
        "root": (0o700, 0), "root/.ssh": (0o700, 0), "tmp": (0o1777, 0), "var/tmp": (0o1777, 0),
        "run/lock": (0o1777, 0), "var/mail": (0o2775, 8), "var/local": (0o2775, 50), "etc/ssl/private": (0o700, 0),
        "etc/sudoers.d": (0o750, 0), "var/lib/private": (0o700, 0), "var/cache/private": (0o700, 0),
        "var/log/private": (0o700, 0),
    ]

    /// A directory that no option describes.
    private func directory(_ path: ByteString) -> TreeEntry {
        let known = OverlayStage.directories[path] ?? (0o755, 0)
        return TreeEntry(path, .directory, mode: known.mode, gid: known.gid)
    }

    func run() throws -> StageResult {
        var entries: [ByteString: TreeEntry] = ["": TreeEntry("", .directory, mode: 0o755)]
        if context.inputs("source").first != nil {
            for entry in try context.tree("source").entries {
                entries[entry.path] = entry.isDirectory ? directory(entry.path) : entry
            }
        }
        for item in context.options["files"]?.array ?? [] { try add(item, to: &entries) }
        for item in context.options["attributes"]?.array ?? [] { try change(item, in: &entries) }
        for path in (context.options["remove"]?.array ?? []).compactMap(\.string) {
            try insert(.whiteout(try relative(path)), into: &entries)
        }
        return try .tree(try Tree(entries.values), in: context.store)
    }

    private func add(_ item: JSON, to entries: inout [ByteString: TreeEntry]) throws {
        let path = try relative(item["path"]?.string ?? "")
        let kind: TreeEntry.Kind
        var mode: UInt32 = 0o644
        switch (item["content"]?.string, item["link"]?.string, item["directory"]?.bool ?? false) {
        case (let content?, nil, false): kind = .file(try context.store.put(Array(content.utf8)))
        case (nil, let link?, false): kind = .symlink(ByteString(link))
        case (nil, nil, true):
            kind = .directory
            mode = directory(path).mode
        default:
            throw ForgeError(
                .badInput, "stage overlay: /\(path) in files needs one of “content”, “link” and “directory”")
        }
        var entry = TreeEntry(path, kind, mode: mode)
        try apply(item, to: &entry)
        try insert(entry, into: &entries)
    }

    private func change(_ item: JSON, in entries: inout [ByteString: TreeEntry]) throws {
        let path = try relative(item["path"]?.string ?? "")
        guard var entry = entries[path] else {
            throw ForgeError(
                .badInput, "stage overlay: attributes are given for /\(path), which the layer does not have",
                remedy: "correct the path, or add the file")
        }
        try apply(item, to: &entry)
        entries[path] = entry
    }

    private func apply(_ item: JSON, to entry: inout TreeEntry) throws {
        if let uid = item["uid"]?.int { entry.uid = UInt32(uid) }
        if let gid = item["gid"]?.int { entry.gid = UInt32(gid) }
        if let mode = try RootfsOptions.mode(item["mode"], "/\(entry.path)") { entry.mode = mode }
    }

    /// Puts an entry in, with the directories above it.
    private func insert(_ entry: TreeEntry, into entries: inout [ByteString: TreeEntry]) throws {
        var parent = entry.path.parent
        while !parent.bytes.isEmpty, entries[parent] == nil {
            entries[parent] = directory(parent)
            parent = parent.parent
        }
        entries[entry.path] = entry
    }

    private func relative(_ path: String) throws -> ByteString {
        let parts = path.split(separator: "/")
        guard path.hasPrefix("/"), !parts.isEmpty, !parts.contains(".."), !parts.contains(".") else {
            throw ForgeError(
                .badInput, "stage overlay: “\(path)” must be an absolute path without “.” and “..”")
        }
        return ByteString(parts.joined(separator: "/"))
    }
}

/// The stage `merge`: a stack of layers as one tree, as OverlayFS would show it.
struct MergeStage {
    let context: StageContext

    func run() throws -> StageResult {
        let layers = try context.inputs("layers").map { try Tree.load($0.digest, from: context.store) }
        // A layer that ships a directory where the layers below have a link to one (usr-merged: /lib → usr/lib) would
        // hide everything behind the link at boot as well: say so now.
        var shown = Tree.empty
        for (layer, input) in zip(layers, context.inputs("layers")) {
            for entry in layer.entries where entry.isDirectory {
                if case .symlink(let target)? = shown[entry.path]?.kind {
                    throw ForgeError(
                        .badInput,
                        "layer \(input.label) has a directory /\(entry.path), which is a link to \(target) below it",
                        remedy: "put its files where the link points")
                }
            }
            shown = Tree.overlay([shown, layer])
        }
        return try .tree(shown, in: context.store)
    }
}

/// The stage `tarball`: a tree as a compressed archive.
struct TarballStage {
    let context: StageContext

    func run() throws -> StageResult {
        let tree = try context.tree("tree")
        let level = context.options["level"]?.int ?? 3
        let path = context.scratch + "/archive"
        context.progress(0, 1, "items", "pack")
        try TarWriter.write(
            tree, from: context.store, to: path, compression: .zstd(level: Int(level)), epoch: context.epoch)
        let digest = try context.store.put(file: path)
        return StageResult(outputs: [.init(name: "archive", kind: .file, digest: digest)])
    }
}
