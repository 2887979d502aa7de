package import ForgeBase
package import ForgeRecipe
package import ForgeStore

/// One image of the stage `image-copy`, as its options say.
package struct CopiedImage: Sendable, Equatable {
    package var reference: ImageReference
    /// `os/architecture`.
    package var platform: String
    /// What it is called in the output.
    package var name: String
    /// Path of the layout that has it, below the recipe's folder; nil for a registry.
    package var layout: String?

    /// What decides its digests; a lock keeps them as long as this is the same.
    var identity: String { "\(reference) \(platform) \(name)" }

    /// The images of a stage's options.
    /// - Throws: `.badInput` for what the options' types can't say.
    package static func list(_ options: JSON) throws(ForgeError) -> [CopiedImage] {
        var images: [CopiedImage] = []
        for item in options["images"]?.array ?? [] {
            guard let reference = ImageReference(item["image"]?.string ?? "") else {
                throw ForgeError(.bug, "an image without a name passed the schema")
            }
            let image = CopiedImage(
                reference: reference, platform: item["platform"]?.string ?? "linux/amd64",
                name: item["as"]?.string ?? reference.description, layout: item["layout"]?.string)
            guard !images.contains(where: { $0.name == image.name }) else {
                throw ForgeError(
                    .badInput, "two images are called \(image.name)", remedy: "give one of them another name with `as`")
            }
            images.append(image)
        }
        guard !images.isEmpty else {
            throw ForgeError(.badInput, "“images” names no image", remedy: "name one, or drop the stage")
        }
        return images
    }
}

extension LockedImage {
    /// Brings the manifest and every part into the store, from the first place that has what is missing.
    package func fetch(
        _ image: CopiedImage, mirrors: [(String, [String])], fetcher: Fetcher, into store: any ObjectStore,
        progress: @escaping (FetchProgress) -> Void
    ) throws {
        let parts = [(digest: manifest, isManifest: true)] + blobs.map { (digest: $0, isManifest: false) }
        var failure: ForgeError?
        for registry in Registry.places(of: image.reference, mirrors: mirrors, fetcher: fetcher, store: store) {
            do {
                try registry.fetch(parts, of: image.reference, progress: progress)
                return
            } catch let error as ForgeError where [.network, .verification].contains(error.code) {
                failure = error.joined(behind: failure)
            }
        }
        throw failure ?? ForgeError(.bug, "no place for \(image.reference)")
    }
}

extension ForgeError {
    /// This error of a further place behind that of an earlier one; wrong bytes anywhere are what is told.
    func joined(behind earlier: ForgeError?) -> ForgeError {
        guard let earlier else { return self }
        var (first, second) = (earlier, self)
        if first.code != .verification, second.code == .verification { swap(&first, &second) }
        first.details += ["then: \(second.message)"] + second.details
        return first
    }
}
