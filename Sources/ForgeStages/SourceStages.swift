import ForgeBase
import ForgeEngine
import ForgePackages
import ForgeRecipe
import ForgeScripts
import ForgeStore

/// The built-ins that bring a recipe's own sources in. They have no folder and no recipe names them: they stand behind
/// inputs that are a URL or a commit.
struct SourceStages {
    let request: HelperRequest
    let context: StageContext

    private var fetcher: Fetcher { Fetcher(for: context.store) }

    /// The file of a URL.
    func url() throws -> StageResult {
        let source = try URLSource(options: request.options)
        let places = source.urls.flatMap { FetchURL.places(of: $0, mirrors: request.mirrors) }
        let name = FetchURL.redacted(source.urls.first ?? "")
        let file = LockedBytes(sha256: source.sha256, size: source.size)
        if let known = try context.store.digest(of: file) { return result("file", .file, known) }
        try refuseOffline(places, name)
        let wanted = PinnedFile(
            name: name, sha256: source.sha256, size: source.size, urls: reachable(places))
        let digest = try fetcher.fetch(wanted, into: context.store, progress: report)
        context.note("\(name): \(digest.size) bytes, SHA-256 \(digest.hex)")
        return result("file", .file, digest)
    }

    /// The tree of a commit.
    func git() throws -> StageResult {
        var source = try GitSource(options: request.options)
        let places = source.urls.flatMap { FetchURL.places(of: $0, mirrors: request.mirrors) }
        try refuseOffline(places, "commit \(source.commit) of \(FetchURL.redacted(source.urls.first ?? ""))")
        if request.offline { source.urls = reachable(places) }
        let tree = try GitTree(
            source, into: context.store, fetcher: fetcher, scratch: context.scratch,
            mirrors: request.offline ? [] : request.mirrors, progress: report, note: context.note
        ).fetch()
        return result("tree", .tree, try tree.save(in: context.store))
    }

    private func reachable(_ places: [String]) -> [String] {
        FetchURL.reachable(places, offline: request.offline)
    }

    private func refuseOffline(_ places: [String], _ name: String) throws(ForgeError) {
        if reachable(places).isEmpty { throw .offline("\(name) is") }
    }

    private func report(_ progress: FetchProgress) {
        context.progress(progress.bytes, progress.totalBytes, "bytes", "fetch")
    }

    private func result(_ name: String, _ kind: ActionResult.Output.Kind, _ digest: Digest) -> StageResult {
        StageResult(outputs: [ActionResult.Output(name: name, kind: kind, digest: digest)])
    }
}

extension Store {
    /// The whole name of a pinned file, if it is there.
    func digest(of file: LockedBytes) throws -> Digest? {
        guard let digest = file.digest else { return try digest(ofSHA256: file.sha256) }
        return try contains(digest) ? digest : nil
    }
}
