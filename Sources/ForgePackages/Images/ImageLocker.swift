package import ForgeBase
package import ForgeRecipe
package import ForgeStore

/// Makes, keeps and moves locks of container images: what a tag means for one platform, part by part.
package struct ImageLocker: Locker {
    let fetcher: Fetcher
    let store: any ObjectStore
    /// Places to ask before a registry, by its host.
    let mirrors: [(String, [String])]
    /// Where the layouts are that the options name, by relative path.
    let paths: [String: String]

    package init(
        fetcher: Fetcher, store: any ObjectStore, mirrors: [(String, [String])], paths: [String: String] = [:]
    ) {
        self.fetcher = fetcher
        self.store = store
        self.mirrors = mirrors
        self.paths = paths
    }

    /// Locks the images of a stage's options. Without `update` an image that is named as it was keeps its digests, and
    /// nobody is asked; a layout, which is here, is always read.
    /// - Parameter request: what the lock is found by.
    package func lock(
        id: String, parameters: [String: String], options: JSON, request: JSON, previous: LockEntry?, update: LockUpdate
    ) throws -> LockOutcome {
        let asked = try previous.map { try CopiedImage.list($0.request) } ?? []
        let images = try CopiedImage.list(options).map { image in
            let known = asked.first { $0.identity == image.identity && $0.layout == nil }
            let held = previous?.images?.first { $0.name == image.name }
            if image.layout == nil, known != nil, let held, !update.frees(image.name) { return held }
            return try resolve(image)
        }
        let entry = LockEntry(
            id: id, parameters: parameters, locker: "images", request: request, date: 0, body: .images(images))
        return LockOutcome(entry: entry, changes: entry.changes(since: previous))
    }

    private func resolve(_ image: CopiedImage) throws -> LockedImage {
        if let layout = image.layout {
            return try ImageLayout(directory: paths[layout] ?? layout, place: layout).resolve(image)
        }
        var failure: ForgeError?
        for registry in Registry.places(of: image.reference, mirrors: mirrors, fetcher: fetcher, store: store) {
            do { return try registry.resolve(image) } catch let error as ForgeError where error.code == .network {
                failure = error.joined(behind: failure)
            }
        }
        throw failure ?? ForgeError(.bug, "no place for \(image.reference)")
    }
}
