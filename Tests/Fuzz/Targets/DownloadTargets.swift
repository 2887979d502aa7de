import ForgeBase
import ForgePackages

/// A published list of checksums: what is found in it stands in it.
func fuzzChecksums(_ input: [UInt8]) throws {
    let list = ChecksumList(input)
    for url in ["https://a.example/v1/bin/kubelet", "https://a.example/x%20y?z", "https://a.example"] {
        guard let hex = try Refusal().unless({ try list.sha256(of: url, place: "https://a.example/sums") }) else {
            continue
        }
        try require(Digest(hex: hex, size: 0) != nil, "“\(hex)” is no SHA-256")
        let small = input.map { (0x41...0x5a).contains($0) ? $0 | 0x20 : $0 }
        let wanted = Array(hex.utf8)
        try require(
            small.indices.contains { small[$0...].starts(with: wanted) }, "\(hex) is not in the list")
    }
}

/// A manifest or an index of an image.
func fuzzImage(_ input: [UInt8]) throws {
    guard let manifest = try Refusal().unless({ try ImageManifest(input, place: "f") }) else { return }
    let parts =
        switch manifest {
        case .index(let manifests): manifests
        case .image(let config, let layers): [config] + layers
        }
    for part in parts {
        try require(part.digest.size >= 0, "a negative size")
        // The platform is compared, never taken apart.
        _ = ImageManifest.fits(part.platform, "linux/amd64")
    }
    _ = try Refusal().unless { try ImageManifest.mediaType(input, place: "f") }
}
