package import ForgeBase

/// How a document names another: media type, SHA-256 and size.
package struct ImageDescriptor: Equatable {
    package var mediaType: String
    package var digest: Digest
    /// `os/architecture` or `os/architecture/variant`, where the document says it.
    package var platform: String?
    var annotations: [(String, String)] = []

    package static func == (lhs: ImageDescriptor, rhs: ImageDescriptor) -> Bool {
        lhs.digest == rhs.digest && lhs.mediaType == rhs.mediaType
    }

    func annotation(_ name: String) -> String? { annotations.first { $0.0 == name }?.1 }

    /// - Parameter place: of the document that has it, for errors.
    init(_ json: JSON?, in place: String) throws(ForgeError) {
        guard let json, let text = json["digest"]?.string, let size = json["size"]?.int, size >= 0 else {
            throw ImageManifest.fault(place, "a part without digest or size")
        }
        guard text.hasPrefix("sha256:"), let digest = Digest(hex: text.dropFirst(7), size: size) else {
            throw ImageManifest.fault(place, "“\(text)” is no SHA-256")
        }
        self.digest = digest
        mediaType = json["mediaType"]?.string ?? ""
        if let platform = json["platform"] { self.platform = ImageManifest.platform(platform) }
        annotations = (json["annotations"]?.object ?? []).compactMap { name, value in value.string.map { (name, $0) } }
    }
}

/// What a registry or a layout has under an image's name: the manifest of one platform, or an index of several. Docker's
/// forms and those of OCI differ in media types alone.
package enum ImageManifest {
    case index([ImageDescriptor])
    case image(config: ImageDescriptor, layers: [ImageDescriptor])

    static let ociManifest = "application/vnd.oci.image.manifest.v1+json"
    static let ociIndex = "application/vnd.oci.image.index.v1+json"
    /// What a registry is asked for.
    static let accepted = [
        ociIndex, ociManifest, "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    ]
    /// Bytes that a manifest, an index or a configuration may have.
    static let limit: Int64 = 8 << 20

    /// - Parameter place: what errors call it.
    package init(_ bytes: [UInt8], place: String) throws(ForgeError) {
        let json = try ImageManifest.json(bytes, place: place)
        if let list = json["manifests"]?.array {
            var manifests: [ImageDescriptor] = []
            for item in list { manifests.append(try ImageDescriptor(item, in: place)) }
            self = .index(manifests)
        } else if let list = json["layers"]?.array {
            var layers: [ImageDescriptor] = []
            for item in list { layers.append(try ImageDescriptor(item, in: place)) }
            self = .image(config: try ImageDescriptor(json["config"], in: place), layers: layers)
        } else if json["schemaVersion"]?.int == 1 {
            throw ImageManifest.fault(place, "Docker's first form of images, which has no digests to rely on")
        } else {
            throw ImageManifest.fault(place, "neither a manifest nor an index")
        }
    }

    /// The media type of a manifest, as itself says it or as its form does.
    package static func mediaType(_ bytes: [UInt8], place: String) throws(ForgeError) -> String {
        try json(bytes, place: place)["mediaType"]?.string ?? ociManifest
    }

    static func json(_ bytes: [UInt8], place: String) throws(ForgeError) -> JSON {
        do throws(ForgeError) { return try JSON(parsing: bytes, file: place) } catch {
            throw fault(place, "no JSON: \(error.message)")
        }
    }

    /// The platform that a configuration or a descriptor names.
    static func platform(_ json: JSON) -> String {
        [json["os"]?.string, json["architecture"]?.string, json["variant"]?.string].compactMap { $0 }
            .filter { !$0.isEmpty }.joined(separator: "/")
    }

    /// Whether a platform is that which is asked for; a variant counts only where one is asked for.
    package static func fits(_ platform: String?, _ wanted: String) -> Bool {
        guard let platform else { return false }
        return platform == wanted || platform.hasPrefix(wanted + "/")
    }

    static func fault(_ place: String, _ cause: String) -> ForgeError {
        ForgeError(
            .verification, "\(place) is no image: \(cause)",
            remedy: "correct the name of the image, or ask its publisher")
    }
}
