import ForgeBase
import ForgePackages
import ForgeRecipe
import ForgeScripts
import ForgeStore
import ForgeSystem

/// `forge-helper hash`: fetches something that nobody has pinned yet and says how to pin it. What comes goes into the
/// store, so that the build that follows finds it.
struct HelperHash {
    let events: Events

    func run(_ request: JSON) throws {
        guard let url = request["url"]?.string, let cache = request["cache"]?.string,
            let scratch = request["scratch"]?.string
        else {
            throw ForgeError(.bug, "bad request to hash")
        }
        let mirrors = (request["mirrors"]?.object ?? []).map { ($0.0, ($0.1.array ?? []).compactMap(\.string)) }
        let store = try Store(directory: cache)
        let fetcher = Fetcher(for: store)
        let input: JSON
        if request["git"]?.bool == true {
            let ref = request["ref"]?.string ?? "HEAD"
            let commit = try firstPlace(of: url, mirrors) { try GitRefs.commit(of: ref, at: $0) }
            let source = GitSource(urls: [url], commit: commit)
            let tree = try GitTree(
                source, into: store, fetcher: fetcher, scratch: scratch, mirrors: mirrors, progress: report
            ).fetch()
            let digest = try tree.save(in: store)
            input = .object([("git", .string(url)), ("commit", .string(commit)), ("tree", .string(digest.hex))])
        } else {
            let file = scratch + "/file"
            try firstPlace(of: url, mirrors) { try fetcher.download($0, to: file, progress: report) }
            let digest = try store.put(file: file)
            input = .object([
                ("url", .string(url)), ("sha256", .string(digest.hex)), ("size", .int(digest.size)),
            ])
        }
        try store.flush()
        events.send(.object([("event", .string("hash")), ("input", input)]))
    }

    /// The answer of the first place that gives one.
    private func firstPlace<T>(
        of url: String, _ mirrors: [(String, [String])], _ ask: (String) throws -> T
    ) throws -> T {
        var failure: (any Error)?
        for place in FetchURL.places(of: url, mirrors: mirrors) {
            do { return try ask(place) } catch { failure = failure ?? error }
        }
        throw failure ?? ForgeError(.bug, "no place for \(url)")
    }

    private func report(_ progress: FetchProgress) {
        events.send(
            .object([
                ("event", .string("progress")), ("phase", .string("fetch")), ("done", .int(progress.bytes)),
                ("total", .int(progress.totalBytes)), ("unit", .string("bytes")),
            ]))
    }
}
