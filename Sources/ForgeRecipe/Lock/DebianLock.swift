package import ForgeBase

/// A set of Debian packages and the signed indexes that vouch for it. Names no host.
package struct DebianLock: Sendable, Equatable {
    /// The state of the archives that a snapshot service should be asked for: `20250520T000000Z`.
    package var snapshot: String
    package var archives: [LockedArchive]
    /// Sorted by name.
    package var packages: [LockedPackage]
    /// Sorted by name.
    package var sources: [LockedSource]

    package init(
        snapshot: String, archives: [LockedArchive], packages: [LockedPackage], sources: [LockedSource] = []
    ) {
        self.snapshot = snapshot
        self.archives = archives
        self.packages = packages
        self.sources = sources
    }
}

/// One suite of one archive, as it was when the lock was made.
package struct LockedArchive: Sendable, Equatable {
    /// One index file, by its path below the suite's directory.
    package struct Index: Sendable, Equatable {
        package var path: String
        package var digest: Digest

        package init(path: String, digest: Digest) {
            self.path = path
            self.digest = digest
        }
    }

    /// Archive id, for which mirrors are found: `debian`.
    package var archive: String
    /// The suite as it was asked for.
    package var suite: String
    package var codename: String
    package var components: [String]
    /// `Date` of the Release file, in seconds since 1970.
    package var date: Int64
    /// Digest of the signed text of the Release file.
    package var release: Digest
    /// Fingerprint of the primary key that signed it.
    package var signedBy: String
    package var indexes: [Index]

    package init(
        archive: String, suite: String, codename: String, components: [String], date: Int64, release: Digest,
        signedBy: String, indexes: [Index]
    ) {
        self.archive = archive
        self.suite = suite
        self.codename = codename
        self.components = components
        self.date = date
        self.release = release
        self.signedBy = signedBy
        self.indexes = indexes
    }
}

/// One package file.
package struct LockedPackage: Sendable, Equatable {
    package var name: String
    package var version: String
    /// `all`, or the architecture of the machine.
    package var architecture: String
    package var digest: Digest
    /// Path below the archive's root: `pool/main/b/bash/bash_5.2.15-2+b2_amd64.deb`.
    package var path: String
    /// Archive id and suite that vouch for it.
    package var archive: String
    package var suite: String
    /// Source package and its version.
    package var source: String
    package var sourceVersion: String
    package var section: String
    package var isEssential: Bool

    package init(
        name: String, version: String, architecture: String, digest: Digest, path: String, archive: String,
        suite: String, source: String, sourceVersion: String, section: String = "", isEssential: Bool = false
    ) {
        self.name = name
        self.version = version
        self.architecture = architecture
        self.digest = digest
        self.path = path
        self.archive = archive
        self.suite = suite
        self.source = source
        self.sourceVersion = sourceVersion
        self.section = section
        self.isEssential = isEssential
    }
}

/// One source package: its `.dsc` and the files that it lists.
package struct LockedSource: Sendable, Equatable {
    package struct File: Sendable, Equatable {
        /// Below the archive's root: `pool/main/h/hello/hello_2.10-3.dsc`.
        package var path: String
        package var digest: Digest

        package init(path: String, digest: Digest) {
            self.path = path
            self.digest = digest
        }

        package var name: String { path.split(separator: "/").last.map(String.init) ?? path }
    }

    package var name: String
    package var version: String
    /// Archive id and suite that vouch for it.
    package var archive: String
    package var suite: String
    /// Sorted by path.
    package var files: [File]

    package init(name: String, version: String, archive: String, suite: String, files: [File]) {
        self.name = name
        self.version = version
        self.archive = archive
        self.suite = suite
        self.files = files
    }
}

extension DebianLock {
    /// What changes from this set to another, by name.
    package func changes(to other: DebianLock) -> [LockChange] { LockChange.between(contents, other.contents) }

    var contents: LockContents {
        Dictionary(
            packages.map { ($0.name, .init(version: $0.version, bytes: [$0.digest.hex])) }
                + sources.map { ($0.name, .init(version: $0.version, bytes: $0.files.map(\.digest.hex))) },
            uniquingKeysWith: { first, _ in first })
    }
}
