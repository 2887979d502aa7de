package import ForgeBase
package import ForgeRecipe
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
    /// - Parameters:
    ///   - ignoring: names in the top directory that do not count.
    ///   - replacing: files in the top directory that have this text instead of their own.
    package func directory(
        _ path: String, ignoring: Set<ByteString> = [], replacing: [ByteString: String] = [:]
    ) throws -> Digest {
        var entries = [TreeEntry("", .directory, mode: 0o755)]
        try add(path, below: "", ignoring: ignoring.union(replacing.keys), to: &entries)
        for (name, text) in replacing {
            entries.append(TreeEntry(name, .file(try store.put(Array(text.utf8))), mode: 0o644))
        }
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
            if status.kind == .directory {
                entries.append(TreeEntry(place, .directory, mode: 0o755))
                try add(here, below: place, ignoring: [], to: &entries)
            } else {
                entries.append(try entry(here, place, status))
            }
        }
    }

    /// A file or link.
    private func entry(_ path: String, _ place: ByteString, _ status: FileStatus) throws -> TreeEntry {
        switch status.kind {
        case .file: return TreeEntry(place, .file(try file(path)), mode: status.mode & 0o100 == 0 ? 0o644 : 0o755)
        case .symlink: return TreeEntry(place, .symlink(try Files.readLink(path)), mode: 0o777)
        default:
            throw ForgeError(
                .badInput, "\(shown(path)) is neither a file, a directory nor a link",
                remedy: "remove it; devices and pipes can't be part of a recipe")
        }
    }

    // MARK: Patterns

    /// The files and links below a directory that fit a pattern, as a tree with their paths; only directories that hold
    /// one are in it, and only directories that a pattern can lead into are looked at.
    package func files(
        below directory: String, fitting patterns: [Glob], except: [Glob] = []
    ) throws -> (tree: Digest, files: Int) {
        var entries = [TreeEntry("", .directory, mode: 0o755)]
        try add(
            directory, below: "", states: patterns.map { ($0, $0.start) }, except: except.map { ($0, $0.start) },
            to: &entries)
        let files = entries.count { !$0.isDirectory }
        return (try Tree(entries).save(in: store), files)
    }

    private typealias States = [(glob: Glob, state: Glob.State)]

    private func add(
        _ path: String, below parent: ByteString, states: States, except: States, to entries: inout [TreeEntry]
    ) throws {
        for name in try Files.list(path) where !SourceTree.isLeftover(name) {
            let next = states.map { ($0.glob, $0.glob.advance($0.state, name)) }
            let out = except.map { ($0.glob, $0.glob.advance($0.state, name)) }
            let deeper = next.filter { !$0.1.state.isEmpty }
            let fits = next.contains { $0.1.fits } && !out.contains { $0.1.fits }
            guard fits || !deeper.isEmpty else { continue }
            let here = "\(path)/\(name)"
            let place = parent.appending(name)
            guard let status = try Files.status(here) else { throw missing(here) }
            if status.kind == .directory {
                if out.contains(where: { $0.1.fits }) { continue }
                let before = entries.count
                entries.append(TreeEntry(place, .directory, mode: 0o755))
                try add(
                    here, below: place, states: deeper.map { ($0.0, $0.1.state) },
                    except: out.map { ($0.0, $0.1.state) },
                    to: &entries)
                if entries.count == before + 1 { entries.removeLast() }
            } else if fits {
                entries.append(try entry(here, place, status))
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
