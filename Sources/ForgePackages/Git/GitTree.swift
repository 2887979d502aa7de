import CGit2
import ForgeBase
package import ForgeRecipe
package import ForgeStore
import ForgeSystem
import Glibc

/// The tree of a git commit, as files in the store.
///
/// It is what the commit holds: no checkout filters, no line-end conversion, no export attributes. Owner and group are
/// root, modes 0755 and 0644, links stay links.
package struct GitTree {
    package let source: GitSource
    package let store: any ObjectStore
    package let fetcher: Fetcher
    /// An empty directory of the caller's.
    package let scratch: String
    /// Given mirrors, by host.
    package let mirrors: [(String, [String])]
    package var progress: (FetchProgress) -> Void = { _ in }
    package var note: (String) -> Void = { _ in }

    package init(
        _ source: GitSource, into store: any ObjectStore, fetcher: Fetcher, scratch: String,
        mirrors: [(String, [String])] = [], progress: @escaping (FetchProgress) -> Void = { _ in },
        note: @escaping (String) -> Void = { _ in }
    ) {
        self.source = source
        self.store = store
        self.fetcher = fetcher
        self.scratch = scratch
        self.mirrors = mirrors
        self.progress = progress
        self.note = note
    }

    /// Submodules in submodules, at most.
    private static let deepest = 8

    /// Fetches the commit, and the commits of submodules if they are asked for.
    /// - Throws: `.network` if it can't be had, `.verification` if its bytes are not what its ids or `tree` say.
    package func fetch() throws -> Tree {
        var entries: [TreeEntry] = []
        try add(source.commit, source.ref, source.urls, below: "", depth: 0, to: &entries)
        let tree = try Tree(entries)
        let digest = Digest.of(tree.encoded())
        note("commit \(source.commit): \(tree.entries.count) entries, \(tree.size) bytes, tree \(digest.hex)")
        guard source.tree == nil || source.tree == digest.hex else {
            throw ForgeError(
                .verification, "the tree of commit \(source.commit) is not the one that the recipe names",
                details: ["it is \(digest.hex)", "expected \(source.tree ?? "")"],
                remedy: "if the commit was changed on purpose, put the new “tree” into the recipe")
        }
        return tree
    }

    private struct Submodule {
        var path: ByteString
        var commit: String
    }

    private func add(
        _ commit: String, _ ref: String?, _ urls: [String], below parent: ByteString, depth: Int,
        to entries: inout [TreeEntry]
    ) throws {
        guard depth <= GitTree.deepest else {
            throw ForgeError(.badInput, "submodules are nested deeper than \(GitTree.deepest) levels")
        }
        var submodules: [Submodule] = []
        var modules: [UInt8]?
        let url = try withObjects(of: commit, ref, urls) { objects in
            let start = entries.count
            let root = try tree(of: commit, objects)
            entries.append(TreeEntry(parent, .directory, mode: 0o755))
            try walk(root, below: parent, objects, to: &entries, &submodules)
            let name = parent.appending(".gitmodules")
            if case .file(let digest)? = entries[start...].first(where: { $0.path == name })?.kind {
                modules = try store.read(digest)
            }
        }
        guard !submodules.isEmpty else { return }
        guard source.submodules else {
            throw ForgeError(
                .badInput, "commit \(commit) has \(submodules.count == 1 ? "a submodule" : "submodules")",
                details: submodules.prefix(8).map { "\($0.path) is commit \($0.commit) of another repository" },
                remedy: "write submodules: true to take them too, or make inputs of what you need of them")
        }
        let places = GitModules.urls(modules ?? [])
        for module in submodules {
            let relative =
                parent.bytes.isEmpty ? module.path : ByteString(module.path.bytes.dropFirst(parent.bytes.count + 1))
            guard let written = places[relative] else {
                throw ForgeError(
                    .badInput, "commit \(commit) has a submodule \(module.path), but .gitmodules does not name it")
            }
            let place = try GitModules.resolve(written, beside: url)
            try add(module.commit, nil, [place], below: module.path, depth: depth + 1, to: &entries)
        }
    }

    /// Asks each place until one has the commit.
    /// - Returns: the URL of the recipe that led there.
    private func withObjects(
        of commit: String, _ ref: String?, _ urls: [String], _ body: (borrowing GitObjects) throws -> Void
    ) throws -> String {
        var failures: [ForgeError] = []
        for url in urls {
            for place in FetchURL.places(of: url, mirrors: mirrors) {
                let directory = "\(scratch)/git"
                try Files.remove(directory)
                try Files.makeDirectories(directory)
                defer { try? Files.remove(directory) }
                let remote = GitRemote(fetcher: fetcher, scratch: directory, progress: progress, note: note)
                do {
                    let objects = try remote.objects(of: commit, ref: ref, from: place)
                    try body(objects)
                    return url
                } catch let error as ForgeError where error.code == .network {
                    failures.append(error)
                }
            }
        }
        guard failures.count > 1, var error = failures.last else {
            throw failures.last ?? ForgeError(.badInput, "no repository is named for commit \(commit)")
        }
        error.message = "no place gives commit \(commit)"
        error.details = failures.flatMap { [$0.message] + $0.details.map { "  \($0)" } }
        throw error
    }

    private func tree(of commit: String, _ objects: borrowing GitObjects) throws -> git_oid {
        var id = try GitLibrary.id(commit)
        var found: OpaquePointer?
        guard git_commit_lookup(&found, objects.repository, &id) == 0, let found else {
            var object: OpaquePointer?
            if git_object_lookup(&object, objects.repository, &id, GIT_OBJECT_ANY) == 0 {
                defer { git_object_free(object) }
                let kind = String(cString: git_object_type2string(git_object_type(object)))
                throw ForgeError(
                    .badInput, "\(commit) is no commit but a \(kind)",
                    remedy: kind == "tag" ? "take the commit that it names: git rev-parse \(commit)^{commit}" : nil)
            }
            throw GitObjects.damaged(id)
        }
        defer { git_commit_free(found) }
        return git_commit_tree_id(found).pointee
    }

    private func walk(
        _ id: git_oid, below parent: ByteString, _ objects: borrowing GitObjects, to entries: inout [TreeEntry],
        _ submodules: inout [Submodule]
    ) throws {
        var id = id
        var tree: OpaquePointer?
        guard git_tree_lookup(&tree, objects.repository, &id) == 0, let tree else { throw GitObjects.damaged(id) }
        defer { git_tree_free(tree) }
        for i in 0..<git_tree_entrycount(tree) {
            guard let entry = git_tree_entry_byindex(tree, i), let text = git_tree_entry_name(entry) else { continue }
            let name = ByteString(UnsafeBufferPointer(start: text, count: strlen(text)).map { UInt8(bitPattern: $0) })
            if name.description.lowercased() == ".git" {
                throw ForgeError(
                    .verification, "the commit has a file called \(parent.appending(name)), which git forbids")
            }
            let path = parent.appending(name)
            let target = git_tree_entry_id(entry).pointee
            switch git_tree_entry_filemode(entry) {
            case GIT_FILEMODE_TREE:
                entries.append(TreeEntry(path, .directory, mode: 0o755))
                try walk(target, below: path, objects, to: &entries, &submodules)
            case GIT_FILEMODE_BLOB, GIT_FILEMODE_BLOB_EXECUTABLE:
                let isExecutable = git_tree_entry_filemode(entry) == GIT_FILEMODE_BLOB_EXECUTABLE
                let digest = try store.put(try objects.read(target))
                entries.append(TreeEntry(path, .file(digest), mode: isExecutable ? 0o755 : 0o644))
            case GIT_FILEMODE_LINK:
                entries.append(TreeEntry(path, .symlink(ByteString(try objects.read(target))), mode: 0o777))
            case GIT_FILEMODE_COMMIT: submodules.append(Submodule(path: path, commit: GitLibrary.text(of: target)))
            default:
                throw ForgeError(.verification, "the commit has an entry \(path) of a kind that git does not know")
            }
        }
    }
}

/// The file `.gitmodules` (gitmodules(5)).
enum GitModules {
    /// The URL of each path.
    static func urls(_ bytes: [UInt8]) -> [ByteString: String] {
        var urls: [ByteString: String] = [:]
        var (path, url): (String?, String?) = (nil, nil)
        func close() {
            if let path, let url { urls[ByteString(path)] = url }
            (path, url) = (nil, nil)
        }
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
            let text = line.drop { $0 == " " || $0 == "\t" }
            if text.hasPrefix("[") { close() }
            guard let equals = text.firstIndex(of: "=") else { continue }
            let key = text[..<equals].filter { $0 != " " && $0 != "\t" }.lowercased()
            var value = text[text.index(after: equals)...].drop { $0 == " " || $0 == "\t" }
            while let last = value.last, last == " " || last == "\t" || last == "\r" { value.removeLast() }
            if value.hasPrefix("\""), value.hasSuffix("\""), value.count > 1 { value = value.dropFirst().dropLast() }
            if key == "path" { path = String(value) }
            if key == "url" { url = String(value) }
        }
        close()
        return urls
    }

    /// The repository of a submodule; one that starts with a dot is relative to the repository that names it.
    static func resolve(_ url: String, beside base: String) throws(ForgeError) -> String {
        if url.hasPrefix("./") || url.hasPrefix("../") {
            var parts = base.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
            while parts.last == "" { parts.removeLast() }
            for part in url.split(separator: "/") {
                if part == "." { continue }
                if part == ".." { if parts.count > 3 { parts.removeLast() } } else { parts.append(String(part)) }
            }
            return parts.joined(separator: "/")
        }
        guard TextFormat.url.accepts(url) else {
            throw ForgeError(
                .badInput, "a submodule is at “\(url)”, which is neither https, http nor file",
                remedy: "make an input of it by an address that needs no keys")
        }
        // Whoever writes a repository of the network must not choose files of this machine.
        guard !FetchURL.isLocal(url) || FetchURL.isLocal(base) else {
            throw ForgeError(
                .badInput, "a submodule of \(FetchURL.redacted(base)) is at \(url), a file of this machine")
        }
        return url
    }
}
