import ForgeBase
import ForgeEngine
import ForgePackages
package import ForgeRecipe
import ForgeScripts
import ForgeStore

/// What a stage that fetches may bring in, and from where.
package struct LockedSources {
    /// The lock's entry for the stage.
    package var entry: LockEntry
    /// Places to ask before a host, by its name. Never part of a key: every place gives the same bytes.
    package var mirrors: [(String, [String])] = []
    /// Ask nobody but this machine's files; what the store lacks is an error.
    package var offline = false

    package init(entry: LockEntry, mirrors: [(String, [String])] = [], offline: Bool = false) {
        (self.entry, self.mirrors, self.offline) = (entry, mirrors, offline)
    }

    init(_ request: HelperRequest, in store: Store) throws {
        self.init(entry: try LockEntry(of: request, in: store), mirrors: request.mirrors, offline: request.offline)
    }

    func unpinned(_ what: String) -> ForgeError {
        ForgeError(
            .badInput, "the lock of stage “\(entry.id)” does not pin \(what)",
            remedy: "make it anew with `forge lock --update`")
    }
}

extension Fetcher {
    /// One that keeps what was cut off in the store, for the next try.
    init(for store: Store, options: FetchOptions = FetchOptions()) {
        self.init(partialDirectory: store.directory + "/partial", options: options)
    }
}

extension ForgeError {
    /// What the store lacks while nobody may be asked.
    static func offline(_ what: String, details: [String] = []) -> ForgeError {
        ForgeError(
            .network, "\(what) not in the cache, and --offline forbids to fetch it", details: details,
            remedy: "build once without --offline, or name a cache that has it with --cache DIR")
    }
}
