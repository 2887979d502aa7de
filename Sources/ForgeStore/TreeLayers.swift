package import ForgeBase

/// Trees made of trees. Layers stack as OverlayFS stacks them: a whiteout (``TreeEntry/whiteout(_:)``) hides a name of
/// the layers below, a directory over a directory joins with it and gives it its own mode and owner, anything else hides
/// what is below. Opaque directories are never needed, because each name that is gone has a whiteout of its own.
extension Tree {
    /// The tree that a stack of layers shows, lowest first. Whiteouts take effect and are not in the result.
    package static func overlay(_ layers: [Tree]) -> Tree {
        layers.reduce(Tree.empty) { $0.covered(by: $1) }
    }

    private func covered(by upper: Tree) -> Tree {
        let above = Dictionary(uniqueKeysWithValues: upper.entries.map { ($0.path, $0.isDirectory) })
        var gone: Set<ByteString> = []
        let kept = entries.filter { entry in
            // The root has no parent to be gone with.
            if !entry.path.bytes.isEmpty, gone.contains(entry.parent) {
                if entry.isDirectory { gone.insert(entry.path) }
                return false
            }
            guard let directory = above[entry.path] else { return true }
            if entry.isDirectory, !directory { gone.insert(entry.path) }
            return false
        }
        let added = upper.entries.filter { !$0.isWhiteout }
        return Tree(checked: (kept + added).sorted { $0.path < $1.path })
    }

    /// The layer that makes `upper` of `lower`: what is new or different, with the directories on the way, and whiteouts
    /// for what is gone. `Tree.overlay([lower, Tree.difference(upper, over: lower)])` is `upper`.
    package static func difference(_ upper: Tree, over lower: Tree) -> Tree {
        let below = Dictionary(uniqueKeysWithValues: lower.entries.map { ($0.path, $0) })
        let above = Dictionary(uniqueKeysWithValues: upper.entries.map { ($0.path, $0) })
        var layer: [ByteString: TreeEntry] = [:]
        func include(_ entry: TreeEntry) {
            layer[entry.path] = entry
            var path = entry.path
            while !path.bytes.isEmpty {
                path = path.parent
                guard layer[path] == nil, let parent = above[path] else { return }
                layer[path] = parent
            }
        }
        for entry in upper.entries where entry.path.bytes.isEmpty || below[entry.path] != entry { include(entry) }
        for entry in lower.entries where above[entry.path] == nil && above[entry.parent]?.isDirectory == true {
            include(.whiteout(entry.path))
        }
        return Tree(checked: layer.values.sorted { $0.path < $1.path })
    }

    /// Several trees as one, where no name may say two things. Equal entries, such as shared directories, are fine.
    /// - Parameter parts: each with what people call it.
    /// - Throws: `.badInput` naming every conflict and both parts.
    package static func merging(_ parts: [(label: String, tree: Tree)]) throws(ForgeError) -> Tree {
        var merged: [ByteString: (entry: TreeEntry, label: String)] = [:]
        var conflicts: [String] = []
        for part in parts {
            for entry in part.tree.entries {
                guard let other = merged.updateValue((entry, part.label), forKey: entry.path), other.entry != entry
                else { continue }
                let what = TreeChange.differences(other.entry, entry).joined(separator: ", ")
                conflicts.append("/\(TreeFormat.text(entry.path)): \(other.label) and \(part.label) differ (\(what))")
            }
        }
        guard conflicts.isEmpty else {
            let shown = conflicts.prefix(20)
            let more = conflicts.count > 20 ? ["… and \(conflicts.count - 20) more"] : []
            throw ForgeError(
                .badInput, "\(conflicts.count) names are in several trees with different content",
                details: shown + more, remedy: "remove the name from all but one of them, or stack them as layers")
        }
        if parts.isEmpty { return .empty }
        return try Tree(merged.values.map(\.entry))
    }

    /// The tree of a directory in this one, nil if there is no such directory.
    package func subtree(_ path: ByteString) -> Tree? {
        guard self[path]?.isDirectory == true else { return nil }
        let skip = path.bytes.isEmpty ? 0 : path.bytes.count + 1
        let inside = entries.filter { $0.path.isBelow(path) }.map { entry in
            var entry = entry
            entry.path = ByteString(entry.path.bytes.dropFirst(skip))
            return entry
        }
        return Tree(checked: inside)
    }

    /// The entries that `keep` wants; what is below a directory that it does not want goes too. The root always stays.
    package func filter(_ keep: (TreeEntry) -> Bool) -> Tree {
        var gone: Set<ByteString> = []
        let kept = entries.filter { entry in
            if entry.path.bytes.isEmpty { return true }
            if !gone.contains(entry.parent), keep(entry) { return true }
            if entry.isDirectory { gone.insert(entry.path) }
            return false
        }
        return Tree(checked: kept)
    }

    /// What differs, in byte order of the paths.
    package static func changes(from old: Tree, to new: Tree) -> [TreeChange] {
        var changes: [TreeChange] = []
        var (i, j) = (0, 0)
        while i < old.entries.count || j < new.entries.count {
            let before = i < old.entries.count ? old.entries[i] : nil
            let after = j < new.entries.count ? new.entries[j] : nil
            switch (before, after) {
            case (let before?, let after?) where before.path == after.path:
                let what = TreeChange.differences(before, after)
                if !what.isEmpty { changes.append(TreeChange(path: after.path, kind: .changed(what))) }
                i += 1
                j += 1
            case (let before?, let after) where after.map({ before.path < $0.path }) ?? true:
                changes.append(TreeChange(path: before.path, kind: .removed))
                i += 1
            case (_, let after?):
                changes.append(TreeChange(path: after.path, kind: .added))
                j += 1
            default: return changes
            }
        }
        return changes
    }
}

/// One difference between two trees.
package struct TreeChange: Sendable, Equatable, CustomStringConvertible {
    package enum Kind: Sendable, Equatable {
        case added, removed
        /// With what differs, such as `mode 0644 → 0755`.
        case changed([String])
    }

    package var path: ByteString
    package var kind: Kind

    /// `+ path`, `- path`, or `~ path (what)`.
    package var description: String {
        let name = path.bytes.isEmpty ? "." : TreeFormat.text(path)
        return switch kind {
        case .added: "+ \(name)"
        case .removed: "- \(name)"
        case .changed(let what): "~ \(name) (\(what.joined(separator: ", ")))"
        }
    }

    /// What differs between two entries of one path, for people.
    static func differences(_ old: TreeEntry, _ new: TreeEntry) -> [String] {
        var out: [String] = []
        if old.kind != new.kind {
            out.append("\(text(old.kind)) → \(text(new.kind))")
        }
        if old.mode != new.mode { out.append("mode 0\(String(old.mode, radix: 8)) → 0\(String(new.mode, radix: 8))") }
        if (old.uid, old.gid) != (new.uid, new.gid) {
            out.append("owner \(old.uid):\(old.gid) → \(new.uid):\(new.gid)")
        }
        if old.xattrs != new.xattrs {
            let names = Set(old.xattrs).symmetricDifference(new.xattrs).map(\.name).sorted()
            out.append("attributes " + names.map(\.description).joined(separator: " "))
        }
        return out
    }

    private static func text(_ kind: TreeEntry.Kind) -> String {
        switch kind {
        case .directory: "directory"
        case .file(let digest): "file \(digest.hex.prefix(12)) of \(digest.size) bytes"
        case .symlink(let target): "link to \(TreeFormat.text(target))"
        case .characterDevice(let device): "character device \(device >> 32):\(device & 0xffff_ffff)"
        case .blockDevice(let device): "block device \(device >> 32):\(device & 0xffff_ffff)"
        case .fifo: "FIFO"
        }
    }
}

/// A tree under construction, in any order and with names that replace earlier ones, as archives and packages have them.
package struct TreeBuilder: Sendable {
    private var entries: [ByteString: TreeEntry] = [:]

    /// - Parameter tree: what to begin with.
    package init(_ tree: Tree = .empty) {
        for entry in tree.entries { entries[entry.path] = entry }
    }

    package subscript(path: ByteString) -> TreeEntry? { entries[path] }

    /// Adds an entry, or replaces the one of its path. A directory keeps what is in it; anything else that takes the
    /// place of a directory removes what was in it.
    package mutating func set(_ entry: TreeEntry) {
        if !entry.isDirectory, entries[entry.path]?.isDirectory == true { remove(entry.path) }
        entries[entry.path] = entry
        var path = entry.path
        while !path.bytes.isEmpty {
            path = path.parent
            if entries[path] != nil { break }
            entries[path] = TreeEntry(path, .directory, mode: 0o755)
        }
    }

    /// Removes a path and everything below it.
    package mutating func remove(_ path: ByteString) {
        guard entries.removeValue(forKey: path)?.isDirectory == true else { return }
        entries = entries.filter { !$0.key.isBelow(path) }
    }

    /// Adds a whole tree below a directory, whose own entry becomes the tree's root.
    package mutating func graft(_ tree: Tree, at path: ByteString) {
        for var entry in tree.entries {
            entry.path = path.bytes.isEmpty ? entry.path : entry.path.bytes.isEmpty ? path : path.appending(entry.path)
            set(entry)
        }
    }

    /// The tree. Directories that nobody added are root's, with mode 0755.
    /// - Throws: if a path is not allowed or goes through something that is no directory.
    package func finish() throws(ForgeError) -> Tree {
        try Tree(entries.values)
    }
}
