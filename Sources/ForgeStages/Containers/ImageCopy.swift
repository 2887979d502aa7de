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
        var layout = OCILayout()
        for image in images {
            guard let locked = entry.images?.first(where: { $0.name == image.name }) else {
                throw ForgeError(
                    .badInput, "the lock of stage “\(entry.id)” does not pin the image \(image.name)",
                    remedy: "make it anew with `forge lock --update`")
            }
            try bring(locked, image, options)
            layout.blobs.formUnion([locked.manifest] + locked.blobs)
            layout.images.append(
                OCILayout.Image(
                    name: image.name, manifest: locked.manifest, mediaType: locked.mediaType, platform: image.platform))
            context.note("\(image.name): sha256:\(locked.manifest.hex), \(locked.blobs.count - 1) layers")
        }
        let digest = try layout.tree(in: context.store).save(in: context.store)
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
}
