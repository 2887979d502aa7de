package import ForgeBase
import ForgeSystem

/// `forge.lock`: every byte from outside, pinned by digest, with how it was verified.
///
/// JSON with one package a line, so that a change of one package is a change of one line. Reading is strict: the file is
/// forge's own, and an edited one must not quietly pin something else.
package struct LockFile: Sendable, Equatable {
    /// Version of the format.
    package static let version: Int64 = 1

    /// Sorted by id and parameters.
    package private(set) var entries: [LockEntry] = []

    package init(entries: [LockEntry] = []) { for entry in entries { set(entry) } }

    /// The entry of a stage with these values of the parameters that its options use.
    package func entry(_ id: String, parameters: [String: String]) -> LockEntry? {
        entries.first { $0.id == id && $0.parameters == parameters }
    }

    /// Puts an entry in the place of the one with the same id and parameters.
    package mutating func set(_ entry: LockEntry) {
        entries.removeAll { $0.id == entry.id && $0.parameters == entry.parameters }
        entries.append(entry)
        entries.sort { a, b in
            a.id != b.id
                ? a.id.precedes(b.id)
                : LockFile.order(a.parameters).lexicographicallyPrecedes(LockFile.order(b.parameters))
        }
    }

    /// Keeps only some entries: those that the recipe still has.
    package mutating func keep(where isKept: (LockEntry) -> Bool) { entries.removeAll { !isKept($0) } }

    private static func order(_ parameters: [String: String]) -> [UInt8] {
        let names = parameters.keys.sorted { $0.precedes($1) }
        return names.flatMap { Array($0.utf8) + [0] + Array((parameters[$0] ?? "").utf8) + [0] }
    }

    /// Reads the file; nil if there is none.
    /// - Throws: `.badInput` with file and line for everything that forge would not have written.
    package static func load(_ path: String) throws(ForgeError) -> LockFile? {
        guard let bytes = try Files.readIfPresent(path) else { return nil }
        return try LockFile(parsing: bytes, file: path)
    }

    /// Replaces the file, unless it has the same bytes already.
    /// - Returns: Whether the file changed.
    @discardableResult
    package func save(_ path: String) throws(ForgeError) -> Bool {
        let bytes = Array(text.utf8)
        if try Files.readIfPresent(path) == bytes { return false }
        try Files.write(path, bytes)
        return true
    }

    /// The text of the file.
    package var text: String {
        JSON.object([
            ("version", .int(LockFile.version)), ("entries", .array(entries.map(\.json))),
        ]).pretty(depth: 4)
    }

    package init(parsing bytes: [UInt8], file: String) throws(ForgeError) {
        let reader = LockReader(text: bytes, file: file)
        entries = try reader.entries(JSON(parsing: bytes, file: file))
    }
}

extension LockEntry {
    /// The entry as the file has it, also for the helper's request.
    package var json: JSON {
        let names = parameters.keys.sorted { $0.precedes($1) }
        var fields: [(String, JSON)] = [
            ("id", .string(id)), ("parameters", .object(names.map { ($0, .string(parameters[$0] ?? "")) })),
            ("lock", .string(locker)), ("request-digest", .string(requestDigest.hex)), ("request", request),
            ("date", .int(date)),
        ]
        switch body {
        case .debian(let lock):
            fields.append(("snapshot", .string(lock.snapshot)))
            fields.append(("archives", .array(lock.archives.map(\.json))))
            fields.append(("packages", .array(lock.packages.map(\.json))))
            if !lock.sources.isEmpty { fields.append(("sources", .array(lock.sources.map(\.json)))) }
        case .downloads(let files): fields.append(("downloads", .array(files.map(\.json))))
        case .images(let images): fields.append(("images", .array(images.map(\.json))))
        case .other(let content): fields.append(("content", content))
        }
        return .object(fields)
    }

    /// Reads an entry that came by the helper's protocol.
    /// - Throws: `.badInput` if it isn't one.
    package init(json: JSON, file: String = "lock entry") throws(ForgeError) {
        self = try LockReader(text: Array(json.description.utf8), file: file).entry(json, at: [])
    }
}

extension LockedArchive {
    var json: JSON {
        .object([
            ("archive", .string(archive)), ("suite", .string(suite)), ("codename", .string(codename)),
            ("components", .array(components.map(JSON.string))), ("date", .int(date)),
            ("sha256", .string(release.hex)), ("size", .int(release.size)), ("signed-by", .string(signedBy)),
            (
                "indexes",
                .array(
                    indexes.map { index in
                        .object([
                            ("path", .string(index.path)), ("sha256", .string(index.digest.hex)),
                            ("size", .int(index.digest.size)),
                        ])
                    })
            ),
        ])
    }
}

extension LockedDownload {
    var json: JSON {
        .object(
            [("name", .string(name)), ("sha256", .string(file.sha256))] + (file.size.map { [("size", .int($0))] } ?? [])
        )
    }
}

extension LockedImage {
    var json: JSON {
        .object([
            ("name", .string(name)), ("media-type", .string(mediaType)), ("sha256", .string(manifest.hex)),
            ("size", .int(manifest.size)),
            (
                "blobs",
                .array(blobs.map { .object([("sha256", .string($0.hex)), ("size", .int($0.size))]) })
            ),
        ])
    }
}

extension LockedSource {
    var json: JSON {
        .object([
            ("name", .string(name)), ("version", .string(version)), ("archive", .string(archive)),
            ("suite", .string(suite)),
            (
                "files",
                .array(
                    files.map { file in
                        .object([
                            ("path", .string(file.path)), ("sha256", .string(file.digest.hex)),
                            ("size", .int(file.digest.size)),
                        ])
                    })
            ),
        ])
    }
}

extension LockedPackage {
    var json: JSON {
        var fields: [(String, JSON)] = [
            ("name", .string(name)), ("version", .string(version)), ("architecture", .string(architecture)),
            ("sha256", .string(digest.hex)), ("size", .int(digest.size)), ("path", .string(path)),
            ("archive", .string(archive)), ("suite", .string(suite)), ("source", .string(source)),
        ]
        if sourceVersion != version { fields.append(("source-version", .string(sourceVersion))) }
        if !section.isEmpty { fields.append(("section", .string(section))) }
        if isEssential { fields.append(("essential", .bool(true))) }
        return .object(fields)
    }
}
