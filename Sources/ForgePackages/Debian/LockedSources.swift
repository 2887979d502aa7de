import ForgeBase
package import ForgeRecipe
package import ForgeStore

extension LockedArchive {
    /// Base URLs at a snapshot service of the states that have this archive's files; empty if none is known.
    ///
    /// A service takes its picture some hours after the Release file's date, and answers a time with the last picture
    /// before it: so a quarter of a day later first, then a day later.
    func snapshotBases(mirrors: Mirrors, store: any ObjectStore) -> [String] {
        let services = mirrors.snapshots[archive] ?? ownService(store: store).map { [$0] } ?? []
        let times = [date + 6 * 3600, date + 30 * 3600, date].map(HTTPDate.snapshot)
        return services.flatMap { service in times.map { FetchURL.snapshot(service, at: $0) } }
    }

    /// The service that the Release file names, if the store still has that file.
    private func ownService(store: any ObjectStore) -> String? {
        guard let text = try? store.read(release),
            let release = try? ReleaseFile(parsing: text, name: suite), let service = release.snapshots,
            service.contains("@SNAPSHOTID@")
        else { return nil }
        return service
    }
}

extension DebianLock {
    /// The package files of the lock, each with the places to ask for it, in the order of the lock.
    package func wanted(mirrors: Mirrors, store: any ObjectStore) -> [WantedObject] {
        let bases = archives.map { ($0, $0.snapshotBases(mirrors: mirrors, store: store)) }
        return packages.map { package in
            let snapshots = bases.filter { $0.0.archive == package.archive && $0.0.suite == package.suite }.flatMap(\.1)
            return WantedObject(
                name: "\(package.name) \(package.version) (\(package.architecture))", digest: package.digest,
                urls: (mirrors.archives[package.archive] ?? []).map { FetchURL.join($0, package.path) },
                snapshotURLs: snapshots.map { FetchURL.join($0, package.path) })
        }
    }
}
