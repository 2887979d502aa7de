package import ForgeBase

/// What one stage takes from outside, pinned: a part of `forge.lock`.
package struct LockEntry: Sendable, Equatable {
    /// What was pinned, by the kind of source.
    package enum Body: Sendable, Equatable {
        case debian(DebianLock)
        /// Of a locker that keeps its own form: the value of `content`.
        case other(JSON)
    }

    /// Id of the stage in the recipe.
    package var id: String
    /// The recipe's parameters that the stage's options use, sorted by name.
    package var parameters: [String: String]
    /// Which locker made it (`lock:` in the stage's file).
    package var locker: String
    /// The options that determine the content, canonical.
    package var request: JSON
    /// Newest date of what was locked, in seconds since 1970.
    package var date: Int64
    package var body: Body

    package init(
        id: String, parameters: [String: String], locker: String, request: JSON, date: Int64, body: Body
    ) {
        self.id = id
        self.parameters = parameters
        self.locker = locker
        self.request = request.canonical
        self.date = date
        self.body = body
    }

    /// The digest of a request; an entry fits a stage if these are equal.
    package static func digest(ofRequest request: JSON) -> Digest {
        var encoder = CanonicalEncoder(domain: "forge.lock.request.1")
        encoder.add(request.canonical.description)
        return encoder.digest
    }

    package var requestDigest: Digest { LockEntry.digest(ofRequest: request) }

    /// What it pins of Debian archives, if it does.
    package var debian: DebianLock? { if case .debian(let lock) = body { lock } else { nil } }

    /// The version of a package that it pins, or of a source package.
    package func version(of name: String) -> String? {
        debian?.packages.first { $0.name == name }?.version ?? debian?.sources.first { $0.name == name }?.version
    }

    /// Every file that it pins: what a build of it can't do without.
    package var files: [Digest] {
        switch body {
        case .debian(let lock): lock.packages.map(\.digest) + lock.sources.flatMap { $0.files.map(\.digest) }
        case .other: []
        }
    }
}

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

/// How two locked sets differ.
package struct LockChange: Sendable, Equatable, CustomStringConvertible {
    package var name: String
    /// Nil if the package is new.
    package var old: String?
    /// Nil if the package is gone.
    package var new: String?

    package var description: String {
        switch (old, new) {
        case (let old?, let new?): old == new ? "\(name) \(old) (rebuilt: other bytes)" : "\(name) \(old) → \(new)"
        case (nil, let new?): "\(name) \(new) (new)"
        case (let old?, nil): "\(name) \(old) (removed)"
        case (nil, nil): name
        }
    }
}

extension DebianLock {
    /// What changes from this set to another, by name.
    package func changes(to other: DebianLock) -> [LockChange] {
        let (before, after) = (contents, other.contents)
        return Set(before.keys).union(after.keys).sorted { $0.precedes($1) }.compactMap { name in
            let (old, new) = (before[name], after[name])
            if old?.digests == new?.digests && old?.version == new?.version { return nil }
            return LockChange(name: name, old: old?.version, new: new?.version)
        }
    }

    /// Version and bytes of everything in it, by name.
    private var contents: [String: (version: String, digests: [Digest])] {
        Dictionary(
            packages.map { ($0.name, ($0.version, [$0.digest])) }
                + sources.map { ($0.name, ($0.version, $0.files.map(\.digest))) },
            uniquingKeysWith: { first, _ in first })
    }
}
