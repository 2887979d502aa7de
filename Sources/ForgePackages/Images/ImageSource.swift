import ForgeBase
import ForgeRecipe
import ForgeStore
import ForgeSystem

/// Where images are.
protocol ImageSource {
    /// What errors call the place.
    var place: String { get }

    /// What is there under the name: a manifest or an index.
    func manifest(of image: ImageReference) throws -> [UInt8]

    /// A manifest or configuration by its digest, which it has.
    func document(_ descriptor: ImageDescriptor, of image: ImageReference) throws -> [UInt8]
}

extension ImageSource {
    /// What a name leads to for one platform.
    func resolve(_ image: CopiedImage) throws -> LockedImage {
        let place = "\(place): \(image.reference)"
        var bytes = try manifest(of: image.reference)
        if let sha256 = image.reference.sha256, Digest.of(bytes).hex != sha256 {
            throw ForgeError(
                .verification, "\(place): the manifest offered is not the one that the recipe names",
                details: ["its SHA-256 is \(Digest.of(bytes).hex)"], remedy: "do not trust this place")
        }
        if case .index(let manifests) = try ImageManifest(bytes, place: place) {
            guard let found = manifests.first(where: { ImageManifest.fits($0.platform, image.platform) }) else {
                let known = manifests.compactMap(\.platform).filter { !$0.hasPrefix("unknown") }
                throw ForgeError(
                    .badInput, "\(place) is not there for \(image.platform)",
                    details: known.isEmpty ? [] : ["it is there for \(known.joined(separator: ", "))"],
                    remedy: "choose another `platform`, or another image")
            }
            bytes = try document(found, of: image.reference)
        }
        guard case .image(let config, let layers) = try ImageManifest(bytes, place: place) else {
            throw ImageManifest.fault(place, "an index in an index")
        }
        let configuration = try document(config, of: image.reference)
        let platform = ImageManifest.platform(try ImageManifest.json(configuration, place: "\(place): configuration"))
        guard ImageManifest.fits(platform, image.platform) else {
            throw ForgeError(
                .badInput, "\(place) is for \(platform.isEmpty ? "no platform" : platform), not \(image.platform)",
                remedy: "choose another `platform`, or another image")
        }
        return LockedImage(
            name: image.name, manifest: Digest.of(bytes),
            mediaType: try ImageManifest.mediaType(bytes, place: place), blobs: [config.digest] + layers.map(\.digest))
    }
}

/// A folder in the form of an OCI image layout.
struct ImageLayout: ImageSource {
    /// Absolute.
    let directory: String
    /// As the recipe names it.
    let place: String

    func manifest(of image: ImageReference) throws -> [UInt8] {
        let index = try read("index.json")
        guard case .index(let manifests) = try ImageManifest(index, place: "\(place)/index.json") else {
            throw ImageManifest.fault("\(place)/index.json", "no index")
        }
        let named = manifests.filter { descriptor in
            descriptor.annotation(ImageAnnotation.name) == image.description
                || [image.description, image.tag].contains(descriptor.annotation(ImageAnnotation.tag))
                || image.sha256 == descriptor.digest.hex
        }
        let whole = named.filter { $0.annotation(ImageAnnotation.name) == image.description }
        let found = whole.isEmpty ? named : whole
        guard found.count == 1 else {
            let names = manifests.compactMap {
                $0.annotation(ImageAnnotation.name) ?? $0.annotation(ImageAnnotation.tag)
                    ?? "sha256:\($0.digest.hex)"
            }
            throw ForgeError(
                .badInput,
                found.isEmpty
                    ? "\(place) has no image \(image)\(Suggestion.hint(for: image.description, in: names))"
                    : "\(place) has \(found.count) images that could be \(image)",
                details: names.isEmpty ? [] : ["it has \(names.joined(separator: ", "))"],
                remedy: "name one of them, or one by its digest: …@sha256:…")
        }
        return try document(found[0], of: image)
    }

    func document(_ descriptor: ImageDescriptor, of image: ImageReference) throws -> [UInt8] {
        let name = "blobs/sha256/\(descriptor.digest.hex)"
        let bytes = try read(name)
        guard Digest.of(bytes) == descriptor.digest else {
            throw ForgeError(
                .verification, "\(place)/\(name) does not have the SHA-256 that is its name",
                remedy: "copy the layout again")
        }
        return bytes
    }

    private func read(_ name: String) throws -> [UInt8] {
        guard let status = try Files.status("\(directory)/\(name)"), status.kind == .file else {
            throw ForgeError(
                .badInput, "\(place) is no complete OCI image layout: it has no \(name)",
                remedy: "name a folder with oci-layout, index.json and blobs/sha256/")
        }
        guard status.size <= ImageManifest.limit else {
            throw ImageManifest.fault("\(place)/\(name)", "a document of \(status.size) bytes")
        }
        return try Files.read("\(directory)/\(name)")
    }
}

/// Annotations of an index by which programs find an image.
package enum ImageAnnotation {
    /// All of the name; containerd's.
    package static let name = "io.containerd.image.name"
    /// The tag (image-spec, annotations.md).
    package static let tag = "org.opencontainers.image.ref.name"
}
