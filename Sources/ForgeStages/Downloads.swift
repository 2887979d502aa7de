import ForgeArchive
import ForgeBase
package import ForgePackages
import ForgeRecipe
package import ForgeScripts
import ForgeStore
import ForgeSystem

/// The stage `downloads`: files by URL, as the lock pins them.
package struct Downloads {
    private let context: StageContext
    private let sources: LockedSources

    package init(_ context: StageContext, _ sources: LockedSources) {
        (self.context, self.sources) = (context, sources)
    }

    /// Fetches what the store lacks, and makes the tree.
    package func run(options: FetchOptions = FetchOptions()) throws -> StageResult {
        let files = try DownloadFile.list(context.options)
        let digests = try fetch(files, try pins(files), options)
        var layout = Layout()
        for (file, digest) in zip(files, digests) {
            if let unpack = file.unpack {
                try layout.add(unpacked(digest, file, unpack), below: file.name)
            } else {
                let mode: UInt32 = file.isExecutable ? 0o755 : 0o644
                try layout.add([TreeEntry("", .file(digest), mode: mode)], below: file.name)
            }
        }
        let tree = try layout.tree().save(in: context.store)
        return StageResult(
            outputs: [ActionResult.Output(name: "files", kind: .tree, digest: tree)],
            provides: zip(files, digests).map { file, digest in
                .object([
                    ("type", .string("file")), ("name", .string(file.name)),
                    ("url", .string(FetchURL.redacted(file.urls.first ?? ""))), ("sha256", .string(digest.hex)),
                ])
            })
    }

    /// What the lock says of each file.
    private func pins(_ files: [DownloadFile]) throws -> [LockedBytes] {
        try files.map { file in
            guard let pin = sources.entry.downloads?.first(where: { $0.name == file.name }) else {
                throw sources.unpinned("the file “\(file.name)”")
            }
            return pin.file
        }
    }

    // MARK: Bytes

    private func fetch(
        _ files: [DownloadFile], _ locked: [LockedBytes], _ options: FetchOptions
    ) throws -> [Digest] {
        let known = try locked.map { try context.store.digest(of: $0) }
        let missing = files.indices.filter { known[$0] == nil }
        let wanted = missing.map { index in
            let places = files[index].urls.flatMap { FetchURL.places(of: $0, mirrors: sources.mirrors) }
            return PinnedFile(
                name: files[index].name, sha256: locked[index].sha256, size: locked[index].size,
                urls: FetchURL.reachable(places, offline: sources.offline))
        }
        let unreachable = wanted.filter(\.urls.isEmpty).map(\.name)
        guard unreachable.isEmpty else {
            throw ForgeError.offline(unreachable.joined(separator: ", ") + ":")
        }
        let fetcher = Fetcher(for: context.store, options: options)
        let fetched = try fetcher.fetch(wanted, pin: .lockedFiles, into: context.store) { progress in
            context.progress(progress.bytes, progress.totalBytes, "bytes", "files")
        }
        let new = Dictionary(zip(missing, fetched)) { first, _ in first }
        return try files.indices.map { index in
            guard let digest = known[index] ?? new[index] else {
                throw ForgeError(.bug, "“\(files[index].name)” was not fetched")
            }
            let came = known[index] == nil ? "fetched" : "in the cache"
            context.note("\(files[index].name): \(digest.size) bytes, SHA-256 \(digest.hex), \(came)")
            return digest
        }
    }

    // MARK: Archives

    /// What is wanted of an archive: owned by root, with permissions but without set-user-id and the like, which an
    /// archive from anywhere must not bring in.
    private func unpacked(_ digest: Digest, _ file: DownloadFile, _ unpack: DownloadFile.Unpack) throws -> [TreeEntry] {
        let path = context.scratch + "/archive"
        try context.store.export(digest, to: path, mode: 0o600)
        defer { try? Files.remove(path) }
        let archive = try FileDescriptor(opening: path)
        let contents = try TarContents(
            descriptor: archive.raw, offset: 0, count: digest.size, archive: file.name, limits: Archive.Limits(),
            into: context.store)
        _ = consume archive
        var entries: [TreeEntry] = []
        for entry in contents.tree.entries {
            guard let path = Downloads.stripped(entry.path, unpack.strip) else { continue }
            switch entry.kind {
            case .directory, .file, .symlink: break
            case .characterDevice, .blockDevice, .fifo:
                throw ForgeError(
                    .verification, "\(file.name): entry “\(entry.path)”: a device or pipe, which no download needs",
                    remedy: "name the files that are wanted in `pick`, or do not unpack it")
            }
            if entry.kind == .directory, path.bytes.isEmpty { continue }
            entries.append(TreeEntry(path, entry.kind, mode: entry.mode & 0o777))
        }
        return unpack.pick.isEmpty ? entries : try picked(entries, unpack.pick, of: file)
    }

    /// A path without its first parts; nil if it has no others.
    static func stripped(_ path: ByteString, _ count: Int) -> ByteString? {
        if count == 0 { return path }
        let parts = path.bytes.split(separator: UInt8(ascii: "/"))
        return parts.count > count ? ByteString(parts.dropFirst(count).joined(separator: [UInt8(ascii: "/")])) : nil
    }

    private func picked(_ entries: [TreeEntry], _ pick: [String], of file: DownloadFile) throws -> [TreeEntry] {
        let names = entries.map(\.path.description)
        for name in pick where !names.contains(name) {
            throw ForgeError(
                .badInput, "\(file.name) has no “\(name)” in it\(Suggestion.hint(for: name, inMany: names))",
                details: ["it has " + names.prefix(12).joined(separator: ", ") + (names.count > 12 ? ", …" : "")],
                remedy: "correct `pick`, whose paths are those after `strip`")
        }
        return entries.filter { entry in pick.contains { entry.path.isBelow(ByteString($0)) } }
    }
}

/// A tree as it is put together.
private struct Layout {
    private var entries: [ByteString: TreeEntry] = ["": TreeEntry("", .directory, mode: 0o755)]

    /// Puts entries below a path; the root of them, "", is the path itself.
    mutating func add(_ added: [TreeEntry], below name: String) throws {
        let base = ByteString(name)
        if added.isEmpty || added.contains(where: { !$0.path.bytes.isEmpty }) { makeParents(of: base.appending("x")) }
        for var entry in added {
            entry.path = entry.path.bytes.isEmpty ? base : base.appending(entry.path)
            makeParents(of: entry.path)
            guard entries[entry.path].map({ $0.isDirectory && entry.isDirectory }) ?? true else {
                throw ForgeError(
                    .badInput, "“\(entry.path)” is there twice", remedy: "with `strip`, two entries got one name")
            }
            entries[entry.path] = entry
        }
    }

    private mutating func makeParents(of path: ByteString) {
        var parent = path.parent
        while entries[parent] == nil {
            entries[parent] = TreeEntry(parent, .directory, mode: 0o755)
            parent = parent.parent
        }
    }

    func tree() throws -> Tree { try Tree(entries.values) }
}
