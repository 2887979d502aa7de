package import ForgeBase
package import ForgeStore
package import ForgeSystem

/// Files of the project (a stage's folder, a layer's files) as trees in the store.
///
/// What git does not keep is not looked at: owner and group are root, modes are 0755 or 0644 by the owner's execute bit,
/// times are gone. So a checkout with another umask gives the same tree.
package struct SourceTree {
    private let store: any ObjectStore
    /// Digests of files that have not changed since they were last read.
    private let memo: any FileMemo
    /// What messages call a path.
    private let shown: (String) -> String

    package init(store: any ObjectStore, memo: any FileMemo, shown: @escaping (String) -> String) {
        self.store = store
        self.memo = memo
        self.shown = shown
    }

    /// Leftovers of editors and systems, which git ignores in most projects and which no image wants.
    static func isLeftover(_ name: ByteString) -> Bool {
        let text = name.description
        return [".git", ".gitkeep", ".keep", ".DS_Store"].contains(text) || text.hasSuffix("~")
            || (text.hasPrefix(".") && text.hasSuffix(".swp"))
    }

    /// The tree of a directory.
    /// - Parameter ignoring: names in the top directory that do not count.
    package func directory(_ path: String, ignoring: Set<ByteString> = []) throws -> Digest {
        var entries = [TreeEntry("", .directory, mode: 0o755)]
        try add(path, below: "", ignoring: ignoring, to: &entries)
        return try Tree(entries).save(in: store)
    }

    /// One file.
    package func file(_ path: String) throws -> Digest {
        guard let status = try Files.status(path) else { throw missing(path) }
        if let known = try memo.rememberedDigest(ofFile: path, status.identity), try store.contains(known) {
            return known
        }
        let digest = try store.put(file: path)
        memo.remember(digest, ofFile: path, status.identity)
        return digest
    }

    private func add(
        _ path: String, below parent: ByteString, ignoring: Set<ByteString>, to entries: inout [TreeEntry]
    ) throws {
        for name in try Files.list(path) where !SourceTree.isLeftover(name) && !ignoring.contains(name) {
            let here = "\(path)/\(name)"
            let place = parent.appending(name)
            guard let status = try Files.status(here) else { throw missing(here) }
            switch status.kind {
            case .directory:
                entries.append(TreeEntry(place, .directory, mode: 0o755))
                try add(here, below: place, ignoring: [], to: &entries)
            case .file:
                entries.append(TreeEntry(place, .file(try file(here)), mode: status.mode & 0o100 == 0 ? 0o644 : 0o755))
            case .symlink:
                entries.append(TreeEntry(place, .symlink(try Files.readLink(here)), mode: 0o777))
            default:
                throw ForgeError(
                    .badInput, "\(shown(here)) is neither a file, a directory nor a link",
                    remedy: "remove it; devices and pipes can't be part of a recipe")
            }
        }
    }

    private func missing(_ path: String) -> ForgeError {
        ForgeError(.badInput, "\(shown(path)) does not exist any more", remedy: "was it removed while forge ran?")
    }
}

/// Remembers the digests of files by what changes when their bytes change. The seam to the store's database.
package protocol FileMemo: AnyObject {
    func rememberedDigest(ofFile path: String, _ identity: FileIdentity) throws -> Digest?
    func remember(_ digest: Digest, ofFile path: String, _ identity: FileIdentity)
}

extension Store: FileMemo {}
