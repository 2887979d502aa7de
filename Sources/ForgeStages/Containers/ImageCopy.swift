import ForgeBase
package import ForgePackages
import ForgeRecipe
package import ForgeScripts
import ForgeStore

/// The stage `image-copy`: container images as the lock pins them, as one OCI image layout.
package struct ImageCopy {
    private let context: StageContext
    private let sources: LockedSources

    package init(_ context: StageContext, _ sources: LockedSources) {
        (self.context, self.sources) = (context, sources)
    }

    /// Fetches what the store lacks, and makes the layout.
    package func run(options: FetchOptions = FetchOptions()) throws -> StageResult {
        let images = try CopiedImage.list(context.options)
        var layout = OCILayout()
        for image in images {
            guard let locked = locked(image) else { throw sources.unpinned("the image \(image.name)") }
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
        if sources.offline {
            throw ForgeError.offline(
                "\(image.reference) is",
                details: ["\(missing.count) of \(locked.blobs.count + 1) parts are missing"])
        }
        let fetcher = Fetcher(for: context.store, options: options)
        try locked.fetch(image, mirrors: sources.mirrors, fetcher: fetcher, into: context.store) { progress in
            context.progress(progress.bytes, progress.totalBytes, "bytes", image.name)
        }
    }

    private func locked(_ image: CopiedImage) -> LockedImage? { sources.entry.images?.first { $0.name == image.name } }

    private func about(_ image: CopiedImage) -> JSON? {
        locked(image).map { locked in
            .object([
                ("type", .string("image")), ("name", .string(locked.name)), ("image", .string("\(image.reference)")),
                ("digest", .string("sha256:\(locked.manifest.hex)")),
            ])
        }
    }
}
