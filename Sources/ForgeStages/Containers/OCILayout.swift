package import ForgeBase
import ForgePackages
import ForgeRecipe
package import ForgeStore

/// Container images as a directory in the OCI image layout (OCI image-spec 1.0, image-layout.md): `oci-layout`,
/// `index.json`, and every blob under its SHA-256. Equal images give equal bytes: descriptors are in the order of their
/// names, JSON has its fields in byte order.
package struct OCILayout: Sendable {
    /// An image of one platform, by what its names refer to.
    package struct Image: Sendable {
        /// What a runtime finds the image by, with its tag: `localhost/pause:3.9`.
        package var name: String
        package var manifest: Digest
        package var mediaType: String
        /// `linux/amd64`, with a third part if it has a variant.
        package var platform: String

        package init(name: String, manifest: Digest, mediaType: String, platform: String) {
            self.name = name
            self.manifest = manifest
            self.mediaType = mediaType
            self.platform = platform
        }
    }

    package enum MediaType {
        package static let index = "application/vnd.oci.image.index.v1+json"
        package static let manifest = "application/vnd.oci.image.manifest.v1+json"
        package static let config = "application/vnd.oci.image.config.v1+json"
        /// An archive that is not compressed.
        package static let layer = "application/vnd.oci.image.layer.v1.tar"
    }

    package var images: [Image]
    /// Manifests, configurations and layers of the images.
    package var blobs: Set<Digest>

    package init(images: [Image] = [], blobs: Set<Digest> = []) {
        self.images = images
        self.blobs = blobs
    }

    /// The layout as a tree, its own two files stored.
    package func tree(in store: any ObjectStore) throws -> Tree {
        var entries = ["", "blobs", "blobs/sha256"].map { TreeEntry(ByteString($0), .directory, mode: 0o755) }
        entries.append(try file("oci-layout", .object([("imageLayoutVersion", .string("1.0.0"))]), in: store))
        entries.append(try file("index.json", index, in: store))
        for blob in blobs {
            entries.append(TreeEntry(ByteString("blobs/sha256/\(blob.hex)"), .file(blob), mode: 0o644))
        }
        return try Tree(entries)
    }

    private func file(_ path: String, _ json: JSON, in store: any ObjectStore) throws -> TreeEntry {
        TreeEntry(ByteString(path), .file(try store.put(Array((json.canonical.description + "\n").utf8))), mode: 0o644)
    }

    /// containerd takes an image's name from the first of the two annotations, others its tag from the second.
    private var index: JSON {
        let manifests = images.sorted { $0.name.precedes($1.name) }.map { image in
            var annotations: [(String, JSON)] = [(ImageAnnotation.name, .string(image.name))]
            if let tag = ImageReference(image.name)?.tag {
                annotations.append((ImageAnnotation.tag, .string(tag)))
            }
            let platform = image.platform.split(separator: "/").map { JSON.string(String($0)) }
            return OCILayout.descriptor(
                image.mediaType, image.manifest,
                [
                    ("annotations", .object(annotations)),
                    ("platform", .object(Array(zip(["os", "architecture", "variant"], platform)))),
                ])
        }
        return .object([
            ("schemaVersion", .int(2)), ("mediaType", .string(MediaType.index)), ("manifests", .array(manifests)),
        ])
    }

    /// How one blob names another (image-spec, descriptor.md).
    package static func descriptor(_ mediaType: String, _ digest: Digest, _ more: [(String, JSON)] = []) -> JSON {
        .object(
            [
                ("mediaType", .string(mediaType)), ("digest", .string("sha256:\(digest.hex)")),
                ("size", .int(digest.size)),
            ] + more)
    }
}

extension OCILayout {
    /// The images and blobs of a layout that was made elsewhere, every blob held against its name.
    /// - Parameter label: what the tree is, for messages.
    package init(reading tree: Tree, from store: any ObjectStore, label: String) throws {
        func bad(_ what: String) -> ForgeError {
            ForgeError(
                .badInput, "\(label) is no OCI image layout: \(what)",
                remedy: "give the output of stage oci-image, or a directory that a tool such as skopeo has written")
        }
        guard case .file(let digest)? = tree["index.json"]?.kind else { throw bad("there is no index.json") }
        let index = try JSON(parsing: try store.read(digest), file: "\(label): index.json")
        self.init()
        for entry in tree.entries where entry.path.isBelow("blobs/sha256") {
            guard case .file(let digest) = entry.kind else { continue }
            guard digest.hex == "\(entry.name)" else { throw bad("\(entry.path) has other bytes than its name says") }
            blobs.insert(digest)
        }
        for item in index["manifests"]?.array ?? [] {
            guard let text = item["digest"]?.string, text.hasPrefix("sha256:"),
                let manifest = blobs.first(where: { $0.hex == text.dropFirst(7) })
            else { throw bad("index.json names a manifest that is not there: \(item["digest"]?.string ?? "?")") }
            let notes = item["annotations"]
            guard let name = notes?[ImageAnnotation.name]?.string ?? notes?[ImageAnnotation.tag]?.string
            else { throw bad("index.json has an image without a name") }
            let platform = ["os", "architecture", "variant"].compactMap { item["platform"]?[$0]?.string }
            images.append(
                Image(
                    name: name, manifest: manifest, mediaType: item["mediaType"]?.string ?? MediaType.manifest,
                    platform: platform.joined(separator: "/")))
        }
    }
}
