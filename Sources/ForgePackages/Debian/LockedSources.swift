package import ForgeBase
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
    /// A file that the lock pins.
    package struct File: Sendable {
        /// What people call it.
        package var name: String
        package var digest: Digest
        /// Archive id and suite that vouch for it.
        package var archive: String
        package var suite: String
        /// Below the archive's root.
        package var path: String
        /// What it is called in a directory of such files.
        package var fileName: String
    }

    /// Every file of the lock, in its order: those of packages, then those of sources.
    package var files: [File] {
        packages.map { package in
            File(
                name: "\(package.name) \(package.version) (\(package.architecture))", digest: package.digest,
                archive: package.archive, suite: package.suite, path: package.path, fileName: package.fileName)
        }
            + sources.flatMap { source in
                source.files.map { file in
                    File(
                        name: "\(file.name) of source \(source.name)", digest: file.digest, archive: source.archive,
                        suite: source.suite, path: file.path, fileName: file.name)
                }
            }
    }

    /// The files of the lock, each with the places to ask for it, in the order of the lock.
    package func wanted(mirrors: Mirrors, store: any ObjectStore) -> [WantedObject] {
        let bases = archives.map { ($0, $0.snapshotBases(mirrors: mirrors, store: store)) }
        return files.map { file in
            let snapshots = bases.filter { $0.0.archive == file.archive && $0.0.suite == file.suite }.flatMap(\.1)
            return WantedObject(
                name: file.name, digest: file.digest,
                urls: (mirrors.archives[file.archive] ?? []).map { FetchURL.join($0, file.path) },
                snapshotURLs: snapshots.map { FetchURL.join($0, file.path) })
        }
    }
}

extension LockedPackage {
    /// The name that apt gives the file: `<name>_<version>_<architecture>.deb`, `:` escaped.
    var fileName: String { "\(name)_\(version.replacing(":", with: "%3a"))_\(architecture).deb" }
}
