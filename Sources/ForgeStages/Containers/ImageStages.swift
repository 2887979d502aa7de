import ForgeArchive
import ForgeBase
import ForgeEngine
import ForgePackages
import ForgeRecipe
import ForgeScripts
import ForgeStore

/// The stage `oci-image`: a container image made of trees, without a daemon.
struct OCIImageStage {
    let context: StageContext

    func run() throws -> StageResult {
        let names = strings("names")
        for name in names where ImageReference(name).map({ $0.tag == nil || $0.sha256 != nil }) ?? true {
            throw ForgeError(
                .badInput, "stage oci-image: “\(name)” is no name for an image",
                remedy: "write a registry, a path and a tag, for example localhost/tools:1.0")
        }
        var layers: [Digest] = []
        for (number, input) in context.inputs("layers").enumerated() {
            context.progress(Int64(number), Int64(context.inputs("layers").count), "items", "pack")
            let path = "\(context.scratch)/layer-\(number)"
            let tree = try OCIImageStage.withMarkers(Tree.load(input.digest, from: context.store), context.store)
            // Not compressed: who packs the image, or sends it, compresses it as a whole, and a node that imports it
            // has nothing to unpack.
            try TarWriter.write(tree, from: context.store, to: path, compression: .none, epoch: context.epoch)
            layers.append(try context.store.put(file: path))
        }
        let config = try put(configuration(layers))
        let manifest = try put(
            .object([
                ("schemaVersion", .int(2)), ("mediaType", .string(OCILayout.MediaType.manifest)),
                ("config", OCILayout.descriptor(OCILayout.MediaType.config, config)),
                ("layers", .array(layers.map { OCILayout.descriptor(OCILayout.MediaType.layer, $0) })),
            ]))
        let layout = OCILayout(
            images: names.map {
                OCILayout.Image(
                    name: $0, manifest: manifest, mediaType: OCILayout.MediaType.manifest,
                    platform: "linux/\(context.architecture)")
            }, blobs: Set(layers + [config, manifest]))
        context.note("\(names.joined(separator: ", ")): sha256:\(manifest.hex)")
        let digest = try layout.tree(in: context.store).save(in: context.store)
        return StageResult(outputs: [.init(name: "layout", kind: .tree, digest: digest)])
    }

    private func put(_ json: JSON) throws -> Digest {
        try context.store.put(Array(json.canonical.description.utf8))
    }

    private func strings(_ option: String) -> [String] {
        (context.options[option]?.array ?? []).compactMap(\.string)
    }

    /// The configuration (image-spec, config.md): what is not given is not there.
    private func configuration(_ layers: [Digest]) -> JSON {
        var config: [(String, JSON)] = []
        for (option, field) in [("entrypoint", "Entrypoint"), ("command", "Cmd")] where !strings(option).isEmpty {
            config.append((field, .array(strings(option).map(JSON.string))))
        }
        let environment = (context.options["environment"]?.object ?? []).map { ($0.0, $0.1.string ?? "") }
        if !environment.isEmpty {
            config.append(("Env", .array(environment.map { .string("\($0.0)=\($0.1)") }.sorted { "\($0)" < "\($1)" })))
        }
        for (option, field) in [("user", "User"), ("directory", "WorkingDir")] {
            if let text = context.options[option]?.string, !text.isEmpty { config.append((field, .string(text))) }
        }
        if let labels = context.options["labels"], labels.object?.isEmpty == false { config.append(("Labels", labels)) }
        let created = HTTPDate.text(context.epoch).replacing(" UTC", with: "Z").replacing(" ", with: "T")
        return .object([
            ("architecture", .string(context.architecture)), ("os", .string("linux")), ("created", .string(created)),
            ("config", .object(config)),
            (
                "rootfs",
                .object([
                    ("type", .string("layers")), ("diff_ids", .array(layers.map { .string("sha256:\($0.hex)") })),
                ])
            ),
        ])
    }

    /// Names that hide others are empty files `.wh.<name>` in layers of images (image-spec, layer.md).
    static func withMarkers(_ tree: Tree, _ store: any ObjectStore) throws -> Tree {
        guard tree.entries.contains(where: \.isWhiteout) else { return tree }
        let empty = try store.put([])
        return try Tree(
            tree.entries.map { entry in
                guard entry.isWhiteout else { return entry }
                return TreeEntry(
                    entry.parent.appending(ByteString(".wh.\(entry.name)")), .file(empty), mode: 0o644)
            })
    }
}

/// The stage `oci-archive`: images of several layouts as one archive, which `ctr images import`, podman and skopeo read.
struct OCIArchiveStage {
    let context: StageContext

    func run() throws -> StageResult {
        var all = OCILayout()
        var owner: [String: (input: String, manifest: Digest)] = [:]
        for input in context.inputs("layouts") {
            let layout = try OCILayout(
                reading: Tree.load(input.digest, from: context.store), from: context.store, label: input.label)
            for image in layout.images {
                if let other = owner[image.name] {
                    if other.manifest == image.manifest { continue }
                    throw ForgeError(
                        .badInput, "two images are called \(image.name): of \(other.input) and of \(input.label)",
                        remedy: "give one of them another name")
                }
                owner[image.name] = (input.label, image.manifest)
                all.images.append(image)
            }
            all.blobs.formUnion(layout.blobs)
        }
        let path = context.scratch + "/archive"
        try TarWriter.write(
            all.tree(in: context.store), from: context.store, to: path, compression: .none, epoch: context.epoch)
        for image in all.images.sorted(by: { $0.name.precedes($1.name) }) {
            context.note("\(image.name)  sha256:\(image.manifest.hex)")
        }
        return StageResult(
            outputs: [.init(name: "archive", kind: .file, digest: try context.store.put(file: path))])
    }
}
