import ForgeBase
package import ForgePackages
package import ForgeRecipe
package import ForgeScripts
import ForgeStore

/// The stage `image-copy`: container images as the lock pins them, as one OCI image layout.
package struct ImageCopy {
    private let context: StageContext
    private let entry: LockEntry
    private let mirrors: [(String, [String])]
    private let offline: Bool

    /// - Parameters:
    ///   - locked: the lock's entry for this stage.
    ///   - mirrors: places to ask before a registry, by its host. Never part of a key.
    ///   - offline: never ask; what the store lacks is an error.
    package init(
        _ context: StageContext, locked: LockEntry, mirrors: [(String, [String])] = [], offline: Bool = false
    ) {
        self.context = context
        entry = locked
        self.mirrors = mirrors
        self.offline = offline
    }

    /// Fetches what the store lacks, and makes the layout.
    package func run(options: FetchOptions = FetchOptions()) throws -> StageResult {
        let images = try CopiedImage.list(context.options)
        var entries = [TreeEntry("", .directory, mode: 0o755)]
        entries += ["blobs", "blobs/sha256"].map { TreeEntry($0, .directory, mode: 0o755) }
        var blobs: Set<Digest> = []
        var index: [(name: String, descriptor: JSON)] = []
        for image in images {
            guard let locked = entry.images?.first(where: { $0.name == image.name }) else {
                throw ForgeError(
                    .badInput, "the lock of stage “\(entry.id)” does not pin the image \(image.name)",
                    remedy: "make it anew with `forge lock --update`")
            }
            try bring(locked, image, options)
            blobs.formUnion([locked.manifest] + locked.blobs)
            index.append((image.name, locked.descriptor(image)))
            context.note("\(image.name): sha256:\(locked.manifest.hex), \(locked.blobs.count - 1) layers")
        }
        entries += blobs.map { TreeEntry(ByteString("blobs/sha256/\($0.hex)"), .file($0), mode: 0o644) }
        entries.append(try file("oci-layout", .object([("imageLayoutVersion", .string("1.0.0"))])))
        // The order of the recipe has no meaning.
        index.sort { $0.name.precedes($1.name) }
        entries.append(
            try file(
                "index.json",
                .object([
                    ("schemaVersion", .int(2)), ("mediaType", .string("application/vnd.oci.image.index.v1+json")),
                    ("manifests", .array(index.map(\.descriptor))),
                ])))
        let digest = try Tree(entries).save(in: context.store)
        return StageResult(
            outputs: [ActionResult.Output(name: "layout", kind: .tree, digest: digest)],
            provides: images.compactMap(about))
    }

    /// Sees to it that every part of an image is in the store.
    private func bring(_ locked: LockedImage, _ image: CopiedImage, _ options: FetchOptions) throws {
        let missing = try ([locked.manifest] + locked.blobs).filter { try !context.store.contains($0) }
        if missing.isEmpty { return }
        if let layout = image.layout {
            // The folder is an input, whose files are in the store: what is missing is not in the folder.
            throw ForgeError(
                .badInput, "\(layout) lacks parts of \(image.reference), or has others under their names",
                details: missing.prefix(8).map { "blobs/sha256/\($0.hex)" }, remedy: "copy the layout again")
        }
        if offline {
            throw ForgeError(
                .network, "\(image.reference) is not in the cache, and --offline forbids to fetch it",
                details: ["\(missing.count) of \(locked.blobs.count + 1) parts are missing"],
                remedy: "build once without --offline, or name a cache that has it with --cache DIR")
        }
        let fetcher = Fetcher(partialDirectory: context.store.directory + "/partial", options: options)
        try locked.fetch(image, mirrors: mirrors, fetcher: fetcher, into: context.store) { progress in
            context.progress(progress.bytes, progress.totalBytes, "bytes", image.name)
        }
    }

    private func about(_ image: CopiedImage) -> JSON? {
        entry.images?.first { $0.name == image.name }.map { locked in
            .object([
                ("type", .string("image")), ("name", .string(locked.name)), ("image", .string("\(image.reference)")),
                ("digest", .string("sha256:\(locked.manifest.hex)")),
            ])
        }
    }

    private func file(_ name: String, _ json: JSON) throws -> TreeEntry {
        let bytes = Array((json.canonical.description + "\n").utf8)
        return TreeEntry(ByteString(name), .file(try context.store.put(bytes)), mode: 0o644)
    }
}
