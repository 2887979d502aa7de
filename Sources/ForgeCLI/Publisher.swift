import ForgeBase
import ForgeEngine
import ForgePlanner
import ForgeRecipe
import ForgeStore
import ForgeSystem

/// An artifact in the output directory.
struct PublishedArtifact {
    /// Below the output directory.
    var path: String
    var absolute: String
    var digest: Digest
    var mediaType: String
    /// The media type of bytes that nothing is known of.
    static let plain = "application/octet-stream"

    var json: JSON {
        .object([
            ("path", .string(absolute)), ("size", .int(digest.size)), ("sha256", .string(digest.hex)),
            ("media_type", .string(mediaType)),
        ])
    }
}

/// Puts the artifacts of a build into `out/<recipe>/<cell>/`. Files that are right already are left alone, by what
/// changes when their bytes change; files of earlier builds that the recipe no longer has are removed.
struct Publisher {
    let store: Store
    let directory: String
    /// What forge itself writes about the artifacts.
    static let about = ["packages.json", "manifest.json", "SHA256SUMS"]

    func publish(_ planned: PlannedRecipe, engine: Engine, recipe: Recipe) throws -> [PublishedArtifact] {
        try Files.makeDirectories(directory)
        var artifacts: [PublishedArtifact] = []
        for artifact in planned.plan.artifacts {
            let output = try engine.output(artifact.source)
            switch output.kind {
            case .file:
                let mediaType = artifact.mediaType ?? PublishedArtifact.plain
                artifacts.append(try place(output.digest, artifact.path, mediaType))
            case .tree: artifacts += try placeFolder(output.digest, artifact.path)
            }
        }
        let packages = try kept(provided(planned, engine).pretty(depth: 4))
        artifacts.append(try place(packages, "packages.json", "application/json"))
        let manifest = try kept(manifest(artifacts, recipe, planned).pretty(depth: 3))
        artifacts.append(try place(manifest, "manifest.json", "application/json"))
        // For `sha256sum -c`: of everything else.
        let sums = artifacts.map { "\($0.digest.hex)  \($0.path)\n" }.joined()
        artifacts.append(try place(try kept(sums), "SHA256SUMS", "text/plain"))
        try removeOthers(than: Set(artifacts.map(\.path)), below: "")
        return artifacts
    }

    /// What tells whether the output directory is still as it was published; nil if it does not keep still.
    func witnesses(_ artifacts: [PublishedArtifact]) throws -> FileWitnesses? {
        func look() throws -> FileWitnesses? {
            try FileJournal.recording(ignoring: []) {
                var directories: Set<String> = []
                for artifact in artifacts {
                    _ = try Files.status(artifact.absolute)
                    // Directories may hold nothing but directories.
                    var parent = Files.parent(of: artifact.absolute)
                    while directories.insert(parent).inserted {
                        _ = try Files.list(parent)
                        if parent == directory { break }
                        parent = Files.parent(of: parent)
                    }
                }
            }.1
        }
        if let found = try look() { return found }
        // Files that were written a moment ago: wait until the clock that stamps files has ticked.
        SystemTime.sleep(milliseconds: 25)
        return try look()
    }

    /// A text as an object; written only if it is new.
    private func kept(_ text: String) throws -> Digest {
        let bytes = Array(text.utf8)
        let digest = Digest.of(bytes)
        return try store.contains(digest) ? digest : store.put(bytes)
    }

    private func place(_ digest: Digest, _ path: String, _ mediaType: String) throws -> PublishedArtifact {
        let target = "\(directory)/\(path)"
        let artifact = PublishedArtifact(path: path, absolute: target, digest: digest, mediaType: mediaType)
        if let status = try Files.status(target), status.kind == .file, status.size == digest.size,
            try store.digest(ofFile: target) == digest
        {
            return artifact
        }
        try Files.makeDirectories(Files.parent(of: target))
        // A copy (shared blocks where the file system can), because people and programs write to what they are given.
        let temporary = "\(target).new"
        try Files.remove(temporary)
        try store.export(digest, to: temporary, mode: 0o644)
        try Files.move(temporary, to: target)
        return artifact
    }

    /// The files of a tree. What a folder of `out/` can't be, or a web server can't show, is refused.
    private func placeFolder(_ tree: Digest, _ path: String) throws -> [PublishedArtifact] {
        try Tree.load(tree, from: store).entries.compactMap { entry in
            let name = "\(path)/\(entry.path)"
            switch entry.kind {
            case .directory: return nil
            case .file(let digest) where Artifact.isPlain(name): return try place(digest, name, PublishedArtifact.plain)
            default:
                throw ForgeError(
                    .badInput, "artifact “\(path)” is a tree that can't be published as a folder",
                    details: ["“\(entry.path)” is no file with a plain name"],
                    remedy: "pack it first: stage tarball, squashfs or disk-image")
            }
        }
    }

    /// What each stage put into the artifacts, without what only tools are made of.
    private func provided(_ planned: PlannedRecipe, _ engine: Engine) -> JSON {
        let used = planned.plan.closure(of: planned.plan.artifacts.map(\.source.action))
        let stages = used.filter { !planned.tools.contains($0) }.compactMap { index -> JSON? in
            guard let provides = engine.results[index]?.provides, !provides.isEmpty else { return nil }
            return .object([
                ("stage", .string(planned.plan.actions[index].name)), ("packages", .array(provides)),
            ])
        }
        return .object([("stages", .array(stages))])
    }

    private func manifest(_ artifacts: [PublishedArtifact], _ recipe: Recipe, _ planned: PlannedRecipe) -> JSON {
        .object([
            ("recipe", .string(recipe.name)),
            ("cell", .string(Session.cell)),
            ("architecture", .string(recipe.architecture)),
            ("parameters", .object(recipe.values.map { ($0.name, $0.value) })),
            ("epoch", .int(planned.epoch)),
            (
                "artifacts",
                .array(
                    artifacts.map {
                        .object([
                            ("path", .string($0.path)), ("size", .int($0.digest.size)),
                            ("sha256", .string($0.digest.hex)), ("media_type", .string($0.mediaType)),
                        ])
                    })
            ),
        ])
    }

    private func removeOthers(than wanted: Set<String>, below parent: String) throws {
        for name in try Files.list(parent.isEmpty ? directory : "\(directory)/\(parent)") {
            let path = parent.isEmpty ? name.description : "\(parent)/\(name)"
            if wanted.contains(path) { continue }
            if try Files.status("\(directory)/\(path)")?.kind == .directory {
                try removeOthers(than: wanted, below: path)
                if try Files.list("\(directory)/\(path)").isEmpty { try Files.remove("\(directory)/\(path)") }
            } else {
                try Files.remove("\(directory)/\(path)")
            }
        }
    }
}
