package import ForgeBase

/// What one stage takes from outside, pinned: a part of `forge.lock`.
package struct LockEntry: Sendable, Equatable {
    /// What was pinned, by the kind of source.
    package enum Body: Sendable, Equatable {
        case debian(DebianLock)
        case downloads([LockedDownload])
        case images([LockedImage])
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

    /// What it pins of single files, if it does.
    package var downloads: [LockedDownload]? { if case .downloads(let files) = body { files } else { nil } }

    /// The version of a package that it pins, or of a source package.
    package func version(of name: String) -> String? {
        debian?.packages.first { $0.name == name }?.version ?? debian?.sources.first { $0.name == name }?.version
    }

    /// The images, if it pins some.
    package var images: [LockedImage]? { if case .images(let images) = body { images } else { nil } }

    /// Every file that it pins: what a build of it can't do without.
    package var files: [LockedBytes] {
        switch body {
        case .debian(let lock):
            (lock.packages.map(\.digest) + lock.sources.flatMap { $0.files.map(\.digest) }).map(LockedBytes.init)
        case .downloads(let files): files.map(\.file)
        case .images(let images): images.flatMap { [$0.manifest] + $0.blobs }.map(LockedBytes.init)
        case .other: []
        }
    }

    /// What changes from an earlier entry to this one; everything is new if there is none.
    package func changes(since previous: LockEntry?) -> [LockChange] {
        LockChange.between(previous?.contents ?? [:], contents)
    }

    /// What it pins, by name, in no order.
    package var names: [String] { Array(contents.keys) }

    /// How many things it pins, and what one of them is called.
    package var count: (number: Int, noun: String) {
        switch body {
        case .debian(let lock) where !lock.sources.isEmpty: (lock.sources.count, "source package")
        case .debian(let lock): (lock.packages.count, "package")
        case .downloads(let files): (files.count, "file")
        case .images(let images): (images.count, "image")
        case .other: (1, "thing")
        }
    }

    private var contents: LockContents {
        switch body {
        case .debian(let lock): lock.contents
        case .downloads(let files):
            LockEntry.contents(files.map { ($0.name, $0.file.sha256) })
        case .images(let images): LockEntry.contents(images.map { ($0.name, $0.manifest.hex) })
        case .other(let content): ["content": .init(version: Digest.of(content.description).hex, bytes: [])]
        }
    }

    private static func contents(_ files: [(name: String, sha256: String)]) -> LockContents {
        Dictionary(
            files.map { ($0.name, .init(version: "sha256:\($0.sha256.prefix(12))…", bytes: [$0.sha256])) },
            uniquingKeysWith: { first, _ in first })
    }
}

/// The name of some bytes from outside.
package struct LockedBytes: Sendable, Equatable {
    /// 64 small hexadecimal digits.
    package var sha256: String
    /// Bytes; nil where only the digest was published.
    package var size: Int64?

    package init(sha256: String, size: Int64? = nil) {
        self.sha256 = sha256
        self.size = size
    }

    package init(_ digest: Digest) { self.init(sha256: digest.hex, size: digest.size) }

    package var digest: Digest? { size.flatMap { Digest(hex: sha256, size: $0) } }
}

/// One file of the stage `downloads`. Its addresses stand in the request.
package struct LockedDownload: Sendable, Equatable {
    /// Of the file in the stage's options.
    package var name: String
    package var file: LockedBytes

    package init(name: String, file: LockedBytes) {
        self.name = name
        self.file = file
    }
}

/// One image: its manifest for one platform, and every part that the manifest names.
package struct LockedImage: Sendable, Equatable {
    /// What it is called in the output.
    package var name: String
    package var manifest: Digest
    package var mediaType: String
    /// Configuration, then layers in order.
    package var blobs: [Digest]

    package init(name: String, manifest: Digest, mediaType: String, blobs: [Digest]) {
        self.name = name
        self.manifest = manifest
        self.mediaType = mediaType
        self.blobs = blobs
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

    /// What changes from one set to another, by name.
    static func between(_ before: LockContents, _ after: LockContents) -> [LockChange] {
        Set(before.keys).union(after.keys).sorted { $0.precedes($1) }.compactMap { name in
            let (old, new) = (before[name], after[name])
            return old == new ? nil : LockChange(name: name, old: old?.version, new: new?.version)
        }
    }
}

/// What a set is made of, by name.
typealias LockContents = [String: LockContent]

/// One thing of a set.
struct LockContent: Equatable {
    /// What people tell it from others by.
    var version: String
    /// SHA-256 of its files.
    var bytes: [String]
}
